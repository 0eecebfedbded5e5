package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/internal/spans"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/pipeline/config"
)

// AlterTransformOffsets means what `replay transform` does, for the transform's PATCH
// …/offsets: the entities of the records from an offset on, or from the first one for
// admin.Beginning, are evaluated again when the connector runs. The mirror and the
// offsets that it is filled from stay (docs/decisions/0019), so GET shows the same
// ones after. Ahead of the mirror nothing can be skipped: rows would be missing in it.
// The error is as AlterOffsets'.
func AlterTransformOffsets(ctx context.Context, cfg *config.Config, c *Clients, pool *pgxpool.Pool, offsets map[string]map[int32]int64) error {
	return alterTransform(ctx, cfg, c, pool, func(all []ReplayPartition, filled map[string]map[int32]int64) ([]spans.Span, error) {
		var list []spans.Span
		for topic, partitions := range offsets {
			for number, at := range partitions {
				i := slices.IndexFunc(all, func(r ReplayPartition) bool { return r.Topic == topic && r.Partition == number })
				if _, listed := filled[topic][number]; i < 0 && listed {
					continue // GET lists the checkpoints too; no entity comes of them
				}
				if i < 0 {
					return nil, badReplay("%s-transform evaluates no records of topic %s partition %d again", cfg.Name, topic, number)
				}
				start, mirror := all[i].New, all[i].Current
				if at == admin.Beginning {
					at = start
				}
				if at < start || at > mirror {
					return nil, badReplay("topic %s partition %d has the offsets %d to %d, up to where the mirror is filled, not %d: ahead of it rows would be missing, "+
						"and behind it they are evaluated again as `backstitch replay transform` does", topic, number, start, mirror, at)
				}
				list = append(list, spans.Span{Topic: topic, Partition: number, From: at, Until: mirror})
			}
		}
		return list, nil
	})
}

// ResetTransformOffsets is AlterTransformOffsets from the beginning of every topic, for
// DELETE …/offsets.
func ResetTransformOffsets(ctx context.Context, cfg *config.Config, c *Clients, pool *pgxpool.Pool) error {
	return alterTransform(ctx, cfg, c, pool, func(all []ReplayPartition, _ map[string]map[int32]int64) (list []spans.Span, _ error) {
		for _, r := range all {
			list = append(list, spans.Span{Topic: r.Topic, Partition: r.Partition, From: r.New, Until: r.Current})
		}
		return list, nil
	})
}

// alterTransform touches the entities of the records that choose picks, of all that can
// be and the offsets that the mirror is filled to: once every instance has obeyed the
// stop.
func alterTransform(ctx context.Context, cfg *config.Config, c *Clients, pool *pgxpool.Pool, choose func([]ReplayPartition, map[string]map[int32]int64) ([]spans.Span, error)) error {
	s := stopped{cfg: cfg, clients: c, pool: pool, connector: cfg.Name + "-transform", patience: offsetsPatience}
	return s.work(ctx, s.wanted, func(ctx context.Context) error { return s.touch(ctx, choose) })
}

// touch is alterTransform of a connector that nobody runs.
func (s stopped) touch(ctx context.Context, choose func([]ReplayPartition, map[string]map[int32]int64) ([]spans.Span, error)) error {
	deps, err := replayDeps(ctx, s.cfg, s.clients, s.pool)
	if err != nil {
		return err
	}
	current, err := mirrorOffsets(ctx, s.pool, deps.Prefix)
	if err != nil {
		return err
	}
	all, _, err := ReplayFrom{Earliest: true}.resolve(ctx, s.clients.Kafka, dataTopics(deps), current)
	if err != nil {
		return err
	}
	list, err := choose(all, current)
	if err != nil {
		return err
	}
	r, err := transform.FindReplay(ctx, deps, list, "")
	if errors.Is(err, transform.ErrNotFollowing) {
		return badReplay("%v", err)
	}
	if err != nil {
		return fmt.Errorf("find the entities to evaluate again: %w", err)
	}
	defer r.Close()
	return r.Begin(ctx)
}
