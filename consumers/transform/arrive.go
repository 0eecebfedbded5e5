package transform

import (
	"slices"

	"github.com/backstitch/backstitch/schemas"
)

// part is what was read of one partition and not filled yet.
type part struct {
	topicPartition
	queue []*event // in offset order; filled ones are cut off
	bytes int
	// delivered is the offset after the last delivered record, control records
	// included: only they tell that nothing more is to come (hazard S28).
	delivered int64
	// filled is the offset after the last data record handed to a fill.
	filled int64
	paused bool
}

// head is the partition's next event before end. When there is none, arrived tells
// whether it holds everything before end, or must still be read.
func (p *part) head(end int64) (e *event, arrived bool) {
	if len(p.queue) > 0 {
		if p.queue[0].offset < end {
			return p.queue[0], false
		}
		return nil, true // over-read: it waits for the next checkpoint
	}
	return nil, p.delivered >= end || p.filled >= end
}

func (p *part) pop() *event {
	e := p.queue[0]
	p.queue[0] = nil
	p.queue = p.queue[1:]
	p.bytes -= e.size
	p.filled = e.offset + 1
	return e
}

// tableFeed merges a table's partitions by version.
type tableFeed struct {
	table *mirrorTable
	parts []*part
	// empty holds the versions at which the table was emptied, in order.
	empty []*control
}

// batch is what one fill transaction fills.
type batch struct {
	events map[*mirrorTable][]*event // in version order
	next   map[topicPartition]int64
	rows   int
	bytes  int
	// emptied is set in a batch of its own: the table loses every row here.
	emptied *control
	table   *mirrorTable
}

// mergeState is how a table's merge stopped.
type mergeState int

const (
	mergeArrived mergeState = iota // everything before the ends is taken
	mergePending                   // a partition's next event is not known yet
	mergeFull                      // the batch is full
	mergeEmptied                   // the table is emptied at this place
)

// merge moves events before ends into b, in version order over the table's
// partitions, until b holds rows or bytes enough. The two halves of a primary-key
// update share a change LSN; they are never in two batches, because the second may
// need what the first takes away (hazard S6).
func (f *tableFeed) merge(b *batch, ends map[topicPartition]int64, rows, bytes int) mergeState {
	var last *event
	if taken := b.events[f.table]; len(taken) > 0 {
		last = taken[len(taken)-1]
	}
	for {
		next, second, pending := f.least(ends)
		if pending {
			return mergePending
		}
		if len(f.empty) > 0 && (next == nil || next.queue[0].version.Compare(f.empty[0].Version) > 0) {
			return mergeEmptied
		}
		if next == nil {
			return mergeArrived
		}
		for {
			e := next.queue[0]
			if full := b.rows >= rows || b.bytes >= bytes; full && (last == nil || !halves(last, e)) {
				return mergeFull
			}
			b.events[f.table] = append(b.events[f.table], next.pop())
			b.rows++
			b.bytes += e.size
			b.next[next.topicPartition] = next.filled
			last = e
			h, _ := next.head(ends[next.topicPartition])
			if h == nil || second != nil && !before(h, second) || len(f.empty) > 0 && h.version.Compare(f.empty[0].Version) > 0 {
				break
			}
		}
	}
}

// halves reports whether b is the other half of a's row change.
func halves(a, b *event) bool {
	return a.version.Change != 0 && a.version.Epoch == b.version.Epoch && a.version.Commit == b.version.Commit && a.version.Change == b.version.Change
}

// open reports whether the last event taken is the first half of a primary-key
// update, whose second half must be in the same batch.
func (b *batch) open(t *mirrorTable) bool {
	taken := b.events[t]
	for i := len(taken) - 1; i >= 0; i-- {
		if !halves(taken[len(taken)-1], taken[i]) || taken[i].movedFrom != "" {
			return false
		}
		if taken[i].movedAway {
			return true
		}
	}
	return false
}

// least is the partition whose next event before the ends has the lowest version,
// and the next event of the runner-up.
func (f *tableFeed) least(ends map[topicPartition]int64) (first *part, second *event, pending bool) {
	for _, p := range f.parts {
		e, arrived := p.head(ends[p.topicPartition])
		switch {
		case e == nil && !arrived:
			return nil, nil, true
		case e == nil:
		case first == nil:
			first = p
		case before(e, first.queue[0]):
			first, second = p, first.queue[0]
		case second == nil || before(e, second):
			second = e
		}
	}
	return first, second, false
}

// before orders the heads of two partitions. Of a row change's two halves the one
// that gives the old key up comes first; rows read by a backfill have no order.
func before(a, b *event) bool {
	if c := a.version.Compare(b.version); c != 0 || a.version.Change == 0 {
		return c <= 0
	}
	return a.movedAway
}

// feedItem is a record of the checkpoints topic that matters: a checkpoint or a
// control record.
type feedItem struct {
	offset     int64
	checkpoint *schemas.Checkpoint
	control    *control
}

// control is a control record at its place.
type control struct {
	schemas.Control
	offset    int64
	consentID int64
	done      bool // its effect is in the ledger, or on its way there
}

// appendCheckpoint adds a checkpoint to the feed and drops those that nobody needs
// any more: between two control records only the newest that ends a transaction
// counts, and the newest after that.
func appendCheckpoint(feed []feedItem, item feedItem) []feedItem {
	for n := len(feed); n > 0 && feed[n-1].checkpoint != nil; n-- {
		if !item.checkpoint.Position.EndsTransaction && feed[n-1].checkpoint.Position.EndsTransaction {
			break
		}
		feed = feed[:n-1]
	}
	return append(feed, item)
}

// pick chooses the checkpoint to go to: the newest that ends a transaction and lies
// ahead of what is filled, else the newest (hazards C3, C4). A control record that
// waits for a person is never passed (invariant 7): held tells which. The second
// result is the index of the chosen item, -1 for none.
func pick(feed []feedItem, usable func(feedItem) bool, waits func(*control) bool) (at int, held *control) {
	at = -1
	for i, item := range feed {
		if item.control != nil {
			if waits(item.control) {
				return at, item.control
			}
			continue
		}
		if usable(item) && (item.checkpoint.Position.EndsTransaction || at < 0 || !feed[at].checkpoint.Position.EndsTransaction) {
			at = i
		}
	}
	return at, nil
}

// controlsBefore are the controls of the feed before index at.
func controlsBefore(feed []feedItem, at int) (controls []*control) {
	for _, item := range feed[:at] {
		if item.control != nil {
			controls = append(controls, item.control)
		}
	}
	slices.SortStableFunc(controls, func(a, b *control) int { return a.Version.Compare(b.Version) })
	return controls
}
