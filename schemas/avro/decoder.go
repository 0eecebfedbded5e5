package avro

import (
	"fmt"
	"sync/atomic"

	"github.com/backstitch/backstitch/schemas"
)

// Event is a decoded envelope.
type Event struct {
	Op schemas.Op
	// Before and After hold one value per Decoder.Columns, in the text that the
	// column's PostgreSQL type reads, or are nil. Their data alias the record or a
	// buffer of the event's. Before of a delete has real values in the key's columns
	// only, and fallbacks in the others, unless the table has REPLICA IDENTITY FULL:
	// old images come from the mirror (hazard C1).
	Before, After []schemas.Value
	// The source block. LSN is the commit LSN in our own records.
	Schema, Table string
	LSN           schemas.LSN
	TxID          uint32
	TsMicros      int64 // commit time in microseconds since 1970
	Snapshot      string
	Sequence      string

	arena         []byte
	before, after []schemas.Value // reused by DecodeInto
}

// Decoder reads envelopes by their writer's schema: ours, or Debezium's own of any
// version. It is immutable and safe for concurrent use.
type Decoder struct {
	fields  []field
	columns []reader
	names   []string
	source  []field
	// Strings of the source block that repeat in every record.
	schema, table, snapshot intern
}

// NewDecoder compiles a writer's value schema.
func NewDecoder(writerSchema string) (*Decoder, error) {
	n, err := parseSchema(writerSchema)
	if err != nil {
		return nil, err
	}
	d := &Decoder{fields: n.fields}
	for _, f := range n.fields {
		switch f.name {
		case "before", "after":
			value := recordOf(f.node)
			if value == nil {
				return nil, fmt.Errorf("read envelope schema %s: field %s is not null or a record", n.connect.name, f.name)
			}
			if d.columns != nil {
				continue // the named type again
			}
			for _, c := range value.fields {
				r, err := newReader(c)
				if err != nil {
					return nil, fmt.Errorf("read envelope schema %s: %w", n.connect.name, err)
				}
				d.columns = append(d.columns, r)
				d.names = append(d.names, r.name)
			}
		case "source":
			if f.node.kind == "record" {
				d.source = f.node.fields
			}
		}
	}
	if n.kind != "record" || d.columns == nil || d.source == nil {
		return nil, fmt.Errorf("read envelope schema %s %s: it is not a Debezium envelope with before, after and source", n.kind, n.name)
	}
	return d, nil
}

// recordOf is the record of a union with null.
func recordOf(n *node) *node {
	if n.kind != "union" {
		return nil
	}
	for _, b := range n.branches {
		if b.kind == "record" {
			return b
		}
	}
	return nil
}

// Columns are the names of the table's columns, in the order of the values.
func (d *Decoder) Columns() []string { return d.names }

// Decode reads an envelope's body, the 5-byte header stripped.
func (d *Decoder) Decode(body []byte) (Event, error) {
	var ev Event
	err := d.DecodeInto(body, &ev)
	return ev, err
}

// DecodeInto is Decode into an event whose buffers are used again: its former values
// are overwritten.
func (d *Decoder) DecodeInto(body []byte, ev *Event) error {
	*ev = Event{arena: ev.arena[:0], before: ev.before, after: ev.after}
	if want := len(body) + len(body)/2; cap(ev.arena) < want {
		ev.arena = make([]byte, 0, want)
	}
	in := &cursor{b: body}
	for i := range d.fields {
		f := &d.fields[i]
		switch f.name {
		case "before":
			ev.Before = d.image(f.node, &ev.before, &ev.arena, in)
		case "after":
			ev.After = d.image(f.node, &ev.after, &ev.arena, in)
		case "source":
			d.readSource(ev, in)
		case "op":
			if op := in.bytes(); len(op) == 1 {
				ev.Op = schemas.Op(op[0])
			}
		default:
			f.node.skip(in)
		}
	}
	if in.err != nil {
		return fmt.Errorf("decode change event: %w", in.err)
	}
	return nil
}

func (d *Decoder) image(n *node, values *[]schemas.Value, arena *[]byte, in *cursor) []schemas.Value {
	if b := n.branch(in); b == nil || b.kind == "null" {
		return nil
	}
	if len(*values) != len(d.columns) {
		*values = make([]schemas.Value, len(d.columns))
	}
	for i := range d.columns {
		(*values)[i], *arena = d.columns[i].read(*arena, in)
	}
	return *values
}

func (d *Decoder) readSource(ev *Event, in *cursor) {
	for i := range d.source {
		f := &d.source[i]
		n := f.node
		if n.kind == "union" {
			if n = n.branch(in); n == nil || n.kind == "null" {
				continue
			}
		}
		switch {
		case f.name == "schema" && n.kind == "string":
			ev.Schema = d.schema.string(in.bytes())
		case f.name == "table" && n.kind == "string":
			ev.Table = d.table.string(in.bytes())
		case f.name == "snapshot" && n.kind == "string":
			ev.Snapshot = d.snapshot.string(in.bytes())
		case f.name == "sequence" && n.kind == "string":
			ev.Sequence = string(in.bytes())
		case f.name == "lsn" && n.kind == "long":
			ev.LSN = schemas.LSN(in.long())
		case f.name == "txId" && n.kind == "long":
			ev.TxID = uint32(in.long())
		case f.name == "ts_us" && n.kind == "long":
			ev.TsMicros = in.long()
		case f.name == "ts_ms" && n.kind == "long":
			if millis := in.long(); ev.TsMicros == 0 {
				ev.TsMicros = millis * 1000
			}
		default:
			n.skip(in)
		}
	}
}

// KeyDecoder reads record keys by their writer's schema.
type KeyDecoder struct {
	columns []reader
	names   []string
}

// NewKeyDecoder compiles a writer's key schema.
func NewKeyDecoder(writerSchema string) (*KeyDecoder, error) {
	n, err := parseSchema(writerSchema)
	if err != nil {
		return nil, err
	}
	if n.kind != "record" {
		return nil, fmt.Errorf("read key schema: it is %s, not a record", n.kind)
	}
	d := &KeyDecoder{}
	for _, f := range n.fields {
		r, err := newReader(f)
		if err != nil {
			return nil, fmt.Errorf("read key schema %s: %w", n.connect.name, err)
		}
		d.columns = append(d.columns, r)
		d.names = append(d.names, r.name)
	}
	return d, nil
}

// Columns are the names of the key's columns, in the key's order.
func (d *KeyDecoder) Columns() []string { return d.names }

// Decode reads a key's body, the 5-byte header stripped.
func (d *KeyDecoder) Decode(body []byte) ([]schemas.Value, error) {
	in := &cursor{b: body}
	arena := make([]byte, 0, 2*len(body)+16)
	values := make([]schemas.Value, len(d.columns))
	for i := range d.columns {
		values[i], arena = d.columns[i].read(arena, in)
	}
	if in.err != nil {
		return nil, fmt.Errorf("decode record key: %w", in.err)
	}
	return values, nil
}

// intern remembers the last string, so that a repeated one is not allocated again.
type intern struct{ last atomic.Pointer[string] }

func (i *intern) string(b []byte) string {
	if s := i.last.Load(); s != nil && *s == string(b) {
		return *s
	}
	s := string(b)
	i.last.Store(&s)
	return s
}
