package stage

import (
	"errors"
	"fmt"
)

// Held is the error of a connector that must not go on until a person acts: it
// is FAILED with this trace, and exits with code 4.
type Held struct {
	Reason string // what is wrong, where, and why it matters
	Fix    string // what a person can do
}

func (h *Held) Error() string { return fmt.Sprintf("held: %s. %s", h.Reason, h.Fix) }

// Hold makes a Held error.
func Hold(fix, reason string, args ...any) error {
	return &Held{Reason: fmt.Sprintf(reason, args...), Fix: fix}
}

// Holder is an error of a package that cannot import this one and that holds the
// connector all the same.
type Holder interface {
	error
	// Hold says what is wrong and what a person can do.
	Hold() (reason, fix string)
}

// AsHeld finds a Held error in a chain, or a Holder, which it turns into one.
func AsHeld(err error) (*Held, bool) {
	var h *Held
	if errors.As(err, &h) {
		return h, true
	}
	var other Holder
	if errors.As(err, &other) {
		reason, fix := other.Hold()
		return &Held{Reason: reason, Fix: fix}, true
	}
	return nil, false
}
