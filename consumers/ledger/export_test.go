package ledger

import "fmt"

// Die ends the session of a replay as a kill -9 does.
func (r *Replaying) Die() { r.leave() }

// LockBrake is the first statement of a transaction of the brake.
var LockBrake = fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", int64(brakeLock))
