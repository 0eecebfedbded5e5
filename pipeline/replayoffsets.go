package pipeline

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/consumers/apply"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/pipeline/config"
)

// ErrNotStopped says that a connector's offsets were to be changed while it may run.
var ErrNotStopped = errors.New("offsets can be changed only while the connector is stopped and none of its tasks runs")

// AlterOffsets sets the apply connector's next offsets of the given partitions
// (PATCH …/offsets), admin.Beginning to the first one; others stay. It waits until every
// instance has obeyed the stop: the status may show no tasks before, and Kafka remembers
// a killed member for some seconds. Moved ahead, it loses nothing: the entities whose
// wake-ups are skipped become due (invariant 6). The error is ErrNotStopped where the
// target is another one or somebody works on it for longer than offsetsPatience, or a
// *BadReplay for offsets that do not exist.
func AlterOffsets(ctx context.Context, cfg *config.Config, c *Clients, pool *pgxpool.Pool, offsets map[string]map[int32]int64) error {
	s := stopped{cfg: cfg, clients: c, pool: pool, connector: apply.Group(cfg.Name), patience: offsetsPatience}
	return s.work(ctx, s.wanted, func(ctx context.Context) error { return s.alter(ctx, offsets) })
}

// alter is AlterOffsets of a connector that nobody runs.
func (s stopped) alter(ctx context.Context, offsets map[string]map[int32]int64) error {
	topics := apply.Topics(s.cfg.Kafka.Topics.Prefix)
	all, _, err := ReplayFrom{Earliest: true}.resolve(ctx, s.clients.Kafka, topics, nil)
	if err != nil {
		return err
	}
	current, err := groupOffsets(ctx, s.clients.Kafka, s.connector)
	if err != nil {
		return err
	}
	var ahead []int32
	for topic, partitions := range offsets {
		for number, at := range partitions {
			i := slices.IndexFunc(all, func(r ReplayPartition) bool { return r.Topic == topic && r.Partition == number })
			if i < 0 {
				return badReplay("%s has no partition %d of topic %s; it reads %v", s.connector, number, topic, topics)
			}
			if at == admin.Beginning {
				at = all[i].New
				partitions[number] = at
			}
			if at < all[i].New || at > all[i].End {
				return badReplay("topic %s partition %d has the offsets %d to %d, not %d", topic, number, all[i].New, all[i].End, at)
			}
			if before, read := current[topic][number]; at > before || !read {
				ahead = append(ahead, number)
			}
		}
	}
	if len(ahead) > 0 {
		if _, err := ledger.WakeSkipped(ctx, s.pool, ahead); err != nil {
			return err
		}
	}
	return apply.SetOffsets(ctx, s.cfg.Name, s.clients.Kafka, offsets)
}

// ResetOffsets sets the apply connector back to the beginning of both lanes
// (DELETE …/offsets). The error is as AlterOffsets'.
func ResetOffsets(ctx context.Context, cfg *config.Config, c *Clients, pool *pgxpool.Pool) error {
	starts, _, err := ReplayFrom{Earliest: true}.resolve(ctx, c.Kafka, apply.Topics(cfg.Kafka.Topics.Prefix), nil)
	if err != nil {
		return err
	}
	offsets := map[string]map[int32]int64{}
	for _, r := range starts {
		if offsets[r.Topic] == nil {
			offsets[r.Topic] = map[int32]int64{}
		}
		offsets[r.Topic][r.Partition] = r.New
	}
	return AlterOffsets(ctx, cfg, c, pool, offsets)
}

// wanted returns nil while a person wants the connector stopped, else ErrNotStopped.
func (s stopped) wanted(ctx context.Context) error {
	targets, err := ledger.Targets(ctx, s.pool)
	if err == nil && targets[s.connector].State != ledger.TargetStopped {
		err = ErrNotStopped
	}
	return err
}
