package transform

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/schemas"
	"github.com/twmb/franz-go/pkg/kadm"
)

// checkTopics refuses to go on from offsets that mean nothing any more: a topic
// recreated (hazard S22), an offset gone, or tombstones that may be (hazard C10).
func (o *owner) checkTopics(ctx context.Context, newest *schemas.Checkpoint) error {
	topics := []string{o.reader.checkpoints}
	for table := range o.plan.Columns {
		topics = append(topics, schemas.DataTopic(o.cfg.Prefix, table))
	}
	details, starts, err := o.lookTopicsUp(ctx, topics, newest)
	if err != nil {
		return err
	}
	rebuilt := newest.Source.Epoch > o.state.epoch && o.state.epoch > 0
	for _, topic := range topics {
		detail, ok := details[topic]
		if !ok || detail.Err != nil {
			if !o.expected(topic, newest) {
				continue // not made yet
			}
			return stage.Hold(fixRebuild, "topic %s does not exist any more", topic)
		}
		o.ids[topic] = detail.ID.String()
		if err := o.checkTopic(topic, starts[topic], rebuilt); err != nil {
			return err
		}
	}
	if rebuilt || len(o.state.next) == 0 || o.upToDate() {
		return nil
	}
	return o.checkAge(ctx, topics)
}

// checkTopic holds, or, where the source was read again since, begins the topic anew.
func (o *owner) checkTopic(topic string, starts map[int32]kadm.ListedOffset, rebuilt bool) error {
	was := o.state.topicIDs[topic]
	recreated := was != "" && was != o.ids[topic]
	if recreated && !rebuilt {
		return holdRecreated(topic)
	}
	for p, start := range starts {
		tp := topicPartition{topic, p}
		gone := o.state.next[tp] > 0 && o.state.next[tp] < start.Offset
		if gone && !rebuilt {
			return holdGone(topic, p)
		}
		if gone || recreated {
			delete(o.state.next, tp)
		}
	}
	return nil
}

// upToDate: nothing was written since the mirror was filled last.
func (o *owner) upToDate() (same bool) {
	_ = o.reader.peek(func(feed []feedItem, _ int64) { // an error comes again in follow
		same = len(feed) == 1 && feed[0].offset == o.state.next[topicPartition{o.reader.checkpoints, 0}]
	})
	return same
}

// checkAge holds a transform that was away for longer than its topics keep
// tombstones (hazard C10).
func (o *owner) checkAge(ctx context.Context, topics []string) error {
	configs, err := o.admin.DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return fmt.Errorf("read how long the topics keep deletions: %w", err)
	}
	for _, config := range configs {
		for _, c := range config.Configs {
			if c.Key != "delete.retention.ms" || c.Value == nil {
				continue
			}
			keeps, err := time.ParseDuration(*c.Value + "ms")
			if err == nil && o.state.filledAge > keeps {
				return stage.Hold(fixRebuild, "the transform was away for %s, and topic %s keeps deletions for %s: rows deleted meanwhile may have no record any more",
					o.state.filledAge.Round(time.Second), config.Name, keeps)
			}
		}
	}
	return nil
}

// expected: the topic exists, as far as the newest checkpoint knows.
func (o *owner) expected(topic string, newest *schemas.Checkpoint) bool {
	return topic == o.reader.checkpoints || newest.Topics[topic].ID != ""
}

// lookTopicsUp describes the topics. A broker may not have heard yet of a topic that
// was just made, so what is missing is asked for again for a while.
func (o *owner) lookTopicsUp(ctx context.Context, topics []string, newest *schemas.Checkpoint) (kadm.TopicDetails, kadm.ListedOffsets, error) {
	for attempt := 0; ; attempt++ {
		details, err := o.admin.ListTopics(ctx, topics...)
		if err != nil {
			return nil, nil, fmt.Errorf("look the topics up: %w", err)
		}
		missing := slices.ContainsFunc(topics, func(topic string) bool {
			d, ok := details[topic]
			return o.expected(topic, newest) && (!ok || d.Err != nil)
		})
		if !missing || attempt == 10 {
			starts, err := o.admin.ListStartOffsets(ctx, topics...)
			if err != nil {
				err = fmt.Errorf("look up where the topics begin: %w", err)
			}
			return details, starts, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		case <-time.After(look / 2):
		}
	}
}
