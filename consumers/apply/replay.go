package apply

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/spans"
	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/avro"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Replay is a replay of wake-ups that was looked at and not begun.
type Replay struct {
	// Records are the wake-ups, Selected what their entities are.
	Records int64
	ledger.Selected
	// Reads and Calls are the API calls: fresh reads, with force, and what is to be
	// written for the entities that differ. What the reads find is not foreseen.
	Reads, Calls int64

	cfg       Config
	kafka     []kgo.Opt
	selection *ledger.Selection
	force     bool
}

// PlanReplay reads the wake-ups of the spans, and says what going through them again
// would do: of one organization's entities, or of all when it is "". With force
// every entity is to be read back in Stytch first. It changes nothing. Close what
// it returns.
func PlanReplay(ctx context.Context, cfg Config, d Deps, list []spans.Span, organization string, force bool) (*Replay, error) {
	cfg = cfg.withDefaults()
	selection, err := ledger.NewSelection(ctx, d.Ledger)
	if err != nil {
		return nil, err
	}
	r := &Replay{cfg: cfg, kafka: d.Kafka, selection: selection, force: force}
	if err := r.plan(ctx, d, list, organization); err != nil {
		r.Close()
		return nil, fmt.Errorf("look at the replay: %w", err)
	}
	return r, nil
}

func (r *Replay) plan(ctx context.Context, d Deps, list []spans.Span, organization string) error {
	err := spans.Read(ctx, r.kafka, list, func(records []*kgo.Record) error {
		keys, err := wakeKeys(records)
		if err != nil {
			return err
		}
		if organization != "" {
			keys = slices.DeleteFunc(keys, func(k consumers.Key) bool { return k.Organization != organization })
		}
		r.Records += int64(len(keys))
		return r.selection.Add(ctx, keys)
	})
	if err != nil {
		return err
	}
	if r.Selected, err = r.selection.Count(ctx); err != nil {
		return err
	}
	if r.force {
		r.Reads = r.Readable
	}
	keys, err := r.selection.Differing(ctx, ForecastAtMost)
	if err != nil {
		return err
	}
	r.Calls, err = forecast(ctx, r.cfg, ledger.NewApplier(d.Ledger), keys)
	if n := int64(len(keys)); n > 0 && n < r.Differ {
		r.Calls = r.Calls * r.Differ / n
	}
	return err
}

// wakeKeys are the entities that wake-ups are about.
func wakeKeys(records []*kgo.Record) ([]consumers.Key, error) {
	keys := make([]consumers.Key, 0, len(records))
	for _, r := range records {
		if r.Value == nil {
			continue
		}
		key, err := wakeKey(r)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func wakeKey(r *kgo.Record) (consumers.Key, error) {
	_, body, err := avro.SchemaID(r.Value)
	var w schemas.Wake
	if err == nil {
		w, err = avro.DecodeWake(body)
	}
	if err != nil {
		return consumers.Key{}, fmt.Errorf("topic %s partition %d offset %d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	return consumers.Key{Kind: consumers.Kind(w.Kind), Organization: w.Organization, Entity: w.Entity}, nil
}

// Begin carries the replay out, while no instance runs the connector. In a topic it
// sets the group back to where each span begins; of one organization it makes the
// entities due and leaves the group where it is. Wants come before offsets: what ends
// half-way reads too much, not too little (invariant 5).
func (r *Replay) Begin(ctx context.Context, list []spans.Span, organization string) error {
	if r.force {
		if _, err := r.selection.WantReads(ctx, organization != ""); err != nil {
			return err
		}
	} else if organization != "" {
		if _, err := r.selection.MakeDue(ctx); err != nil {
			return err
		}
	}
	if organization != "" {
		return nil
	}
	offsets := map[string]map[int32]int64{}
	for _, s := range list {
		if offsets[s.Topic] == nil {
			offsets[s.Topic] = map[int32]int64{}
		}
		offsets[s.Topic][s.Partition] = s.From
	}
	return SetOffsets(ctx, r.cfg.Name, r.kafka, offsets)
}

// Close frees what the plan holds.
func (r *Replay) Close() { r.selection.Close() }

// SetOffsets sets the group's offsets of the given partitions. Kafka refuses it
// while the group has members.
func SetOffsets(ctx context.Context, name string, kafka []kgo.Opt, offsets map[string]map[int32]int64) error {
	client, err := kgo.NewClient(kafka...)
	if err != nil {
		return fmt.Errorf("open Kafka: %w", err)
	}
	defer client.Close()
	set := kadm.Offsets{}
	for topic, partitions := range offsets {
		for partition, at := range partitions {
			set.Add(kadm.Offset{Topic: topic, Partition: partition, At: at, LeaderEpoch: -1})
		}
	}
	if err := kadm.NewClient(client).CommitAllOffsets(ctx, Group(name), set); err != nil {
		return fmt.Errorf("set the offsets of group %s: %w", Group(name), err)
	}
	return nil
}

// Members are the clients in the consumer group, as Kafka sees them: who was killed
// stays among them until its session ends, 10 s.
func Members(ctx context.Context, name string, kafka []kgo.Opt) ([]string, error) {
	client, err := kgo.NewClient(kafka...)
	if err != nil {
		return nil, fmt.Errorf("open Kafka: %w", err)
	}
	defer client.Close()
	groups, err := kadm.NewClient(client).DescribeGroups(ctx, Group(name))
	if err != nil {
		return nil, fmt.Errorf("describe group %s: %w", Group(name), err)
	}
	members := map[string]bool{}
	for _, m := range groups[Group(name)].Members {
		members[m.ClientID+" at "+m.ClientHost] = true
	}
	return slices.Sorted(maps.Keys(members)), nil
}

// Topics are the two lanes, live first.
func Topics(prefix string) []string {
	return []string{schemas.ApplyTopic(prefix, schemas.LaneLive), schemas.ApplyTopic(prefix, schemas.LaneBackfill)}
}
