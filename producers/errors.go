package producers

import "errors"

// ErrStandby says that another instance owns the source: it holds the slot, or
// the lock under which a slot is created. Try again later; nothing was changed
// (hazards S14, S27).
var ErrStandby = errors.New("another instance owns the source")

// ErrFenced says that another instance took over the transactional id: what was
// not committed before is aborted, and this instance starts again from the last
// checkpoint (invariant 2).
var ErrFenced = errors.New("another instance took over the transactional id")
