package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/internal/redact"
)

// Evict ends, from patience on and until ctx is done, every session that keeps the
// session pid waiting for a lock, and returns how many. It is for whoever takes over
// from an owner that may be frozen in the middle of a transaction: its locks would
// stay for ever, and what is rolled back was not acknowledged to anybody.
//
// A role may end its own sessions. Where it may not, nothing is ended, the wait goes
// on as it would have, and the error says so when ctx is done. q must not be the
// session that waits.
func Evict(ctx context.Context, q Querier, pid uint32, patience time.Duration) (ended int64, err error) {
	const every = 50 * time.Millisecond
	wait := time.NewTimer(patience)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return ended, err
		case <-wait.C:
		}
		var n int64
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second) // a session is closed under a statement that is cancelled
		failed := q.QueryRow(asking, "SELECT count(*) FILTER (WHERE pg_terminate_backend(b)) FROM unnest(pg_blocking_pids($1)) b WHERE b > 0", int32(pid)).Scan(&n)
		cancel()
		switch {
		case failed == nil:
			ended += n
			wait.Reset(every)
		case redact.SQLState(failed) == "42501":
			err = fmt.Errorf("end the sessions of a former owner, which hold locks: the ledger's role may not (%w); grant it pg_signal_backend", redact.SQLError(failed))
			wait.Reset(patience)
		default:
			return ended, fmt.Errorf("end the sessions of a former owner: %w", redact.SQLError(failed))
		}
	}
}
