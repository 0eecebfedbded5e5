package pipeline

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// BadReplay says what a replay was asked for that cannot be: a mistake of usage.
type BadReplay struct{ what string }

func (e *BadReplay) Error() string { return e.what }

func badReplay(format string, args ...any) error {
	return &BadReplay{fmt.Sprintf(format, args...)}
}

// ReplayFrom says where a replay begins, in the words of kafka-consumer-groups:
// exactly one of the first three is set.
type ReplayFrom struct {
	Earliest bool
	// Datetime: in each partition the first record at or after it.
	Datetime *time.Time
	// Offset in each partition. Outside of the topic it is moved to its nearest end.
	Offset *int64
	// Topics restricts it to topics, and to partitions of them; an empty list means
	// all partitions, an empty map all topics of the connector.
	Topics map[string][]int32
}

// ReplayPartition is what a replay does with one partition.
type ReplayPartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// Current is the connector's next offset, New where the replay begins, End the
	// topic's end.
	Current int64 `json:"current_offset"`
	New     int64 `json:"new_offset"`
	End     int64 `json:"log_end_offset"`
}

// resolve finds the offsets from which topics are replayed, and says what it had to
// move. current is where the connector stands; a partition that it never read begins
// at its start. A replay only goes back: what it would skip is not read otherwise.
func (f ReplayFrom) resolve(ctx context.Context, kafka []kgo.Opt, topics []string, current map[string]map[int32]int64) ([]ReplayPartition, []string, error) {
	if err := f.known(topics); err != nil {
		return nil, nil, err
	}
	client, err := kgo.NewClient(kafka...)
	if err != nil {
		return nil, nil, fmt.Errorf("kafka: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if len(f.Topics) > 0 {
		topics = slices.Sorted(maps.Keys(f.Topics))
	}
	starts, err := listed(admin.ListStartOffsets(ctx, topics...))
	if err != nil {
		return nil, nil, err
	}
	ends, err := listed(admin.ListCommittedOffsets(ctx, topics...))
	if err != nil {
		return nil, nil, err
	}
	wanted := starts
	if f.Datetime != nil {
		if wanted, err = listed(admin.ListOffsetsAfterMilli(ctx, f.Datetime.UnixMilli(), topics...)); err != nil {
			return nil, nil, err
		}
	}
	var list []ReplayPartition
	var notices []string
	for _, topic := range topics {
		partitions := slices.Sorted(maps.Keys(starts[topic]))
		for _, p := range f.Topics[topic] {
			if !slices.Contains(partitions, p) {
				return nil, nil, badReplay("--topic: %s has the partitions 0 to %d, not %d", topic, len(partitions)-1, p)
			}
		}
		if chosen := f.Topics[topic]; len(chosen) > 0 {
			partitions = slices.Compact(slices.Sorted(slices.Values(chosen)))
		}
		for _, p := range partitions {
			r := ReplayPartition{Topic: topic, Partition: p, Current: starts[topic][p], New: wanted[topic][p], End: ends[topic][p]}
			if at, ok := current[topic][p]; ok {
				r.Current = max(at, starts[topic][p])
			}
			if f.Offset != nil {
				r.New = *f.Offset
			}
			notices = append(notices, r.clamp(starts[topic][p])...)
			list = append(list, r)
		}
	}
	return list, notices, nil
}

// clamp moves New into what can be replayed, and says so.
func (r *ReplayPartition) clamp(start int64) (notices []string) {
	move := func(to int64, why string, args ...any) {
		notices = append(notices, fmt.Sprintf("%s partition %d: %s; it begins at %d", r.Topic, r.Partition, fmt.Sprintf(why, args...), to))
		r.New = to
	}
	switch {
	case r.New < start:
		move(start, "offset %d is below the earliest one", r.New)
	case r.New > r.End:
		move(min(r.Current, r.End), "offset %d is above the end %d", r.New, r.End)
	case r.New > r.Current:
		move(r.Current, "offset %d is ahead of the connector, and a replay only goes back", r.New)
	}
	return notices
}

// known refuses topics that the connector does not read.
func (f ReplayFrom) known(topics []string) error {
	for topic := range f.Topics {
		if !slices.Contains(topics, topic) {
			return badReplay("--topic %s: the connector reads %s", topic, strings.Join(topics, ", "))
		}
	}
	return nil
}

func listed(offsets kadm.ListedOffsets, err error) (map[string]map[int32]int64, error) {
	if err == nil {
		err = offsets.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("kafka: list offsets: %w", err)
	}
	at := map[string]map[int32]int64{}
	offsets.Each(func(o kadm.ListedOffset) {
		if at[o.Topic] == nil {
			at[o.Topic] = map[int32]int64{}
		}
		at[o.Topic][o.Partition] = o.Offset
	})
	return at, nil
}
