package publisher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

var errNoTopic = errors.New("the topic does not exist")

// readAll hands every committed record of a one-partition topic to take, up to the
// last stable offset at the start. Control records are kept while reading, because
// only they show that the end has been reached (hazard S28).
func readAll(ctx context.Context, kafka []kgo.Opt, topic string, take func(*kgo.Record) error) error {
	client, err := kgo.NewClient(append(append([]kgo.Opt{}, kafka...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords())...)
	if err != nil {
		return fmt.Errorf("make a Kafka client: %w", err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	details, err := adm.ListTopics(ctx, topic)
	if err != nil {
		return fmt.Errorf("look up topic %s: %w", topic, err)
	}
	if d, ok := details[topic]; !ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
		return fmt.Errorf("read topic %s: %w", topic, errNoTopic)
	}
	ends, err := adm.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("read the end of topic %s: %w", topic, err)
	}
	end, _ := ends.Lookup(topic, 0)
	return drain(ctx, client, topic, end.Offset, take)
}

func drain(ctx context.Context, client *kgo.Client, topic string, end int64, take func(*kgo.Record) error) error {
	for next := int64(0); next < end; {
		fetches := client.PollFetches(ctx)
		if err := fetchError(ctx, fetches); err != nil {
			return fmt.Errorf("read topic %s: %w", topic, err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			next = r.Offset + 1
			if r.Attrs.IsControl() {
				continue
			}
			if err := take(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// Request writes a backfill request, for whoever owns the source now or later.
func Request(ctx context.Context, kafka []kgo.Opt, prefix string, request producers.BackfillRequest) error {
	value, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode the backfill request: %w", err)
	}
	client, err := kgo.NewClient(kafka...)
	if err != nil {
		return fmt.Errorf("make a Kafka client: %w", err)
	}
	defer client.Close()
	record := &kgo.Record{Topic: schemas.CheckpointsTopic(prefix), Key: []byte(request.Key()), Value: value}
	if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
		return fmt.Errorf("write the backfill request: %w", err)
	}
	return nil
}

// ReadControls hands over every control record that the checkpoints topic holds.
func ReadControls(ctx context.Context, kafka []kgo.Opt, prefix string, take func(*schemas.Control)) error {
	return readAll(ctx, kafka, schemas.CheckpointsTopic(prefix), func(r *kgo.Record) error {
		if !strings.HasPrefix(string(r.Key), schemas.KeyControlPrefix) || r.Value == nil {
			return nil
		}
		c, err := schemas.DecodeControl(r.Value)
		if err != nil {
			return err
		}
		take(c)
		return nil
	})
}
