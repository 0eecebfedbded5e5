// Package spans reads again what stands between two offsets of topics.
package spans

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// silence is how long topics may show no record that must be there.
const silence = 30 * time.Second

// Span is the records of one partition at the offsets From to Until-1.
type Span struct {
	Topic       string
	Partition   int32
	From, Until int64
}

type place struct {
	topic     string
	partition int32
}

// Read hands all committed records of the spans to each, in batches of at most
// 10,000; markers are not among them. Where compaction has taken the last records
// of a span, the next one behind it ends it: some record or marker must stand at or
// behind Until-1. Nothing is read for an empty span.
func Read(ctx context.Context, kafka []kgo.Opt, list []Span, each func([]*kgo.Record) error) error {
	left := map[place]int64{} // until
	from := map[string]map[int32]kgo.Offset{}
	for _, s := range list {
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
	client, err := kgo.NewClient(append(slices.Clone(kafka), kgo.ConsumePartitions(from), kgo.FetchMaxBytes(8<<20),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())...)
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
		if err := each(within(fetches, left)); err != nil {
			return err
		}
	}
	return nil
}

// within are the records that lie in what is left, which it shortens.
func within(fetches kgo.Fetches, left map[place]int64) []*kgo.Record {
	var records []*kgo.Record
	fetches.EachRecord(func(r *kgo.Record) {
		at := place{r.Topic, r.Partition}
		until, open := left[at]
		if !open {
			return
		}
		if r.Offset >= until-1 {
			delete(left, at)
		}
		if r.Offset < until && !r.Attrs.IsControl() {
			records = append(records, r)
		}
	})
	return records
}
