package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/consumers/apply"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/schemas"
)

// PlanTransformReplay looks at what evaluating the entities of source records again
// would do. The transform's offsets stay where they are: they belong to the mirror,
// which must never go back in time (docs/decisions/0019).
func PlanTransformReplay(ctx context.Context, cfg *config.Config, c *Clients, pool *pgxpool.Pool, spec ReplaySpec) (*ReplayPlan, error) {
	p, err := newPlan(ctx, cfg, c, pool, cfg.Name+"-transform", spec)
	if err != nil {
		return nil, err
	}
	deps, err := replayDeps(ctx, cfg, c, pool)
	if err != nil {
		return nil, err
	}
	if err := p.transformPartitions(ctx, c, pool, deps); err != nil {
		return nil, err
	}
	r, err := transform.FindReplay(ctx, deps, p.spans(), spec.Organization)
	if err != nil {
		return nil, err
	}
	if err := p.compare(ctx, cfg, pool, r); err != nil {
		r.Close()
		return nil, err
	}
	p.work = r
	return p, nil
}

// replayDeps learns what the mapping reads: from the catalogue that the ledger keeps,
// so that a replay needs no source, else from the source. The mapping must be the
// accepted one: another one's keys mean other entities (hazard C23).
func replayDeps(ctx context.Context, cfg *config.Config, c *Clients, pool *pgxpool.Pool) (transform.ReplayDeps, error) {
	d := transform.ReplayDeps{
		Ledger: pool, Kafka: c.Kafka, Schema: c.Registry.Schema, Prefix: cfg.Kafka.Topics.Prefix, Logger: slog.New(slog.DiscardHandler),
	}
	if err := ledger.SameDigest(ctx, pool, cfg.Digest()); err != nil {
		return d, err
	}
	kept, err := transform.Recall(ctx, pool, d.Prefix, cfg.Source.Tables, cfg.Mappings())
	if err == nil {
		d.Plan, d.Captured = kept.Plan, kept.Captured
		return d, nil
	}
	var none *transform.NoCatalogueError
	if !errors.As(err, &none) {
		return d, err
	}
	if d.Plan, err = compile(ctx, cfg, c); err != nil {
		return d, err
	}
	conn, err := c.ConnectSource(ctx, cfg.Name+"-replay")
	if err != nil {
		return d, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	d.Captured, err = Captured(ctx, conn, cfg.Source.Tables)
	return d, err
}

// transformPartitions finds the records: of the tables that the mapping reads, up to
// where the mirror stands.
func (p *ReplayPlan) transformPartitions(ctx context.Context, c *Clients, pool *pgxpool.Pool, d transform.ReplayDeps) (err error) {
	current, err := mirrorOffsets(ctx, pool, d.Prefix)
	if err != nil {
		return err
	}
	var moved []string
	p.Partitions, moved, err = p.spec.resolve(ctx, c.Kafka, dataTopics(d), current)
	p.Notices = append(p.Notices, moved...)
	return err
}

func dataTopics(d transform.ReplayDeps) (topics []string) {
	for table := range d.Plan.Columns {
		topics = append(topics, schemas.DataTopic(d.Prefix, table))
	}
	slices.Sort(topics)
	return topics
}

// mirrorOffsets are the next offsets that the mirror is filled from.
func mirrorOffsets(ctx context.Context, pool *pgxpool.Pool, prefix string) (map[string]map[int32]int64, error) {
	rows, err := pool.Query(ctx, "SELECT topic, partition, next_offset FROM backstitch.offsets WHERE prefix = $1", prefix)
	at := map[string]map[int32]int64{}
	if err == nil {
		var topic string
		var partition int32
		var next int64
		_, err = pgx.ForEachRow(rows, []any{&topic, &partition, &next}, func() error {
			if at[topic] == nil {
				at[topic] = map[int32]int64{}
			}
			at[topic][partition] = next
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read the transform's offsets: %w", redact.SQLError(err))
	}
	return at, nil
}

// compare evaluates what was found, without storing it, and foresees its calls.
func (p *ReplayPlan) compare(ctx context.Context, cfg *config.Config, pool *pgxpool.Pool, r *transform.Replay) error {
	d, quiet, err := r.Compare(ctx, cfg.Kafka.Topics.Partitions)
	if err != nil {
		return err
	}
	p.Records, p.Changes, p.Entities, p.Differ = r.Records, &d, d.Entities, d.Differ
	if !quiet {
		p.Notices = append(p.Notices, "keys wait for the transform to evaluate them; what differs for them is counted too")
	}
	if len(r.Unrouted) > 0 {
		p.Notices = append(p.Notices, fmt.Sprintf("no route tells the entities of %s: a sweep compares all of them, within %s", strings.Join(r.Unrouted, ", "), cfg.Sweep))
	}
	if r.Misfits > 0 {
		p.Notices = append(p.Notices, fmt.Sprintf("%d images do not fit the columns of today; the rows of today stand for them", r.Misfits))
	}
	changes, err := r.Changes(ctx, apply.ForecastAtMost)
	if err != nil {
		return err
	}
	if p.Calls, err = forecastCalls(ctx, cfg, pool, changes, d.Differ-d.Vanish-d.Failed); err != nil {
		return err
	}
	p.Hours = float64(p.Calls) / p.Rate / 3600
	return nil
}
