package apply

import (
	"context"
	"fmt"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Replayed says what a replay prepared.
type Replayed struct {
	Partitions int   // offsets that were set back
	Reads      int64 // entities that will be read back, with force
}

// Replay sets the apply group of a stopped pipeline back to the beginning of both
// topics: the next run goes through every wake-up again, and makes no call for what
// is applied (invariant 5). With force every entity is first read back in Stytch:
// what was changed there is repaired, what is gone is created again, and what
// somebody else wrote into a guarded field is parked, not overwritten (invariant 12).
func Replay(ctx context.Context, cfg Config, pool *pgxpool.Pool, kafka []kgo.Opt, force bool) (Replayed, error) {
	client, err := kgo.NewClient(kafka...)
	if err != nil {
		return Replayed{}, fmt.Errorf("replay: open Kafka: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	group := Group(cfg.Name)
	described, err := admin.DescribeGroups(ctx, group)
	if err != nil {
		return Replayed{}, fmt.Errorf("replay: describe group %s: %w", group, err)
	}
	if members := len(described[group].Members); members > 0 {
		return Replayed{}, fmt.Errorf("replay: group %s has %d members; stop the pipeline first, on every machine", group, members)
	}
	var r Replayed
	offsets := kadm.Offsets{}
	for _, lane := range lanes {
		starts, err := admin.ListStartOffsets(ctx, schemas.ApplyTopic(cfg.Prefix, lane))
		if err == nil {
			err = starts.Error()
		}
		if err != nil {
			return Replayed{}, fmt.Errorf("replay: find the beginning of %s: %w", schemas.ApplyTopic(cfg.Prefix, lane), err)
		}
		starts.Offsets().Each(func(o kadm.Offset) { offsets.Add(o); r.Partitions++ })
	}
	if force {
		// before the offsets: a replay that ends half-way reads too much, not too little
		if r.Reads, err = ledger.NewApplier(pool).WantReads(ctx); err != nil {
			return Replayed{}, fmt.Errorf("replay: %w", err)
		}
	}
	if err := admin.CommitAllOffsets(ctx, group, offsets); err != nil {
		return Replayed{}, fmt.Errorf("replay: set group %s back: %w", group, err)
	}
	return r, nil
}
