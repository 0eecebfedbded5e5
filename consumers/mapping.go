package consumers

import "github.com/backstitch/backstitch/schemas"

// Mapping says how rows become entities of one kind: a SELECT whose columns are
// Stytch's field names, and how a changed row finds the entities it touches.
type Mapping struct {
	Kind   Kind
	Select string
	// Routes by captured table. One that is missing is derived from Select where that
	// can be done soundly (decision 0022); else the table is swept.
	Routes map[schemas.Table]Route
	// AssumeEmailsVerified: every e-mail address counts as verified (members only).
	AssumeEmailsVerified bool
}

// Route says which entities a changed row of a table touches: an optimisation,
// never a contract (design, transform). Exactly one of its fields is set.
type Route struct {
	// Columns maps key columns of the SELECT to columns of the row.
	Columns map[string]string
	// Select is a SELECT over the relation "changed" that yields key columns.
	Select string
	// Sweep: no route is followed, and none derived.
	Sweep bool
}

// DeleteMode is what happens to a kind's deletes.
type DeleteMode string

// The delete modes.
const (
	DeleteApply DeleteMode = "apply" // sent, under the brake
	DeleteHold  DeleteMode = "hold"  // every one waits for a person's consent
)

// Deletes is the policy for deletes (invariant 7).
type Deletes struct {
	Members       DeleteMode
	Organizations DeleteMode
	// MaxPerHour is the brake: over it, all unsent deletes wait (hazard A12). An
	// organization counts with its members (hazard A25).
	MaxPerHour int
}
