package replication

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/schemas"
)

// Kind is what an Event says.
type Kind uint8

// The kinds of events.
const (
	Begin    Kind = iota + 1 // a committed transaction starts
	Commit                   // it ends
	Change                   // a row of it
	Truncate                 // tables that it emptied
	Shape                    // what a table looks like from here on
	Message                  // a logical message, such as a heartbeat
)

// Event is one message of the stream. It is valid until the next call of Next:
// rows alias the receive buffer.
type Event struct {
	Kind Kind
	// WAL is XLogData's WALStart, the change LSN of a version (hazard S1).
	WAL schemas.LSN
	// N counts the rows and truncated tables of a transaction that share WAL.
	N uint32
	// XID, Commit (BEGIN's FinalLSN) and Time are set from a Begin to its Commit.
	XID    uint32
	Commit schemas.LSN
	Time   time.Time
	// End is TransactionEndLSN, set on a Commit only.
	End schemas.LSN
	// Op, OID, Old and New describe a Change. With a key-only old row (the default
	// replica identity) other columns of Old are Absent.
	Op  schemas.Op
	OID uint32
	Old schemas.Row
	New schemas.Row
	// Truncated are the OIDs of a Truncate.
	Truncated []uint32
	// Relation is set on a Shape.
	Relation *Relation
	// Prefix is a Message's.
	Prefix string
}

// Relation is a Relation message: a table's published columns at a point of the
// stream. It stays valid.
type Relation struct {
	OID      uint32
	Table    schemas.Table
	Identity byte // d default, f full, i index, n nothing
	Columns  []RelationColumn
	// Raw is the message: two that are equal describe the same shape.
	Raw []byte
}

// RelationColumn is a column as the stream describes it: its declared type, domains
// not resolved.
type RelationColumn struct {
	Name string
	Key  bool // part of the replica identity
	Type uint32
	Mod  int32
}

// decoder turns pgoutput messages into events. It remembers the relations and the
// place in the current transaction.
type decoder struct {
	event     Event
	relations map[uint32]*Relation
	old, new  schemas.Row
	lastWAL   schemas.LSN
	n         uint32
}

func newDecoder() *decoder { return &decoder{relations: make(map[uint32]*Relation)} }

// decode reads one message. A nil event means that the message says nothing of
// interest (types, origins).
func (d *decoder) decode(wal schemas.LSN, b []byte) (*Event, error) {
	r := cursor{b: b}
	kind := r.byte()
	e := &d.event
	e.WAL = wal
	e.Old, e.New, e.Truncated, e.Relation, e.End, e.N = nil, nil, nil, nil, 0, 0
	known := true
	switch kind {
	case 'B':
		d.begin(&r)
	case 'C':
		e.Kind = Commit
		r.byte()
		e.Commit, e.End, e.Time = schemas.LSN(r.uint64()), schemas.LSN(r.uint64()), pgTime(r.uint64())
	case 'I', 'U', 'D':
		if err := d.change(kind, &r); err != nil {
			return nil, err
		}
	case 'T':
		d.truncate(&r)
	case 'R':
		d.relation(&r, b)
	case 'M':
		e.Kind = Message
		r.byte()
		r.uint64()
		e.Prefix = r.text()
	case 'Y', 'O':
		known = false
	default:
		return nil, fmt.Errorf("decode the stream at %s: message type %q is not of pgoutput protocol 1", wal, kind)
	}
	if r.short {
		return nil, fmt.Errorf("decode the stream at %s: message %q ends early", wal, kind)
	}
	if !known {
		return nil, nil
	}
	return e, nil
}

func (d *decoder) begin(r *cursor) {
	e := &d.event
	e.Kind = Begin
	e.Commit, e.Time, e.XID = schemas.LSN(r.uint64()), pgTime(r.uint64()), r.uint32()
	d.lastWAL, d.n = 0, 0
}

// place counts what shares a change LSN: rows of one COPY do.
func (d *decoder) place() uint32 {
	if d.event.WAL == d.lastWAL {
		d.n++
	} else {
		d.lastWAL, d.n = d.event.WAL, 0
	}
	return d.n
}

func (d *decoder) change(kind byte, r *cursor) error {
	e := &d.event
	e.Kind, e.OID = Change, r.uint32()
	rel := d.relations[e.OID]
	if rel == nil {
		return fmt.Errorf("decode the stream at %s: a row of relation %d came before its description", e.WAL, e.OID)
	}
	e.N = d.place()
	part := r.byte()
	if part == 'K' || part == 'O' {
		d.old = r.tuple(d.old[:0], rel, part == 'K')
		e.Old = d.old
		if kind == 'U' {
			part = r.byte()
		}
	}
	switch kind {
	case 'I':
		e.Op = schemas.Create
	case 'U':
		e.Op = schemas.Update
	case 'D':
		e.Op = schemas.Delete
	}
	if part == 'N' {
		d.new = r.tuple(d.new[:0], rel, false)
		e.New = d.new
	}
	if (kind == 'D') == (e.New != nil) || (kind == 'D') != (e.New == nil && e.Old != nil) {
		return fmt.Errorf("decode the stream at %s: message %q of relation %d lacks a row", e.WAL, kind, e.OID)
	}
	// REPLICA IDENTITY FULL: the old row carries the value that TOAST left out.
	if e.New != nil && e.Old != nil {
		for i := range e.New {
			if e.New[i].State == schemas.Unchanged && i < len(e.Old) && e.Old[i].State <= schemas.Text {
				e.New[i] = e.Old[i]
			}
		}
	}
	return nil
}

func (d *decoder) truncate(r *cursor) {
	e := &d.event
	e.Kind = Truncate
	n := r.uint32()
	r.byte()
	e.N = d.place()
	for range n {
		if r.short {
			return
		}
		e.Truncated = append(e.Truncated, r.uint32())
	}
	d.n += n
}

func (d *decoder) relation(r *cursor, raw []byte) {
	rel := &Relation{OID: r.uint32(), Raw: bytes.Clone(raw)}
	rel.Table = schemas.Table{Schema: r.text(), Name: r.text()}
	rel.Identity = r.byte()
	for range r.uint16() {
		if r.short {
			return
		}
		c := RelationColumn{Key: r.byte()&1 != 0, Name: r.text()}
		c.Type, c.Mod = r.uint32(), int32(r.uint32())
		rel.Columns = append(rel.Columns, c)
	}
	if r.short {
		return
	}
	d.relations[rel.OID] = rel
	d.event.Kind, d.event.Relation, d.event.OID = Shape, rel, rel.OID
}

// cursor reads a message; reading past its end sets short and yields zeros.
type cursor struct {
	b     []byte
	short bool
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.short = true
		c.b = nil
		return nil
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uint16() uint16 {
	if b := c.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) uint32() uint32 {
	if b := c.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) uint64() uint64 {
	if b := c.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (c *cursor) text() string {
	i := bytes.IndexByte(c.b, 0)
	if i < 0 {
		c.short = true
		c.b = nil
		return ""
	}
	return string(c.take(i + 1)[:i])
}

// tuple reads a row in place. In a key-only row what is not of the key is sent as
// NULL but means absent.
func (c *cursor) tuple(row schemas.Row, rel *Relation, keyOnly bool) schemas.Row {
	n := int(c.uint16())
	if n != len(rel.Columns) {
		c.short = true
		return row
	}
	for i := range n {
		v := schemas.Value{}
		switch c.byte() {
		case 'n':
			if keyOnly && !rel.Columns[i].Key {
				v.State = schemas.Absent
			}
		case 'u':
			v.State = schemas.Unchanged
		case 't':
			v.State, v.Data = schemas.Text, c.take(int(c.uint32()))
		default:
			c.short = true
		}
		if c.short {
			return row
		}
		row = append(row, v)
	}
	return row
}

// epoch2000 is PostgreSQL's zero time, in Unix microseconds.
const epoch2000 = 946684800 * 1_000_000

func pgTime(micros uint64) time.Time { return time.UnixMicro(int64(micros) + epoch2000).UTC() }
