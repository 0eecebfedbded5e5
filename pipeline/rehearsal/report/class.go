package report

import (
	"github.com/backstitch/backstitch/consumers"
)

// Class is the cause of a finding: a consumers.Reason or consumers.Loss by its name,
// or one of those that only a rehearsal tells apart.
type Class string

// The classes beyond reasons and losses. A collision is the reason duplicate_value,
// told apart by the value that two entities share.
const (
	DuplicateEmail      Class = "duplicate_email"       // in an organization
	DuplicatePhone      Class = "duplicate_phone"       // in an organization
	DuplicateSlug       Class = "duplicate_slug"        // in the project
	DuplicateExternalID Class = "duplicate_external_id" // as the collision of what prefix and key make

	NoOrganization Class = "no_organization"    // members whose organization the mapping does not return
	NullKey        Class = "null_key"           // the mapping returns a row without a key
	Dangling       Class = "dangling_reference" // a row's foreign key points to nothing
)

// Severity says what a finding means for who signs.
type Severity string

// The severities.
const (
	KeptOut Severity = "kept_out" // not in Stytch, or not as desired, until a person acts
	Lost    Severity = "lost"     // in Stytch, but for something that Stytch cannot take
	ToKnow  Severity = "note"     // nothing is missing that was asked for
)

// entry is what a report says about a class.
type entry struct {
	class    Class
	severity Severity
	title    string
	advice   consumers.Advice
}
