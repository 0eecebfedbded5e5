package transform

import (
	"encoding/binary"
	"time"

	"github.com/backstitch/backstitch/schemas"
)

// event is a record of a data topic, decoded and reduced to what the mirror holds.
type event struct {
	offset  int64
	version schemas.Version
	commit  time.Time
	deleted bool // a delete or a tombstone
	// key identifies the row; row holds the mirror's columns in their order, of a
	// deleted row only the key.
	key string
	row schemas.Row
	// movedFrom is the key that a primary-key update took from this row; movedAway
	// says that a deletion is the first half of one (hazard S6).
	movedFrom string
	movedAway bool
	size      int
}

// rowKey is a row's identity: its key values, each after its length.
func rowKey(values []schemas.Value) string {
	n := 0
	for _, v := range values {
		n += len(v.Data) + binary.MaxVarintLen32
	}
	b := make([]byte, 0, n)
	for _, v := range values {
		b = binary.AppendUvarint(b, uint64(len(v.Data)))
		b = append(b, v.Data...)
	}
	return string(b)
}

// keyValues takes a row's identity apart again.
func keyValues(key string) []schemas.Value {
	var values []schemas.Value
	for b := []byte(key); len(b) > 0; {
		n, w := binary.Uvarint(b)
		values = append(values, schemas.Value{State: schemas.Text, Data: b[w : w+int(n)]})
		b = b[w+int(n):]
	}
	return values
}

// folded is what the events of a batch make of one row.
type folded struct {
	key  string
	gone bool
	// row is the image after the batch; an Unchanged value is the one of the
	// mirror's row base (hazard C15). Without base it was never seen.
	row  schemas.Row
	base string
	bulk bool
	// first and last are the oldest and the newest event, for their places.
	first, last *event
}

// unresolved reports whether a value must come from the mirror.
func (f *folded) unresolved() bool {
	if f.gone {
		return false
	}
	for i := range f.row {
		if f.row[i].State == schemas.Unchanged {
			return true
		}
	}
	return false
}

// fold reduces a table's events, in version order, to one image per key, column by
// column: a value that an event leaves unchanged is the one that an earlier event
// of the batch set, else the mirror's (hazard C15). The rows come in the order of
// their keys' first event.
func fold(events []*event, bulk func(schemas.Version) bool) []*folded {
	byKey := make(map[string]*folded, len(events))
	rows := make([]*folded, 0, len(events))
	// what a key that was given up held: the row that takes it over may follow
	var left map[string]folded
	for _, e := range events {
		f := byKey[e.key]
		if f == nil {
			f = &folded{key: e.key, base: e.key, first: e}
			byKey[e.key] = f
			rows = append(rows, f)
		}
		f.last = e
		f.bulk = f.bulk || bulk(e.version)
		if e.deleted {
			if e.movedAway && !f.gone {
				if left == nil {
					left = map[string]folded{}
				}
				left[e.key] = *f
			}
			f.gone, f.row, f.base = true, nil, ""
			continue
		}
		before := *f
		if e.movedFrom != "" {
			if l, ok := left[e.movedFrom]; ok {
				before = l
			} else {
				before = folded{base: e.movedFrom}
			}
		}
		f.gone, f.base = false, before.base
		f.row = merge(before.row, e.row)
	}
	return rows
}

// merge is the image next, its unchanged values taken from before where that has them.
func merge(before, next schemas.Row) schemas.Row {
	if before == nil {
		return next
	}
	var merged schemas.Row
	for i := range next {
		if next[i].State != schemas.Unchanged || before[i].State == schemas.Unchanged {
			continue
		}
		if merged == nil {
			merged = append(schemas.Row(nil), next...)
		}
		merged[i] = before[i]
	}
	if merged == nil {
		return next
	}
	return merged
}
