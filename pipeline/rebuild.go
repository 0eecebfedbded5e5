package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/producers/capture"
)

// RebuildTable is a table that a rebuild reads again.
type RebuildTable struct {
	Table string `json:"table"`
	// Rows as the source's planner estimates them; -1: not known.
	Rows int64 `json:"rows"`
}

// RebuildPlan is a rebuild of the transform's mirror: the source read again beside the
// old one, as `backfill --all` does it, and swapped in after a look at the difference.
type RebuildPlan struct {
	Connector string         `json:"connector"`
	Tables    []RebuildTable `json:"tables"`
	Notices   []string       `json:"notices,omitempty"`
	// Rate is the limit of API calls a second.
	Rate float64 `json:"rate_limit"`
	// Rebuild is the request, once there is one.
	Rebuild *ledger.Rebuild `json:"rebuild,omitempty"`

	cfg     *config.Config
	clients *Clients
	pool    *pgxpool.Pool
	epoch   uint32
}

// PlanRebuild looks at what a rebuild would read. One that was asked for and is not
// swapped in is gone on with. It changes nothing until Begin.
func PlanRebuild(ctx context.Context, cfg *config.Config, c *Clients, pool *pgxpool.Pool) (*RebuildPlan, error) {
	p := &RebuildPlan{Connector: cfg.Name + "-transform", Rate: float64(cfg.Stytch.RateLimit), cfg: cfg, clients: c, pool: pool}
	var evaluated bool
	err := pool.QueryRow(ctx, "SELECT coalesce(bool_or(phase <> 'loading'), false) FROM backstitch.transform").Scan(&evaluated)
	if err != nil {
		return nil, fmt.Errorf("read the transform's phase: %w", redact.SQLError(err))
	}
	if p.Rebuild, err = ledger.OpenRebuild(ctx, pool); err != nil {
		return nil, err
	}
	if !evaluated && p.Rebuild == nil {
		return nil, transform.ErrNotFollowing
	}
	checkpoint, err := capture.LastCheckpoint(ctx, c.Kafka, cfg.Kafka.Topics.Prefix)
	if err != nil {
		return nil, err
	}
	if checkpoint != nil {
		p.epoch = checkpoint.Source.Epoch
	}
	if p.Rebuild != nil {
		p.Notices = append(p.Notices, fmt.Sprintf("a rebuild that %s asked for is not swapped in; this goes on with it", p.Rebuild.AskedBy))
	}
	cluster, err := ledger.ReadCluster(ctx, pool)
	if err != nil {
		return nil, err
	}
	alive := false
	for _, i := range cluster.Instances {
		alive = alive || i.Alive
	}
	if !alive {
		p.Notices = append(p.Notices, "no instance runs; the next `backstitch run` reads the source")
	}
	return p, p.estimate(ctx)
}

func (p *RebuildPlan) estimate(ctx context.Context) error {
	conn, err := p.clients.ConnectSource(ctx, p.cfg.Name+"-rebuild")
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, t := range p.cfg.Source.Tables {
		row := RebuildTable{Table: t.String()}
		err := conn.QueryRow(ctx, "SELECT coalesce(max(reltuples), -1)::bigint FROM pg_class WHERE oid = to_regclass($1)", t.SQL()).Scan(&row.Rows)
		if err != nil {
			return fmt.Errorf("estimate the rows of %s: %w", t, redact.SQLError(err))
		}
		p.Tables = append(p.Tables, row)
	}
	return nil
}

// Begin asks for the source to be read again, with a consent open in by's name. The
// consent comes first: what dies between never swaps without a look, and the next
// command asks the source. It may ask twice where one died just after it had; then
// the source is read twice.
func (p *RebuildPlan) Begin(ctx context.Context, by string) (err error) {
	if p.Rebuild, err = ledger.AskRebuild(ctx, p.pool, by, p.epoch); err != nil {
		return err
	}
	if p.Rebuild.Requested || p.epoch > p.Rebuild.AfterEpoch {
		return nil // it is being read, or was
	}
	if err := capture.RequestBackfill(ctx, p.clients.Kafka, p.cfg.Kafka.Topics.Prefix, nil); err != nil {
		return err
	}
	return ledger.RequestedRebuild(ctx, p.pool, p.Rebuild)
}

// Await returns when the difference is known, or the mirrors are swapped already.
func (p *RebuildPlan) Await(ctx context.Context) error {
	return p.poll(ctx, func() (bool, error) { return p.Rebuild.Compared != nil || p.Rebuild.Swapped, nil })
}

// Swap gives the consent in by's name, and returns when the new mirror stands in the
// old one's place and everything was evaluated on it.
func (p *RebuildPlan) Swap(ctx context.Context, by string) error {
	if !p.Rebuild.Swapped {
		if _, err := ledger.Approve(ctx, p.pool, p.Rebuild.ConsentID, by); err != nil {
			return err
		}
	}
	return p.poll(ctx, func() (following bool, err error) {
		if !p.Rebuild.Swapped {
			return false, nil
		}
		err = p.pool.QueryRow(ctx, "SELECT phase = 'following' FROM backstitch.transform WHERE prefix = $1", p.cfg.Kafka.Topics.Prefix).Scan(&following)
		return following, redact.SQLError(err)
	})
}

func (p *RebuildPlan) poll(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		now, err := ledger.GetRebuild(ctx, p.pool, p.Rebuild.ConsentID)
		ended := false
		if err == nil && now != nil {
			p.Rebuild = now
			ended, err = done()
		}
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted; the rebuild goes on by itself, and `backstitch approve %d` swaps it in", p.Rebuild.ConsentID)
		}
		if err != nil || ended {
			return err
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}
