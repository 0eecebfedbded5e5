package transform

import (
	"fmt"
	"testing"

	"github.com/backstitch/backstitch/schemas"
	"pgregory.net/rapid"
)

// partOf3 makes a table's feed over three partitions.
func feedOf3() (*tableFeed, map[topicPartition]int64) {
	f := &tableFeed{table: &mirrorTable{topic: "t"}}
	ends := map[topicPartition]int64{}
	for p := range int32(3) {
		tp := topicPartition{"t", p}
		f.parts = append(f.parts, &part{topicPartition: tp})
		ends[tp] = 0
	}
	return f, ends
}

func (p *part) push(v schemas.Version, edit ...func(*event)) *event {
	e := &event{offset: p.delivered, version: v, size: 1}
	for _, f := range edit {
		f(e)
	}
	p.queue = append(p.queue, e)
	p.delivered++
	p.bytes++
	return e
}

func newBatch() *batch {
	return &batch{events: map[*mirrorTable][]*event{}, next: map[topicPartition]int64{}}
}

func at(commit, change uint64) schemas.Version {
	return schemas.Version{Epoch: 1, Commit: schemas.LSN(commit), Change: schemas.LSN(change)}
}

func TestArrivalCountsMarkersAndKeepsOverRead(t *testing.T) { // hazard S28, invariant 11
	t.Parallel()
	f, ends := feedOf3()
	p := f.parts[0]
	p.push(at(1, 1))
	p.push(at(2, 2)) // beyond
	ends[p.topicPartition] = 1
	b := newBatch()
	if s := f.merge(b, ends, 10, 10); s != mergeArrived || b.rows != 1 {
		t.Fatalf("state %v with %d rows, want arrived with 1", s, b.rows)
	}
	// an aborted tail: no data below the end any more, only a marker tells
	ends[p.topicPartition] = 2
	q := f.parts[1]
	ends[q.topicPartition] = 4
	if s := f.merge(b, ends, 10, 10); s != mergePending {
		t.Fatalf("state %v, want pending: partition 1 was not read", s)
	}
	q.delivered = 4
	if s := f.merge(b, ends, 10, 10); s != mergeArrived || b.rows != 2 {
		t.Fatalf("state %v with %d rows, want arrived with 2", s, b.rows)
	}
}

func TestKeyChangesAreNeverCut(t *testing.T) { // hazard S6
	t.Parallel()
	f, ends := feedOf3()
	for _, p := range f.parts {
		ends[p.topicPartition] = 10
	}
	f.parts[0].push(at(5, 1))
	f.parts[0].push(at(5, 2), func(e *event) { e.movedFrom = "k" }) // its first half is in another partition
	f.parts[1].push(at(5, 2), func(e *event) { e.movedAway = true })
	f.parts[1].push(at(5, 2), func(e *event) { e.movedAway = true }) // the tombstone
	f.parts[1].push(at(5, 3))
	f.parts[0].delivered, f.parts[2].delivered = 10, 10
	b := newBatch()
	if s := f.merge(b, ends, 2, 100); s != mergeFull {
		t.Fatalf("state %v, want full", s)
	}
	got := b.events[f.table]
	if len(got) != 4 || !got[1].movedAway || !got[2].movedAway || got[3].movedFrom == "" {
		t.Fatalf("batch of %d: the halves of a key change are cut or turned around", len(got))
	}
	// the second half not read yet: the batch stays open
	f, ends = feedOf3()
	for _, p := range f.parts {
		ends[p.topicPartition] = 10
	}
	f.parts[1].push(at(5, 2), func(e *event) { e.movedAway = true })
	f.parts[0].push(at(9, 9))
	f.parts[2].push(at(9, 9))
	b = newBatch()
	if s := f.merge(b, ends, 10, 100); s != mergePending || !b.open(f.table) {
		t.Fatalf("state %v open %v, want pending and open", s, b.open(f.table))
	}
}

func TestMergeIsInVersionOrder(t *testing.T) { // invariant 3
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f, ends := feedOf3()
		n := rapid.IntRange(0, 60).Draw(t, "n")
		var commit uint64
		for i := range n {
			commit += rapid.Uint64Range(0, 1).Draw(t, fmt.Sprint("step", i))
			f.parts[rapid.IntRange(0, 2).Draw(t, fmt.Sprint("part", i))].push(at(commit, uint64(i+1)))
		}
		for _, p := range f.parts {
			ends[p.topicPartition] = p.delivered
		}
		total := 0
		var last schemas.Version
		for {
			b := newBatch()
			s := f.merge(b, ends, rapid.IntRange(1, 7).Draw(t, "rows"), 1000)
			for _, e := range b.events[f.table] {
				if e.version.Compare(last) < 0 {
					t.Fatalf("%s after %s", e.version, last)
				}
				last = e.version
				total++
			}
			if s == mergeArrived {
				break
			}
			if s != mergeFull {
				t.Fatalf("state %v", s)
			}
		}
		if total != n {
			t.Fatalf("%d of %d events", total, n)
		}
	})
}

func TestATableIsEmptiedAtItsPlace(t *testing.T) { // hazard S25
	t.Parallel()
	f, ends := feedOf3()
	f.parts[0].push(at(1, 1))
	f.parts[0].push(at(3, 3))
	f.parts[1].push(at(2, 2))
	for _, p := range f.parts {
		ends[p.topicPartition] = p.delivered
	}
	f.empty = []*control{{Control: schemas.Control{Version: at(2, 5)}}}
	b := newBatch()
	if s := f.merge(b, ends, 10, 10); s != mergeEmptied || b.rows != 2 {
		t.Fatalf("state %v after %d rows, want emptied after 2", s, b.rows)
	}
	f.empty = nil
	if s := f.merge(b, ends, 10, 10); s != mergeArrived || b.rows != 3 {
		t.Fatalf("state %v after %d rows, want arrived after 3", s, b.rows)
	}
}

func TestPick(t *testing.T) { // invariants 7 and 11, hazard C3
	t.Parallel()
	point := func(offset int64, ends bool) feedItem {
		return feedItem{offset: offset, checkpoint: &schemas.Checkpoint{Position: schemas.Position{EndsTransaction: ends}}}
	}
	hold := func(offset int64) feedItem { return feedItem{offset: offset, control: &control{offset: offset}} }
	tests := map[string]struct {
		feed   []feedItem
		filled int64 // checkpoints below are behind the fill
		want   int64 // offset, -1: none
		held   bool
	}{
		"none":                                {nil, 0, -1, false},
		"the newest that ends a transaction":  {[]feedItem{point(1, true), point(2, true), point(3, false)}, 0, 2, false},
		"in the middle of a large one":        {[]feedItem{point(2, false), point(3, false)}, 0, 3, false},
		"what is behind the fill is no state": {[]feedItem{point(1, true), point(3, false)}, 2, 3, false},
		"nothing beyond what waits":           {[]feedItem{point(1, true), hold(2), point(3, true)}, 0, 1, true},
		"held at once":                        {[]feedItem{hold(2), point(3, true)}, 0, -1, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var feed []feedItem
			for _, item := range test.feed {
				if item.checkpoint != nil {
					feed = appendCheckpoint(feed, item)
				} else {
					feed = append(feed, item)
				}
			}
			i, held := pick(feed, func(i feedItem) bool { return i.offset >= test.filled }, func(*control) bool { return true })
			got := int64(-1)
			if i >= 0 {
				got = feed[i].offset
			}
			if got != test.want || (held != nil) != test.held {
				t.Errorf("goes to %d held %v, want %d held %v", got, held != nil, test.want, test.held)
			}
		})
	}
}
