package transform

import (
	"context"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
)

// How the offsets of the ledger are shown in Kafka.
const (
	showEvery   = time.Second
	showTimeout = 2 * time.Second
	// showAgain is when offsets that did not move are committed again: a broker
	// forgets those of a group without members after offsets.retention.minutes.
	showAgain = time.Hour
)

// consumption is how far one partition was read.
type consumption struct {
	// filled is the offset after the last record handed to a fill, delivered after
	// the last one that was read, markers included.
	filled, delivered int64
	// ahead: records that were read wait for a fill, the first of them at waiting.
	ahead   bool
	waiting int64
}

// next is the offset that a lag tool should see as consumed, where the ledger has
// stored that the partition goes on at stored. Of what lies behind the last stored
// record only markers count as consumed.
func (c consumption) next(stored int64) int64 {
	switch {
	case stored < c.filled:
		return stored
	case c.ahead:
		return max(stored, c.waiting)
	}
	return max(stored, c.delivered)
}

// groupOffsets shows the ledger's offsets as those of a Kafka consumer group, so
// that ordinary tools see the transform's lag. The ledger's are the ones that count:
// these follow its commits (invariant 10) and are never read back. It works beside
// the loop, which never waits for it.
type groupOffsets struct {
	owner *owner
	shown map[topicPartition]int64
	at    time.Time // when shown was committed whole
	warn  bool      // the last commit failed
}

// run shows the offsets each second, and once more when halt is closed.
func (g *groupOffsets) run(ctx context.Context, halt <-chan struct{}) {
	tick := time.NewTicker(showEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-halt:
			g.show(ctx)
			return
		case <-tick.C:
			g.show(ctx)
		}
	}
}

func (g *groupOffsets) show(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, showTimeout)
	defer cancel()
	err := g.commit(bounded)
	if err != nil && !g.warn && ctx.Err() == nil {
		g.owner.log.Warn("offsets cannot be committed to Kafka; lag tools will show stale ones", "group", g.owner.Connector(), "error", err)
	}
	g.warn = err != nil
}

// commit commits what has moved.
func (g *groupOffsets) commit(ctx context.Context) error {
	now := g.owner.deps.Now()
	if now.Sub(g.at) >= showAgain {
		g.shown, g.at = map[topicPartition]int64{}, now
	}
	read := g.owner.reader.consumed() // first: what is stored later is no less
	stored, err := g.stored(ctx)
	if err != nil {
		return err
	}
	offsets, moved := kadm.Offsets{}, map[topicPartition]int64{}
	for tp, c := range read {
		if next := c.next(stored[tp]); next > 0 && g.shown[tp] != next {
			moved[tp] = next
			offsets.Add(kadm.Offset{Topic: tp.topic, Partition: tp.partition, At: next, LeaderEpoch: -1})
		}
	}
	if len(moved) == 0 {
		return nil
	}
	answered, err := g.owner.admin.CommitOffsets(ctx, g.owner.Connector(), offsets)
	if err == nil {
		err = answered.Error()
	}
	if err != nil {
		g.at = time.Time{}
		return err
	}
	for tp, next := range moved {
		g.shown[tp] = next
	}
	return nil
}

// stored are the offsets that the ledger has.
func (g *groupOffsets) stored(ctx context.Context) (map[topicPartition]int64, error) {
	rows, err := g.owner.deps.Ledger.Query(ctx, "SELECT topic, partition, next_offset FROM backstitch.offsets WHERE prefix = $1", g.owner.cfg.Prefix)
	if err != nil {
		return nil, fmt.Errorf("read the ledger's offsets: %w", redact.SQLError(err))
	}
	stored := map[topicPartition]int64{}
	var tp topicPartition
	var next int64
	if _, err = pgx.ForEachRow(rows, []any{&tp.topic, &tp.partition, &next}, func() error { stored[tp] = next; return nil }); err != nil {
		return nil, fmt.Errorf("read the ledger's offsets: %w", redact.SQLError(err))
	}
	return stored, nil
}

// consumed is how far every partition was read. Of the checkpoints, what was reached
// counts as consumed when the loop is done with it.
func (r *reader) consumed() map[topicPartition]consumption {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := make(map[topicPartition]consumption, len(r.mu.parts)+1)
	for tp, p := range r.mu.parts {
		c := consumption{filled: p.filled, delivered: p.delivered}
		if len(p.queue) > 0 {
			c.ahead, c.waiting = true, p.queue[0].offset
		}
		at[tp] = c
	}
	checkpoints := consumption{delivered: r.mu.head}
	switch {
	case !r.mu.settled:
		checkpoints.delivered = 0
	case len(r.mu.feed) > 0:
		checkpoints.delivered = r.mu.feed[0].offset
	}
	at[topicPartition{r.checkpoints, 0}] = checkpoints
	return at
}

// settle says whether the loop is done with the last checkpoint that it reached.
func (r *reader) settle(done bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.settled = done
}
