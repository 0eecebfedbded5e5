package consumers

// Kind is what an entity becomes in Stytch.
type Kind string

// The kinds.
const (
	Organization Kind = "organization"
	Member       Kind = "member"
)

// Key identifies an entity: the values of the mapping's key columns as text. An
// organization's Entity equals its Organization.
type Key struct {
	Kind         Kind   `json:"kind"`
	Organization string `json:"organization"`
	Entity       string `json:"entity"`
}

// Status is where an entity stands between its desired and its applied state.
type Status string

// The states of an entity. "In flight" is not a status: it is the presence of a
// row in marks.
const (
	// Current: applied equals desired, as far as we know.
	Current Status = "current"
	// Pending: a newer desired state waits for its turn.
	Pending Status = "pending"
	// Deferred: waits for a due time or for another entity that will come.
	Deferred Status = "deferred"
	// Blocked: waits only for something parked or awaiting consent (hazard A23).
	Blocked Status = "blocked"
	// Parked: cannot be applied; Reason says why and what a person can do (invariant 6).
	Parked Status = "parked"
	// AwaitingConsent: a delete that a person must approve (invariant 7).
	AwaitingConsent Status = "awaiting_consent"
	// Released: its organization was cut over, nothing of it is written any more (invariant 12).
	Released Status = "released"
	// Dropped: it was parked, and a person gave it up (`parked drop`); its next change
	// makes it pending again (invariant 6).
	Dropped Status = "dropped"
)

// Reason says why an entity is not current. It is a metric label and an argument
// of `parked list --reason`: a closed list.
type Reason string

// The reasons.
const (
	// Parked by evaluation.
	ReasonEvaluation   Reason = "evaluation_error" // the row cannot be evaluated (hazard C5)
	ReasonDuplicateKey Reason = "duplicate_key"    // the mapping yields two rows for one key (hazard C6)
	ReasonIncomplete   Reason = "incomplete_row"   // a TOASTed value was never seen (hazard C15)

	// Parked by planning or by Stytch's answer. A new revision always tries again. By
	// itself, too: duplicate_value when the holder gives the value up; invalid_role
	// when the project's policy has the roles; foreign_object, retired_email,
	// domain_claimed and refused once an hour, a few a minute; refused, domain_claimed,
	// invalid_field, invalid_role and invalid_email when the organization's settings
	// change. The rest waits for a person or for the row.
	ReasonDuplicate       Reason = "duplicate_value"   // another entity holds a value that Stytch keeps unique
	ReasonForeignChange   Reason = "foreign_change"    // neither what we wrote nor what is desired (invariant 12)
	ReasonForeignObject   Reason = "foreign_object"    // made by others, not proven ours
	ReasonInvalidEmail    Reason = "invalid_email"     //
	ReasonMissingEmail    Reason = "missing_email"     // Stytch's members need one
	ReasonInvalidSlug     Reason = "invalid_slug"      //
	ReasonInvalidName     Reason = "invalid_name"      //
	ReasonInvalidPhone    Reason = "invalid_phone"     //
	ReasonInvalidRole     Reason = "invalid_role"      // not in the project's RBAC policy
	ReasonInvalidMetadata Reason = "invalid_metadata"  // too large, too many keys
	ReasonInvalidField    Reason = "invalid_field"     // another value that Stytch refuses
	ReasonDomainClaimed   Reason = "domain_claimed"    // another organization claims the e-mail domain
	ReasonRetiredEmail    Reason = "retired_email"     // retired by another member
	ReasonRefused         Reason = "refused"           // any other permanent answer
	ReasonMissing         Reason = "missing_in_stytch" // what we wrote is gone there

	// Deferred.
	ReasonOrganization Reason = "waiting_for_organization"
	ReasonClaim        Reason = "waiting_for_value" // another entity still holds it and will give it up
	ReasonBackoff      Reason = "backoff"           // throttled or failed for now
	ReasonSettling     Reason = "settling"          // a call's outcome is unknown
	ReasonHeld         Reason = "held"              // the connector is held

	// Blocked.
	ReasonBlockedByOrganization Reason = "organization_blocked" // the organization is parked or awaits consent
	ReasonBlockedByHolder       Reason = "holder_blocked"       // the holder of the value is

	// Awaiting consent.
	ReasonDeleteBrake Reason = "delete_brake"    // over deletes.max_per_hour (hazard A12)
	ReasonDeleteHold  Reason = "delete_hold"     // deletes.organizations or .members: hold
	ReasonUnearned    Reason = "delete_unearned" // not caused by a row's change (invariant 7)
)

// Loss names something that the legacy system has and Stytch cannot take: the
// entity is applied without it, and says so (invariant 6).
type Loss string

// The named losses.
const (
	LossHashFormat      Loss = "password_hash_unsupported" // no Stytch hash type
	LossEmailUnverified Loss = "password_of_unverified_email"
	LossPhone           Loss = "phone_unverified"
	// LossCrossOrgPassword: the hash changed or went, and the project shares
	// passwords between organizations, which lets none be deleted: the old one stays.
	LossCrossOrgPassword Loss = "password_shared_across_organizations"
)
