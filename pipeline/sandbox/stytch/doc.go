// Package stytch is a simulator of Stytch's B2B API: the organizations, members
// and passwords that a migration writes, with the rules, limits and error types
// that a migration runs into. `backstitch simulator` serves it; the demo, the
// rehearsal and the tests run it in process.
//
// A request goes through one path: [Simulator.ServeHTTP] finds the route, checks
// the credentials, counts it against the endpoint's window, looks for an injected
// fault, performs the operation under one lock, answers, and writes the journal.
// Objects are found by index (id, slug, external id, e-mail, phone, password id);
// only the two searches scan. Hashing runs outside the lock.
//
// What Stytch does not document is decided in one place, [Options], with the
// choice that is safest for a caller as the default where there is one.
//
// # Beside the API
//
//   - [Simulator.Inject] makes calls fail before or after their effect, time out,
//     take effect late, or answer any status.
//   - [Simulator.Journal] and [Simulator.Counts] tell what was received.
//   - [Simulator.Dump] walks the whole state, deleted objects included.
//   - [Simulator.Behind] changes the state behind the callers' backs.
//   - The paths under /_simulator/ offer the same to other processes, on loopback
//     and with the project's credentials.
//
// # What it lacks
//
//   - Sessions beyond what passwords/authenticate returns: tokens are opaque, there
//     is no JWT, the JWKS is empty, and no endpoint accepts them. Acting as a member
//     (the session headers) is refused with 403, never ignored.
//   - SSO and SCIM connections, OAuth, magic links, one-time passcodes, discovery,
//     TOTP and recovery codes, M2M clients, connected apps, impersonation.
//   - Mail: invitations, e-mail updates by the member, password resets, and the
//     cross-organization require_reset. There is no invited member.
//   - Password strength and breach checks; sharing of one password between the
//     organizations of an address (CrossOrgPasswords only refuses the deletion).
//   - Writing the RBAC policy of an organization, custom roles, conditions on roles
//     by connection; the limit on the number of roles.
//   - User locks, country allow-lists of phone numbers, suppression lists
//     (inactive_email), banned words, suspended organizations.
//   - Webhooks and event logs. Eventual consistency of the searches, except that
//     SearchLag hides new objects. Live projects differ from test ones only in their
//     ids.
//   - Persistence: it is all in memory.
package stytch
