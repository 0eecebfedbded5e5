package pipeline

import (
	"context"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/schemas"
)

// appliedEvery is the pace at which a wait looks at the ledger: one row, until the
// position is evaluated.
const appliedEvery = 50 * time.Millisecond

// AwaitApplied returns when everything that the source committed at or below lsn is
// applied or set aside, for one organization (its key in the mapping) or, with "",
// for all; or when ctx ends, with how far it was: that is no error. lsn may be a
// commit's, its end, or what pg_current_wal_lsn said after it.
//
// The log may end below lsn on an idle database, where the next heartbeat is seconds
// away: a position that is not evaluated at the first look gets one of its own.
func AwaitApplied(ctx context.Context, cfg *config.Config, c *Clients, q ledger.Querier, lsn schemas.LSN, organization string) (ledger.Progress, error) {
	tick := time.NewTicker(appliedEvery)
	defer tick.Stop()
	var last ledger.Progress
	for beaten := false; ; {
		evaluated, err := ledger.ReadEvaluated(ctx, q)
		if err == nil && evaluated.Passed(lsn) {
			if last, err = evaluated.Progress(ctx, q, lsn, organization); err == nil && last.Done() {
				return last, nil
			}
		}
		if err == nil && !evaluated.Passed(lsn) && !beaten {
			_, err = c.heartbeat(ctx, cfg.Name)
			beaten = true
		}
		if ctx.Err() != nil {
			return last, nil
		}
		if err != nil {
			return last, err
		}
		select {
		case <-ctx.Done():
			return last, nil
		case <-tick.C:
		}
	}
}
