package avro

import (
	"errors"
	"fmt"

	"github.com/backstitch/backstitch/schemas"
)

// NullError is a NULL in a column that the relation says is NOT NULL: the write-ahead
// log is older than the constraint (hazard S24). The caller derives the table again
// with the column nullable and registers that schema.
type NullError struct {
	Table  schemas.Table
	Column string
	Index  int // in Relation.Columns
}

func (e *NullError) Error() string {
	return fmt.Sprintf("%s: column %s is declared NOT NULL but the change holds NULL: derive its schema again as nullable", e.Table, e.Column)
}

// ValueError is a value that the Avro type of its column cannot hold exactly. It
// never carries the value (invariant 8). The caller keeps the value some other way,
// or parks the row (invariant 6).
type ValueError struct {
	Table  schemas.Table
	Column string
	Type   string // the PostgreSQL type
	Reason error  // one of the Err… values of this package, possibly wrapped
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("%s: column %s (%s): %v", e.Table, e.Column, e.Type, e.Reason)
}

func (e *ValueError) Unwrap() error { return e.Reason }

// Why a value cannot be written.
var (
	ErrNotANumber  = errors.New("NaN has no form in an Avro decimal")
	ErrInfinity    = errors.New("infinity has no form in an Avro decimal")
	ErrScale       = errors.New("more digits after the point than the column's scale")
	ErrPrecision   = errors.New("more digits than the column's precision")
	ErrRange       = errors.New("outside the range of its Avro type")
	ErrSyntax      = errors.New("not in the text form that this type has under the pinned session settings")
	ErrDimensions  = errors.New("an array of several dimensions or with bounds of its own has no form in Avro")
	ErrPlaceholder = errors.New("equals the placeholder of an unchanged TOAST value and would be taken for one")
	ErrUnchanged   = errors.New("an unchanged TOAST value of a type that is never TOASTed")
)

// errForm is a value in a record that is not what its schema says.
func errForm(what string) error { return fmt.Errorf("the record does not hold %s", what) }
