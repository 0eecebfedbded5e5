package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/schemas"
)

// takeOverBound is what a take-over may take, in milliseconds.
const takeOverBound = 5000

// takeOvers measures how long source and transform have no owner when theirs is killed
// or stopped: from the signal to the successor's first committed effect. That is, of a
// row committed right after the signal, that a read_committed reader has it, and that
// its entity is evaluated. A row reaches the transform through the source: where one
// instance owned both, its transform is measured with both take-overs, beside each
// other.
func takeOvers(b *bench) {
	w := b.world(200, 200)
	c := b.cluster(w, 3)
	topic := b.readTopic(w)
	for _, f := range falls {
		times := f.times
		if b.quick {
			times = 1
		}
		for _, connector := range []string{"source", "transform"} {
			var took []float64
			for n := range times {
				at := c.owner(connector)
				token := fmt.Sprintf("%s %s %d", f.name, connector, n)
				begun := time.Now()
				f.strike(c.processes[at])
				w.Exec(b, "UPDATE users SET name = $1 WHERE id = 1", token)
				in, evaluated := topic.has(token), b.evaluated(w, token)
				if connector == "source" {
					took = append(took, milliseconds(in.Sub(begun)))
				} else {
					took = append(took, milliseconds(evaluated.Sub(begun)))
				}
				f.restore(c, at)
			}
			name := fmt.Sprintf("cluster/take-over/%s/%s, %d times/", connector, f.name, times)
			b.report(name+"p50", median(took), "ms", "bound", takeOverBound)
			b.report(name+"max", quantile(took, 1), "ms", "bound", takeOverBound)
		}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// evaluated waits until the ledger wants a name of a member, and returns when it did.
func (b *bench) evaluated(w *harness.World, name string) time.Time {
	b.until("the evaluation", func() bool { return count(b, w.LedgerPool, "desired->>'name' = '"+name+"'") > 0 })
	return time.Now()
}

// topicReader notes when records came into a topic, as a read_committed reader sees
// them.
type topicReader struct {
	b    *bench
	mu   sync.Mutex
	seen []arrival
}

type arrival struct {
	value []byte
	at    time.Time
}

// readTopic follows the users' topic from now on.
func (b *bench) readTopic(w *harness.World) *topicReader {
	client, err := kgo.NewClient(kgo.SeedBrokers(w.Brokers...), kgo.ConsumeTopics(schemas.DataTopic(w.Prefix, usersTable)),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtEnd()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	b.ok(err)
	r := &topicReader{b: b}
	ctx, cancel := context.WithCancel(b.ctx)
	var over sync.WaitGroup
	over.Go(func() {
		for ctx.Err() == nil {
			client.PollFetches(ctx).EachRecord(func(record *kgo.Record) {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.seen = append(r.seen, arrival{record.Value, time.Now()})
			})
		}
	})
	b.Cleanup(func() { cancel(); over.Wait(); client.Close() })
	w.Exec(b, "UPDATE users SET name = 'reading' WHERE id = 1")
	r.has("reading") // what comes before an offset was looked up is not read
	return r
}

// has waits for a record whose value holds a word, and returns when it came.
func (r *topicReader) has(word string) (at time.Time) {
	r.b.until("the row in Kafka", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, a := range r.seen {
			if bytes.Contains(a.value, []byte(word)) {
				at = a.at
				return true
			}
		}
		return false
	})
	return at
}
