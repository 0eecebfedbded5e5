package apply

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/avro"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// silence is how long a topic may show no record that must be there.
	silence = 30 * time.Second
	// forecastAtMost bounds the entities that are planned to know their calls; of
	// more, these stand for all.
	forecastAtMost = 20000
)

// Span is the records of one partition that a replay goes through again: offsets
// From to Until-1.
type Span struct {
	Topic       string
	Partition   int32
	From, Until int64
}

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

// PlanReplay reads the wake-ups of spans, and says what going through them again
// would do: of one organization's entities, or of all when it is "". With force
// every entity is to be read back in Stytch first. It changes nothing. Close what
// it returns.
func PlanReplay(ctx context.Context, cfg Config, d Deps, spans []Span, organization string, force bool) (*Replay, error) {
	cfg = cfg.withDefaults()
	selection, err := ledger.NewSelection(ctx, d.Ledger)
	if err != nil {
		return nil, err
	}
	r := &Replay{cfg: cfg, kafka: d.Kafka, selection: selection, force: force}
	if err := r.plan(ctx, d, spans, organization); err != nil {
		r.Close()
		return nil, fmt.Errorf("look at the replay: %w", err)
	}
	return r, nil
}

func (r *Replay) plan(ctx context.Context, d Deps, spans []Span, organization string) error {
	err := r.scan(ctx, spans, func(keys []consumers.Key) error {
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
	keys, err := r.selection.Differing(ctx, forecastAtMost)
	if err != nil {
		return err
	}
	r.Calls, err = forecast(ctx, r.cfg, ledger.NewApplier(d.Ledger), keys)
	if n := int64(len(keys)); n > 0 && n < r.Differ {
		r.Calls = r.Calls * r.Differ / n
	}
	return err
}

// scan hands the keys of all wake-ups in spans to each, in batches.
func (r *Replay) scan(ctx context.Context, spans []Span, each func([]consumers.Key) error) error {
	type place struct {
		topic     string
		partition int32
	}
	left := map[place]int64{} // until
	from := map[string]map[int32]kgo.Offset{}
	for _, s := range spans {
		if s.From >= s.Until {
			continue
		}
		left[place{s.Topic, s.Partition}] = s.Until
		if from[s.Topic] == nil {
			from[s.Topic] = map[int32]kgo.Offset{}
		}
		from[s.Topic][s.Partition] = kgo.NewOffset().At(s.From)
	}
	if len(left) == 0 {
		return nil
	}
	client, err := kgo.NewClient(append(slices.Clone(r.kafka), kgo.ConsumePartitions(from), kgo.FetchMaxBytes(8<<20))...)
	if err != nil {
		return fmt.Errorf("open Kafka: %w", err)
	}
	defer client.Close()
	for len(left) > 0 {
		polled, cancel := context.WithTimeout(ctx, silence)
		fetches := client.PollRecords(polled, 10000)
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("read topic %s partition %d: %w", e.Topic, e.Partition, e.Err)
		}
		var keys []consumers.Key
		fetches.EachRecord(func(rec *kgo.Record) {
			at := place{rec.Topic, rec.Partition}
			until, open := left[at]
			if !open {
				return
			}
			if rec.Offset >= until-1 {
				delete(left, at)
			}
			if rec.Offset < until && rec.Value != nil {
				key, kerr := wakeKey(rec)
				if kerr != nil {
					err = kerr
				}
				keys = append(keys, key)
			}
		})
		if err == nil {
			err = each(keys)
		}
		if err != nil {
			return err
		}
	}
	return nil
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

// forecast counts the calls that the planner wants for entities as they are now.
func forecast(ctx context.Context, cfg Config, led *ledger.Applier, keys []consumers.Key) (calls int64, err error) {
	planner := (&Apply{cfg: cfg, digest: digester(cfg.DigestKey)}).fresh()
	for chunk := range slices.Chunk(keys, 500) {
		states, err := led.Load(ctx, chunk)
		if err != nil {
			return 0, err
		}
		for _, st := range states {
			if st == nil || st.Released {
				continue
			}
			tn := &turn{Apply: planner, task: &task{key: st.Key}}
			tn.begin(st)
			p := makePlan(tn.s)
			calls += int64(len(p.calls))
			if p.read {
				calls += 2 // the read, and the delete that it permits
			}
		}
	}
	return calls, nil
}

// Begin carries the replay out, while no instance runs the connector. In a topic it
// sets the group back to where each span begins; of one organization it makes the
// entities due and leaves the group where it is. Wants come before offsets: what ends
// half-way reads too much, not too little (invariant 5).
func (r *Replay) Begin(ctx context.Context, spans []Span, organization string) error {
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
	for _, s := range spans {
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
