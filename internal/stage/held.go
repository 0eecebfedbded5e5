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

// AsHeld finds a Held error in a chain.
func AsHeld(err error) (*Held, bool) {
	var h *Held
	ok := errors.As(err, &h)
	return h, ok
}
