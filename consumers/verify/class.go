package verify

// Class says how an entity stands in Stytch. It is a metric label: a closed list.
type Class string

// The classes.
const (
	Match     Class = "match"
	NamedLoss Class = "named_loss" // as it should be, but for what Stytch cannot take

	Missing   Class = "missing"   // it should be there, and is not
	Extra     Class = "extra"     // it is there, and should not be
	Different Class = "different" // fields hold other values
	Duplicate Class = "duplicate" // a second object stands for the same entity
	// ForeignChange: a field that we never overwrite (address, phone, password, the
	// object itself) is not as we wrote it (invariant 12).
	ForeignChange Class = "foreign_change"

	Pending      Class = "pending"      // not applied past its last change until the time-out
	Unverifiable Class = "unverifiable" // it waits for a person, or a field cannot be read back
	// Released: its organization was cut over. The application owns it, and nothing of
	// it is compared.
	Released Class = "released"
)

// Classes are all of them, in the order in which reports list them.
var Classes = []Class{Match, NamedLoss, Missing, Extra, Different, Duplicate, ForeignChange, Pending, Unverifiable, Released}

// Drift says whether a class means that Stytch is not as it should be.
func (c Class) Drift() bool {
	switch c {
	case Missing, Extra, Different, Duplicate, ForeignChange:
		return true
	case Match, NamedLoss, Pending, Unverifiable, Released:
	}
	return false
}

// Open says whether a class means that nobody can tell.
func (c Class) Open() bool { return c == Pending || c == Unverifiable }

// Verdict is what a run comes to.
type Verdict string

// The verdicts.
const (
	Clean         Verdict = "clean"
	CouldNotTell  Verdict = "could_not_tell"
	DriftFound    Verdict = "drift"
	foreignObject         = "no entity of ours has made it"
)
