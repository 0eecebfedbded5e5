package lag

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/schemas"
)

// topics are the pipeline's topics as the brokers have them.
type topics struct {
	details kadm.TopicDetails
	// ends are the last stable offsets, starts the first ones that are there.
	ends, starts kadm.ListedOffsets
}

// place is one partition as one group reads it.
type place struct {
	group, topic string
	partition    int32
}

// group is what a group reads of a topic.
type group struct {
	name, topic string
	lane        schemas.Lane
	parts       []*part // by number
}

// part is one partition of it.
type part struct {
	place
	id               kadm.TopicID
	leader           int32
	start, next, end int64
	bytes            *int64
	seconds          *float64
}

// records is how many offsets the group has not processed. What was deleted below
// the first offset that is there is not among them.
func (p *part) records() int64 { return max(0, p.end-max(p.next, p.start)) }

func (r *Reader) sourceTopics() []string {
	var names []string
	for _, t := range r.cfg.Tables {
		names = append(names, schemas.DataTopic(r.cfg.Prefix, t))
	}
	return append(names, schemas.CheckpointsTopic(r.cfg.Prefix))
}

func (r *Reader) topics(ctx context.Context) (*topics, error) {
	names := append(r.sourceTopics(), schemas.ApplyTopic(r.cfg.Prefix, schemas.LaneLive), schemas.ApplyTopic(r.cfg.Prefix, schemas.LaneBackfill))
	var t topics
	var err error
	if t.details, err = r.admin.ListTopics(ctx, names...); err != nil {
		return nil, fmt.Errorf("describe the topics: %w", err)
	}
	there := slices.DeleteFunc(names, func(name string) bool { return t.details[name].Err != nil || len(t.details[name].Partitions) == 0 })
	if len(there) == 0 {
		return &t, nil
	}
	if t.ends, err = r.admin.ListCommittedOffsets(ctx, there...); err != nil {
		return nil, fmt.Errorf("list the last stable offsets: %w", err)
	}
	if t.starts, err = r.admin.ListStartOffsets(ctx, there...); err != nil {
		return nil, fmt.Errorf("list the first offsets: %w", err)
	}
	return &t, nil
}

// of makes a group's part of a topic; next says where it goes on.
func (t *topics) of(name, topic string, lane schemas.Lane, next func(partition int32, end int64) int64) (group, bool) {
	g := group{name: name, topic: topic, lane: lane}
	d := t.details[topic]
	for _, number := range slices.Sorted(maps.Keys(t.ends[topic])) {
		end, start := t.ends[topic][number], t.starts[topic][number]
		if end.Err != nil || start.Err != nil {
			continue
		}
		g.parts = append(g.parts, &part{
			place: place{name, topic, number}, id: d.ID, leader: d.Partitions[number].Leader,
			start: start.Offset, end: end.Offset, next: next(number, end.Offset),
		})
	}
	return g, len(g.parts) > 0
}

// stored adds what the transform reads, by the ledger's offsets.
func (r *Reader) stored(ctx context.Context, t *topics, groups *[]group) error {
	rows, err := r.deps.Ledger.Query(ctx, "SELECT topic, partition, next_offset FROM backstitch.offsets WHERE prefix = $1", r.cfg.Prefix)
	if err != nil {
		return redact.SQLError(err)
	}
	stored := map[string]map[int32]int64{}
	var topic string
	var partition int32
	var next int64
	_, err = pgx.ForEachRow(rows, []any{&topic, &partition, &next}, func() error {
		if stored[topic] == nil {
			stored[topic] = map[int32]int64{}
		}
		stored[topic][partition] = next
		return nil
	})
	if err != nil {
		return redact.SQLError(err)
	}
	for _, topic := range r.sourceTopics() {
		if g, ok := t.of(r.cfg.Name+"-transform", topic, "", func(p int32, end int64) int64 { return r.tail.goesOn(topic, p, stored[topic][p], end) }); ok {
			*groups = append(*groups, g)
		}
	}
	return nil
}

// goesOn is where the transform goes on in a partition of which the ledger says
// stored: at the end, where no checkpoint knows of another record, so that what lies
// between are markers (hazard S28). Of the checkpoints the ledger has the one that
// was reached, which is read again.
func (t *tail) goesOn(topic string, partition int32, stored, end int64) int64 {
	if t.last == nil {
		return stored
	}
	if topic == t.topic {
		if stored >= t.offset {
			return max(stored, end)
		}
		return stored + min(stored, 1)
	}
	ends := t.last.Topics[topic].Ends
	if int(partition) < len(ends) && stored >= ends[partition] {
		return max(stored, end)
	}
	return stored
}

// committed adds what apply reads, by the offsets of its group.
func (r *Reader) committed(ctx context.Context, t *topics, groups *[]group) error {
	name := r.cfg.Name + "-apply"
	committed, err := r.admin.FetchOffsets(ctx, name)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // apply has never committed anything
		return fmt.Errorf("group %s: %w", name, err)
	}
	for _, lane := range []schemas.Lane{schemas.LaneLive, schemas.LaneBackfill} {
		topic := schemas.ApplyTopic(r.cfg.Prefix, lane)
		g, ok := t.of(name, topic, lane, func(p int32, _ int64) int64 {
			o, _ := committed.Lookup(topic, p)
			return max(o.At, 0) // a group without an offset begins at the beginning
		})
		if ok {
			*groups = append(*groups, g)
		}
	}
	return nil
}

// lag sums a topic up. Its bytes are absent when a partition's are, its age is the
// oldest that is known of what lags.
func (g group) lag() admin.Lag {
	l := admin.Lag{Group: g.name, Topic: g.topic, Lane: g.lane, Bytes: new(int64)}
	for _, p := range g.parts {
		l.Partitions = append(l.Partitions, admin.LagPartition{
			Partition: p.partition, CurrentOffset: max(p.next, p.start), LogEndOffset: p.end, Records: p.records(), Bytes: p.bytes, Seconds: p.seconds,
		})
		l.Records += p.records()
		if p.bytes == nil {
			l.Bytes = nil
		} else if l.Bytes != nil {
			*l.Bytes += *p.bytes
		}
		if p.records() > 0 && p.seconds != nil && (l.Seconds == nil || *p.seconds > *l.Seconds) {
			l.Seconds = new(*p.seconds)
		}
	}
	if l.Records == 0 {
		l.Seconds = new(float64)
	}
	return l
}
