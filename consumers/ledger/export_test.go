package ledger

// Die ends the session of a replay as a kill -9 does.
func (r *Replaying) Die() { r.leave() }
