package transform

import (
	"context"
	"errors"
	"fmt"

	"github.com/backstitch/backstitch/internal/stage"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fetchError tells what heals by itself from what a person must decide.
func (r *reader) fetchError(ctx context.Context, e kgo.FetchError) error {
	var lost *kgo.ErrDataLoss
	switch {
	case errors.Is(e.Err, kerr.OffsetOutOfRange), errors.As(e.Err, &lost): // hazard C10
		return holdGone(e.Topic, e.Partition)
	case errors.Is(e.Err, kerr.UnknownTopicID), errors.Is(e.Err, kerr.InconsistentTopicID):
		return r.unknownID(ctx, e)
	case errors.Is(e.Err, kerr.UnknownTopicOrPartition), kerr.IsRetriable(e.Err), kgo.IsRetryableBrokerErr(e.Err):
		r.log.Debug("a fetch failed and is tried again", "topic", e.Topic, "partition", e.Partition, "error", e.Err)
		return nil
	}
	return fmt.Errorf("read topic %s partition %d: %w", e.Topic, e.Partition, e.Err)
}

// unknownID tells a topic that was recreated (hazard S22) from one whose leader has
// not heard of it yet, as brokers answer for a while after a topic is made or moved.
func (r *reader) unknownID(ctx context.Context, e kgo.FetchError) error {
	details, err := kadm.NewClient(r.client).ListTopics(ctx, e.Topic)
	detail, ok := details[e.Topic]
	if err != nil || !ok || detail.Err != nil {
		r.log.Debug("a topic's id cannot be looked up, it is tried again", "topic", e.Topic, "error", errors.Join(err, detail.Err))
		return nil
	}
	id := detail.ID.String()
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Topic == r.checkpoints && r.mu.ids[e.Topic] == "" && r.mu.head == r.from { // nothing of it was read
		r.mu.ids[e.Topic] = id
	}
	if r.mu.ids[e.Topic] != id {
		return holdRecreated(e.Topic)
	}
	r.log.Debug("a broker does not know a topic yet, it is tried again", "topic", e.Topic, "partition", e.Partition)
	return nil
}

const fixRebuild = "Run `backstitch backfill --all`: it reads the source again under a new epoch, beside the old mirror, and asks before it deletes anything"

func holdGone(topic string, partition int32) error {
	return stage.Hold(fixRebuild, "the offset to go on from is gone from topic %s partition %d: changes, deletions among them, may be lost", topic, partition)
}

func holdRecreated(topic string) error {
	return stage.Hold(fixRebuild, "topic %s was recreated since it was last read: its offsets mean something else now", topic)
}
