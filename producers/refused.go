package producers

import (
	"fmt"
	"strings"

	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/schemas"
)

// Refusal says why a table cannot be captured, and what makes it capturable.
type Refusal struct {
	Table  schemas.Table
	Reason string
	// Fix is the SQL statement, or the sentence, that mends it.
	Fix string
}

// Refused is the error that names every table that cannot be captured. Whoever
// unwraps it finds a stage.Held: a connector waits for a person here.
type Refused struct{ Refusals []Refusal }

func (r *Refused) add(t schemas.Table, reason, fix string) {
	r.Refusals = append(r.Refusals, Refusal{Table: t, Reason: reason, Fix: fix})
}

func (r *Refused) orNil() error {
	if len(r.Refusals) == 0 {
		return nil
	}
	return r
}

func (r *Refused) Error() string {
	lines := make([]string, len(r.Refusals))
	for i, f := range r.Refusals {
		lines[i] = fmt.Sprintf("table %s: %s. Fix: %s", f.Table.SQL(), f.Reason, f.Fix)
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes the error a hold of the connector.
func (r *Refused) Unwrap() error {
	reasons, fixes := make([]string, len(r.Refusals)), make([]string, len(r.Refusals))
	for i, f := range r.Refusals {
		reasons[i] = fmt.Sprintf("table %s: %s", f.Table.SQL(), f.Reason)
		fixes[i] = f.Fix
	}
	return &stage.Held{Reason: strings.Join(reasons, "; "), Fix: strings.Join(fixes, "; ")}
}
