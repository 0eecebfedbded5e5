package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/consumers/apply"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/pipeline/preflight"
	"github.com/backstitch/backstitch/producers/capture"
	"github.com/backstitch/backstitch/schemas"
)

// Rehearsal is how a pipeline differs that reads real data and writes to a simulator.
type Rehearsal struct {
	// Budget has the time in which requests are spent, and a clock that runs as fast.
	Budget apply.Budget
}

// rehearsedWorkers bounds the turns under way at once. A request is counted when it
// arrives, by a clock that goes on with every other one: so many may arrive together.
const rehearsedWorkers = 16

// source has one state read, in sessions that may not write.
func (r *Rehearsal) source(cfg *capture.Config, deps *capture.Deps) {
	if r == nil {
		return
	}
	cfg.SnapshotOnly = true
	deps.Source = deps.Source.Copy()
	deps.Source.RuntimeParams["default_transaction_read_only"] = "on"
}

func (r *Rehearsal) apply(cfg *apply.Config, deps *apply.Deps) {
	if r == nil {
		return
	}
	cfg.Workers, cfg.Ordered, cfg.NoIncidents, cfg.NothingSaved = rehearsedWorkers, true, true, true
	deps.Budget = r.Budget
}

// snapshotPatience is how long a source that fails to read may try again.
const snapshotPatience = time.Minute

// WaitSnapshot returns the position of the state that is read, once all of it is in the
// topics. A source that is interrupted begins anew with a later one; one that fails for
// a minute has failed, unlike that of a run, which outlives what it reads from.
func (p *Pipeline) WaitSnapshot(ctx context.Context) (lsn schemas.LSN, err error) {
	err = p.awaitSource(ctx, func() (bool, error) {
		source := p.source.Load()
		if source == nil {
			return false, nil
		}
		st := source.Status()
		if st.State == capture.StateRestarting && time.Since(st.Since) > snapshotPatience {
			return false, fmt.Errorf("the source cannot be read: %s. `backstitch check` says what it needs", st.Reason)
		}
		lsn = st.Position.EndLSN
		return st.FirstComplete && st.State == capture.StateRunning, nil
	})
	return lsn, err
}

// FindLeftOut counts in the mirror what the captured tables hold and no entity is made
// of. A query gets at most countFor; homeless bounds the keys of members without an
// organization.
func (p *Pipeline) FindLeftOut(ctx context.Context, countFor time.Duration, homeless int) (*preflight.LeftOut, error) {
	conn, err := pgx.ConnectConfig(ctx, p.clients.Ledger)
	if err != nil {
		return nil, p.clients.Explain(preflight.WireLedger, redact.SQLError(err))
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return preflight.FindLeftOut(ctx, conn, p.cfg, p.plan, countFor, homeless)
}

// Incident is the error that would stop the run and ask a person, because it has become
// the rule (hazard A13); "" where none has.
func (p *Pipeline) Incident() string {
	if a := p.apply.Load(); a != nil {
		return a.Foreseen()
	}
	return ""
}
