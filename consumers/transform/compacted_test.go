package transform

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/backstitch/backstitch/schemas"
	"github.com/twmb/franz-go/pkg/kgo"
)

// gate holds a client back from its next poll once a record was polled.
type gate struct {
	topic string
	after int64

	once   sync.Once
	shut   chan struct{} // closed: the record was polled
	opened chan struct{}
}

func (g *gate) OnFetchRecordUnbuffered(r *kgo.Record, polled bool) {
	if polled && r.Topic == g.topic && r.Offset >= g.after {
		g.once.Do(func() { close(g.shut) })
	}
}

func (g *gate) OnPollStart(ctx context.Context) {
	if ctx == nil || !isClosed(g.shut) { // a client that closes drains itself without one
		return
	}
	select {
	case <-g.opened:
	case <-ctx.Done():
	}
}

// hazard C11: of a transaction that touched two rows compaction has left one, because
// a later transaction wrote the other again. At the first one's checkpoint the topics
// tell of a state that never was. A reader that starts anew reads the checkpoints to
// their end before it goes to any.
func TestACompactedPastIsNotEvaluated(t *testing.T) {
	t.Parallel()
	f := docsFeeder(t)
	f.reading().insert("docs", 1, "a", nil, nil, nil).insert("docs", 2, "b", nil, nil, nil).end()
	f.loaded()
	both := f.begin().update("docs", 1, "c", nil, nil, nil).update("docs", 2, "d", nil, nil, nil)
	left := both.records[1:] // what compaction left
	f.check(f.kafka.BeginTransaction())
	results := f.kafka.ProduceSync(f.ctx, left...)
	f.check(results.FirstErr())
	r := results[0].Record
	f.ends[r.Topic].Ends[r.Partition] = max(f.ends[r.Topic].Ends[r.Partition], r.Offset+1)
	f.last = schemas.Position{Version: schemas.EndOf(f.epoch, both.commit), EndLSN: both.commit + 0x28, EndsTransaction: true, CommitTime: time.Now()}
	value, err := schemas.Encode(f.checkpoint())
	f.check(err)
	many := slices.Repeat([]*kgo.Record{nil}, pollRecords+500) // more than one poll takes
	for i := range many {
		many[i] = &kgo.Record{Topic: schemas.CheckpointsTopic(f.prefix), Key: []byte(schemas.KeyCheckpoint), Value: value}
	}
	f.check(f.kafka.ProduceSync(f.ctx, many...).FirstErr())
	f.check(f.kafka.EndTransaction(f.ctx, kgo.TryCommit))
	f.begin().update("docs", 1, "e", nil, nil, nil).end()

	g := &gate{topic: schemas.CheckpointsTopic(f.prefix), after: pollRecords / 2, shut: make(chan struct{}), opened: make(chan struct{})}
	tr := f.start(func(tr *Transform) { tr.deps.Kafka = append(slices.Clone(tr.deps.Kafka), kgo.WithHooks(g)) })
	f.until("one poll of the checkpoints is read", func() bool { return isClosed(g.shut) })
	quiet := time.Now()
	f.until("nothing is evaluated for two seconds", func() bool {
		if n := f.number("SELECT count(*) FROM backstitch.passes"); n != 0 {
			t.Fatal("a checkpoint was evaluated that is not the newest")
		}
		return time.Since(quiet) > 2*time.Second
	})
	close(g.opened)
	f.evaluated(tr)
	f.same()
	if n := f.number("SELECT count(*) FROM backstitch.passes WHERE cause = 'load' AND commit_lsn <> $1", int64(f.commit)); n != 0 {
		t.Errorf("%d passes are of an older checkpoint", n)
	}
}
