package publisher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/schemas"
)

// topic is what is known of a data topic.
type topic struct {
	id       string
	ends     []int64 // by partition, over the recorded count
	maxBytes int
}

// week is the least compaction lag and delete retention of data topics, in ms: a
// consumer that was away for less finds every delete (hazard C10).
const week = "604800000"

// DataTopicConfigs is the configuration of a data topic.
func DataTopicConfigs(maxRecordBytes int) map[string]string {
	return map[string]string{
		"cleanup.policy":        "compact",
		"min.compaction.lag.ms": week,
		"delete.retention.ms":   week,
		"max.message.bytes":     strconv.Itoa(maxRecordBytes),
	}
}

// CheckpointTopicConfigs is the configuration of the checkpoints topic: segments
// small enough that the whole topic is read in a moment.
func CheckpointTopicConfigs(maxRecordBytes int) map[string]string {
	return map[string]string{
		"cleanup.policy":            "compact",
		"segment.bytes":             strconv.Itoa(16 << 20),
		"min.cleanable.dirty.ratio": "0.1",
		"delete.retention.ms":       week,
		"max.message.bytes":         strconv.Itoa(maxRecordBytes),
	}
}

// ensure creates the topics that are missing and returns what is there.
func ensure(ctx context.Context, adm *kadm.Client, cfg Config, partitions int, configs map[string]string, names ...string) (kadm.TopicDetails, error) {
	details, err := adm.ListTopics(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("look up the topics: %w", err)
	}
	var missing []string
	for _, name := range names {
		d, ok := details[name]
		switch {
		case !ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			missing = append(missing, name)
		case d.Err != nil:
			return nil, fmt.Errorf("look up topic %s: %w", name, d.Err)
		}
	}
	if len(missing) == 0 {
		return details, nil
	}
	if !cfg.CreateTopics {
		return nil, stage.Hold("Create them (compacted, min.compaction.lag.ms and delete.retention.ms of 7 days or more), or set kafka.topics.create",
			"topics %v do not exist and the configuration says not to create them", missing)
	}
	full := make(map[string]*string)
	for k, v := range configs {
		full[k] = &v
	}
	for k, v := range cfg.TopicConfigs {
		full[k] = &v
	}
	created, err := adm.CreateTopics(ctx, int32(partitions), cfg.ReplicationFactor, full, missing...)
	if err != nil {
		return nil, fmt.Errorf("create topics %v: %w", missing, err)
	}
	for _, c := range created.Sorted() {
		if c.Err != nil && !errors.Is(c.Err, kerr.TopicAlreadyExists) {
			return nil, fmt.Errorf("create topic %s: %w", c.Topic, c.Err)
		}
	}
	return awaitTopics(ctx, adm, names)
}

// awaitTopics waits until every broker's answer knows the topics and their leaders.
func awaitTopics(ctx context.Context, adm *kadm.Client, names []string) (kadm.TopicDetails, error) {
	for {
		details, err := adm.ListTopics(ctx, names...)
		if err != nil {
			return nil, fmt.Errorf("look up the new topics: %w", err)
		}
		if details.Error() == nil && len(details) >= len(names) && !slices.ContainsFunc(details.Sorted(), func(d kadm.TopicDetail) bool {
			return slices.ContainsFunc(d.Partitions.Sorted(), func(p kadm.PartitionDetail) bool { return p.Leader < 0 })
		}) {
			return details, nil
		}
		if err := pause(ctx, retryEvery); err != nil {
			return nil, fmt.Errorf("wait for the new topics: %w", err)
		}
	}
}

// EnsureTopics looks up the data topics of tables, creates what is missing, and
// holds when a recorded one is another topic now, or has fewer partitions: its
// recorded ends would never be reached, its keys would move (hazard S22). With
// adopt it takes what it finds, for a new epoch.
func (p *Publisher) EnsureTopics(ctx context.Context, tables []schemas.Table, recorded map[string]schemas.TopicEnds, adopt bool) error {
	for name, r := range recorded {
		p.topics[name] = &topic{id: r.ID, ends: slices.Clone(r.Ends), maxBytes: p.cfg.MaxRecordBytes}
	}
	if len(tables) == 0 {
		return nil
	}
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = schemas.DataTopic(p.cfg.Prefix, t)
		if _, known := recorded[names[i]]; !known || adopt {
			continue
		}
		if err := p.mustExist(ctx, names[i]); err != nil {
			return err
		}
	}
	details, err := ensure(ctx, p.adm, p.cfg, p.cfg.Partitions, DataTopicConfigs(p.cfg.MaxRecordBytes), names...)
	if err != nil {
		return err
	}
	limits, err := maxMessageBytes(ctx, p.adm, names)
	if err != nil {
		return err
	}
	for _, name := range names {
		d := details[name]
		r, known := recorded[name]
		switch {
		case known && r.ID == d.ID.String() && len(r.Ends) <= len(d.Partitions):
			p.topics[name].maxBytes = limits[name]
		case known && !adopt && r.ID != d.ID.String():
			return stage.Hold(fixRecreated, "topic %s has id %s, the last checkpoint says %s: it was deleted and made again, and its recorded end offsets will never be reached",
				name, d.ID, r.ID)
		case known && !adopt:
			return stage.Hold(fixRecreated, "topic %s has %d partitions, the last checkpoint says %d", name, len(d.Partitions), len(r.Ends))
		default:
			p.topics[name] = &topic{id: d.ID.String(), ends: make([]int64, len(d.Partitions)), maxBytes: limits[name]}
		}
	}
	return nil
}

const fixRecreated = "Run `backstitch backfill --all`: a new slot and epoch, every table read again"

func (p *Publisher) mustExist(ctx context.Context, name string) error {
	details, err := p.adm.ListTopics(ctx, name)
	if err != nil {
		return fmt.Errorf("look up topic %s: %w", name, err)
	}
	if d, ok := details[name]; !ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
		return stage.Hold(fixRecreated, "topic %s is gone, and with it events that the slot will not send again", name)
	}
	return nil
}

// maxMessageBytes asks how large a record batch each topic takes.
func maxMessageBytes(ctx context.Context, adm *kadm.Client, names []string) (map[string]int, error) {
	configs, err := adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("read max.message.bytes of the topics: %w", err)
	}
	limits := make(map[string]int)
	for _, rc := range configs {
		limits[rc.Name] = 1_000_000 // a little below Kafka's default
		for _, c := range rc.Configs {
			if c.Key != "max.message.bytes" || c.Value == nil {
				continue
			}
			n, err := strconv.Atoi(*c.Value)
			if err != nil {
				return nil, fmt.Errorf("read max.message.bytes of topic %s: %w", rc.Name, err)
			}
			limits[rc.Name] = n
		}
	}
	return limits, nil
}

// Topics are the data topics' identity and ends for a checkpoint.
func (p *Publisher) ends() map[string]schemas.TopicEnds {
	out := make(map[string]schemas.TopicEnds, len(p.topics))
	for name, t := range p.topics {
		out[name] = schemas.TopicEnds{ID: t.id, Ends: slices.Clone(t.ends)}
	}
	return out
}

// TopicNames lists the topics that a source with these tables writes.
func TopicNames(prefix string, tables []schemas.Table) []string {
	names := map[string]bool{schemas.CheckpointsTopic(prefix): true}
	for _, t := range tables {
		names[schemas.DataTopic(prefix, t)] = true
	}
	return slices.Sorted(maps.Keys(names))
}
