package lag

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/schemas"
)

// rateWindow is over how long a backfill's rate is taken.
const rateWindow = time.Minute

// tail follows the checkpoints: the last one, where it lies, and what those of the
// last minute say of the backfill.
type tail struct {
	kafka  []kgo.Opt
	topic  string
	client *kgo.Client
	next   int64 // offset after the last record that was read

	last    *schemas.Checkpoint
	offset  int64 // of last
	samples []sample
}

// sample is how far a backfill was.
type sample struct {
	at   time.Time
	run  int64
	rows map[string]int64
}

// catchUp reads to the last stable offset.
func (t *tail) catchUp(ctx context.Context, ends kadm.ListedOffsets) error {
	end, ok := ends.Lookup(t.topic, 0)
	if !ok || end.Offset == 0 {
		t.close() // no such topic, or made anew
		return end.Err
	}
	if end.Offset < t.next {
		t.close()
	}
	if err := t.open(); err != nil {
		return err
	}
	for t.next < end.Offset {
		fetches := t.client.PollRecords(ctx, 1000)
		err := ctx.Err()
		for _, e := range fetches.Errors() {
			err = e.Err
		}
		if err == nil {
			err = t.take(fetches)
		}
		if err != nil {
			t.close()
			return fmt.Errorf("read topic %s: %w", t.topic, err)
		}
	}
	return nil
}

func (t *tail) open() (err error) {
	if t.client != nil {
		return nil
	}
	t.client, err = kgo.NewClient(append(slices.Clone(t.kafka),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{t.topic: {0: kgo.NewOffset().AtStart()}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // the last stable offset lies behind a marker
		kgo.FetchMaxBytes(1<<20), kgo.FetchMaxWait(500*time.Millisecond), kgo.MetadataMinAge(100*time.Millisecond),
	)...)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	return nil
}

// close forgets everything.
func (t *tail) close() {
	if t.client != nil {
		t.client.Close()
	}
	t.client, t.next, t.last, t.offset, t.samples = nil, 0, nil, 0, nil
}

func (t *tail) take(fetches kgo.Fetches) error {
	for it := fetches.RecordIter(); !it.Done(); {
		rec := it.Next()
		t.next = rec.Offset + 1
		if rec.Attrs.IsControl() || string(rec.Key) != schemas.KeyCheckpoint {
			continue
		}
		c, err := schemas.DecodeCheckpoint(rec.Value)
		if err != nil {
			return err
		}
		t.last, t.offset = c, rec.Offset
		t.note(c)
	}
	return nil
}

// note keeps what the rates need: the samples of the window, and the one before it.
func (t *tail) note(c *schemas.Checkpoint) {
	s := sample{at: c.WrittenAt, run: c.Backfill.Run, rows: make(map[string]int64, len(c.Backfill.Tables))}
	for table, p := range c.Backfill.Tables {
		s.rows[table] = p.Rows
	}
	if n := len(t.samples); n > 0 && (t.samples[n-1].run != s.run || t.samples[n-1].at.After(s.at)) {
		t.samples = nil // another run, or another instance's clock
	}
	if n := len(t.samples); n > 1 && s.at.Sub(t.samples[n-2].at) < time.Second {
		t.samples = t.samples[:n-1] // a sample a second is enough
	}
	t.samples = append(t.samples, s)
	for len(t.samples) > 2 && s.at.Sub(t.samples[1].at) >= rateWindow {
		t.samples = t.samples[1:]
	}
}

// rates fills rate and ETA of the tables that are being read.
func (t *tail) rates(tables []admin.Table, now time.Time) {
	if len(t.samples) < 2 {
		return
	}
	for i := range tables {
		b := &tables[i]
		if b.Done {
			continue
		}
		rate, ok := t.rate(b.Table, now)
		if !ok {
			continue
		}
		b.RowsPerSecond = &rate
		if left := b.Estimate - b.Rows; rate > 0 && left > 0 {
			b.ETASeconds = new(float64(left) / rate)
		}
	}
}

// rate is how fast a table is read, in rows per second, since it began to be read or
// over the last minute; false when too little is known.
func (t *tail) rate(table string, now time.Time) (perSecond float64, ok bool) {
	first, last := t.samples[0], t.samples[len(t.samples)-1]
	if now.Sub(last.at) > rateWindow || last.rows[table] == first.rows[table] {
		return 0, last.at.Sub(first.at) >= time.Second // nothing was written for long, or nothing of this table
	}
	for _, s := range t.samples {
		if s.rows[table] > first.rows[table] {
			break
		}
		first = s // others were read meanwhile
	}
	elapsed := last.at.Sub(first.at).Seconds()
	return max(0, float64(last.rows[table]-first.rows[table])) / elapsed, elapsed >= 1
}
