package apply

import (
	"context"
	"fmt"
	"testing"

	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/avro"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestLongBacklogWithoutLiveTraffic replays more wake-ups than are held in memory
// while nothing else comes: fetching, once paused, must go on when the queue has
// drained (invariants 5 and 9).
func TestLongBacklogWithoutLiveTraffic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	ctx := context.Background()
	const backlog = 3 * highWater
	topic := schemas.ApplyTopic(w.cfg.Prefix, schemas.LaneBackfill)
	for i := range backlog {
		wake := schemas.Wake{Kind: "member", Organization: fmt.Sprint(i % 97), Entity: fmt.Sprint(i), Revision: 1, Reason: "replay"}
		w.producer.Produce(ctx, &kgo.Record{
			Topic: topic, Key: []byte(wake.Key()), Value: avro.AppendWake(nil, 1, wake),
			Partition: schemas.Partition([]byte(wake.Organization), w.cfg.Partitions),
		}, nil)
	}
	if err := w.producer.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	w.start()
	admin := kadm.NewClient(w.producer)
	w.eventually("the whole backlog is read and committed", func() (bool, string) {
		offsets, err := admin.FetchOffsets(ctx, Group(w.cfg.Name))
		if err != nil {
			return false, err.Error()
		}
		var at int64
		offsets.Each(func(o kadm.OffsetResponse) { at += max(o.At, 0) })
		return at == backlog, fmt.Sprintf("%d of %d", at, backlog)
	})
}
