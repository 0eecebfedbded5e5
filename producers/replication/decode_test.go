package replication

import (
	"testing"

	"github.com/backstitch/backstitch/schemas"
)

// message builds pgoutput messages for the decoder's tests.
type message struct{ b []byte }

func (m message) raw(b ...byte) message { m.b = append(m.b[:len(m.b):len(m.b)], b...); return m }
func (m message) text(s string) message { return m.raw(append([]byte(s), 0)...) }
func (m message) u16(n uint16) message  { return m.raw(byte(n>>8), byte(n)) }
func (m message) u32(n uint32) message  { return m.u16(uint16(n >> 16)).u16(uint16(n)) }
func (m message) u64(n uint64) message  { return m.u32(uint32(n >> 32)).u32(uint32(n)) }
func (m message) val(s string) message  { return m.raw('t').u32(uint32(len(s))).raw([]byte(s)...) }

func begin(commit uint64, xid uint32) []byte {
	return message{}.raw('B').u64(commit).u64(1).u32(xid).b
}

func relation(oid uint32, identity byte) []byte {
	return message{}.raw('R').u32(oid).text("public").text("Team").raw(identity).u16(3).
		raw(1).text("id").u32(23).u32(0xffffffff).
		raw(0).text("name").u32(25).u32(0xffffffff).
		raw(0).text("note").u32(25).u32(0xffffffff).b
}

func decodeAll(t *testing.T, d *decoder, wal schemas.LSN, b []byte) *Event {
	t.Helper()
	e, err := d.decode(wal, b)
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	return e
}

func TestDecodeRows(t *testing.T) {
	t.Parallel()
	d := newDecoder()
	decodeAll(t, d, 1, begin(900, 7))
	shape := decodeAll(t, d, 0, relation(5, 'd'))
	if shape.Kind != Shape || shape.Relation.Table.String() != "public.Team" || len(shape.Relation.Columns) != 3 {
		t.Fatalf("shape = %+v", shape.Relation)
	}
	insert := decodeAll(t, d, 100, message{}.raw('I').u32(5).raw('N').u16(3).val("1").raw('n').val("x").b)
	if insert.Op != schemas.Create || insert.New[1].State != schemas.Null || string(insert.New[2].Data) != "x" || insert.XID != 7 || insert.Commit != 900 {
		t.Fatalf("insert = %+v", insert)
	}
	// A key change: the key-only old row's other columns are absent, not NULL.
	update := decodeAll(t, d, 101, message{}.raw('U').u32(5).raw('K').u16(3).val("1").raw('n').raw('n').
		raw('N').u16(3).val("2").val("b").raw('u').b)
	if update.Op != schemas.Update || update.Old[1].State != schemas.Absent || update.New[2].State != schemas.Unchanged {
		t.Fatalf("update = %+v", update)
	}
	del := decodeAll(t, d, 102, message{}.raw('D').u32(5).raw('K').u16(3).val("2").raw('n').raw('n').b)
	if del.Op != schemas.Delete || del.New != nil || string(del.Old[0].Data) != "2" {
		t.Fatalf("delete = %+v", del)
	}
}

// With REPLICA IDENTITY FULL the value that TOAST left out of the new row is taken
// from the old one.
func TestDecodeFillsToastFromFullOldRow(t *testing.T) {
	t.Parallel()
	d := newDecoder()
	decodeAll(t, d, 1, begin(900, 7))
	decodeAll(t, d, 0, relation(5, 'f'))
	e := decodeAll(t, d, 101, message{}.raw('U').u32(5).raw('O').u16(3).val("1").val("a").val("long").
		raw('N').u16(3).val("1").val("b").raw('u').b)
	if e.New[2].State != schemas.Text || string(e.New[2].Data) != "long" {
		t.Fatalf("new[2] = %+v", e.New[2])
	}
}

// hazard S1: rows that share a change LSN are told apart by their count, and the
// count starts again with each change LSN and each transaction.
func TestDecodeCountsRowsOfOneLSN(t *testing.T) {
	t.Parallel()
	d := newDecoder()
	row := message{}.raw('I').u32(5).raw('N').u16(3).val("1").raw('n').raw('n').b
	decodeAll(t, d, 1, begin(900, 7))
	decodeAll(t, d, 0, relation(5, 'd'))
	for i, want := range []struct {
		wal schemas.LSN
		n   uint32
	}{{100, 0}, {100, 1}, {100, 2}, {140, 0}, {140, 1}} {
		if got := decodeAll(t, d, want.wal, row).N; got != want.n {
			t.Errorf("row %d: n = %d, want %d", i, got, want.n)
		}
	}
	decodeAll(t, d, 1, begin(950, 8))
	if got := decodeAll(t, d, 140, row).N; got != 0 {
		t.Errorf("first row of the next transaction: n = %d, want 0", got)
	}
}

func TestDecodeRefusesRowWithoutRelation(t *testing.T) {
	t.Parallel()
	d := newDecoder()
	if _, err := d.decode(1, message{}.raw('I').u32(5).raw('N').u16(0).b); err == nil {
		t.Fatal("want an error")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(begin(900, 7))
	f.Add(relation(5, 'd'))
	f.Add(message{}.raw('I').u32(5).raw('N').u16(3).val("1").raw('n').val("x").b)
	f.Add(message{}.raw('U').u32(5).raw('K').u16(3).val("1").raw('n').raw('n').raw('N').u16(3).val("2").val("b").raw('u').b)
	f.Add(message{}.raw('D').u32(5).raw('K').u16(3).val("2").raw('n').raw('n').b)
	f.Add(message{}.raw('T').u32(2).raw(1).u32(5).u32(6).b)
	f.Add(message{}.raw('C').raw(0).u64(1).u64(2).u64(3).b)
	f.Add(message{}.raw('M').raw(1).u64(9).text("backstitch").u32(0).b)
	f.Fuzz(func(t *testing.T, b []byte) {
		d := newDecoder()
		if _, err := d.decode(0, relation(5, 'd')); err != nil {
			t.Fatal(err)
		}
		e, err := d.decode(1, b)
		if err != nil || e == nil || e.Kind != Change {
			return
		}
		if e.OID == 5 && len(d.relations) == 1 {
			for _, row := range []schemas.Row{e.Old, e.New} {
				if row != nil && len(row) != 3 {
					t.Fatalf("a row of %d columns for a relation of 3", len(row))
				}
			}
		}
	})
}
