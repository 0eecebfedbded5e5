// Package discover reads a legacy database and proposes a first configuration: which
// tables hold tenants, users and memberships, the SELECTs over them, what the source's
// server has to be told, and the figures that decide a migration.
//
// It reads the catalogue, and counts rows in read-only transactions under a statement
// time-out; what does not end in time is said to be uncounted. No value of a row leaves
// it but the names of roles and states (invariant 8). What it cannot know is a TODO in
// the proposal, which the configuration's reader refuses with its line.
package discover
