package avro

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"

	"github.com/backstitch/backstitch/schemas"
)

// fromDebezium is the text that a column of Debezium's own records comes back as,
// where its form has lost something.
var fromDebezium = map[string]string{
	"ttz": "08:11:12.123456+00", "iv": "10303:05:06.789", "n": "123.45", "m": "1234.56", "bt": "t",
	"vb": "000000110011", "hs": `{"a":"1","b":null}`,
}

// A team that runs Debezium already can feed its topics: their bytes decode to the
// text that PostgreSQL printed.
func TestDecoderReadsDebeziumsRecords(t *testing.T) {
	t.Parallel()
	decoders := map[int]*Decoder{}
	for id, name := range oracleNames {
		if strings.Contains(name, "value") {
			d, err := NewDecoder(oracleSchema(t, name))
			if err != nil {
				t.Fatal(err)
			}
			decoders[id] = d
		}
	}
	seen := map[schemas.Op]int{}
	for _, r := range oracleRecords(t) {
		if r.value == nil {
			continue
		}
		id, body, err := SchemaID(r.value)
		if err != nil {
			t.Fatal(err)
		}
		ev, err := decoders[id].Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		seen[ev.Op]++
		if ev.Schema != "tm" || "tm.tm."+ev.Table != r.topic || ev.LSN == 0 || ev.TsMicros == 0 || ev.TxID == 0 || !strings.HasPrefix(ev.Sequence, "[") {
			t.Errorf("the source block came back as %+v", ev)
		}
		if ev.Table == "types" && ev.After != nil {
			compareWithText(t, decoders[id].Columns(), ev)
		}
	}
	for op, n := range map[schemas.Op]int{schemas.Create: 6, schemas.Update: 4, schemas.Delete: 3, schemas.Read: 3} {
		if seen[op] < n {
			t.Errorf("%d records with op %c, want %d", seen[op], op, n)
		}
	}
}

func compareWithText(t *testing.T, columns []string, ev Event) {
	t.Helper()
	id := string(ev.After[0].Data)
	want := typesText(id)
	if id == "2" { // the snapshot's second row
		want = typesText("11")
		want["id"] = id
	}
	for i, column := range columns {
		got := ev.After[i]
		text, has := want[column]
		if has && fromDebezium[column] != "" {
			text = fromDebezium[column]
		}
		switch {
		case column == "gen", id == "13" && (column == "ts" || column == "iv"), // overflowed
			ev.Op == schemas.Update && (column == "big" || column == "t" || column == "i2"):
		case got.State == schemas.Unchanged:
			if column != "big" {
				t.Errorf("row %s: column %s is unchanged", id, column)
			}
		case (got.State == schemas.Text) != has || string(got.Data) != text:
			t.Errorf("row %s, column %s: state %d text %q, want %q", id, column, got.State, got.Data, text)
		}
	}
}

// The envelope of releases before 2.7: transaction last, no ts_us and ts_ns, a
// source without the later fields.
func TestDecoderReadsOlderEnvelopes(t *testing.T) {
	t.Parallel()
	const older = `{"type":"record","name":"Envelope","namespace":"dbserver1.inventory.products","fields":[
		{"name":"before","type":["null",{"type":"record","name":"Value","fields":[{"name":"id","type":{"type":"int","connect.default":0},"default":0},
			{"name":"tags","type":["null",{"type":"array","items":"string"}],"default":null},{"name":"attrs","type":["null",{"type":"array","items":["null","double"]}],"default":null},
			{"name":"bits","type":{"type":"bytes","connect.name":"io.debezium.data.Bits","connect.parameters":{"length":"2147483647"}}}]}],"default":null},
		{"name":"after","type":["null","Value"],"default":null},
		{"name":"source","type":{"type":"record","name":"Source","namespace":"io.debezium.connector.postgresql","fields":[
			{"name":"version","type":"string"},{"name":"ts_ms","type":"long"},{"name":"extra","type":["null",{"type":"map","values":"long"}]},
			{"name":"schema","type":"string"},{"name":"table","type":"string"},{"name":"lsn","type":["null","long"],"default":null}]}},
		{"name":"op","type":"string"},{"name":"ts_ms","type":["null","long"],"default":null},
		{"name":"transaction","type":["null",{"type":"record","name":"ConnectDefault","namespace":"io.confluent.connect.avro","fields":[
			{"name":"id","type":"string"},{"name":"total_order","type":"long"}]}],"default":null}]}`
	codec := codecFromText(t, older)
	body, err := codec.BinaryFromNative(nil, map[string]any{
		"before": nil,
		"after": goavro.Union("dbserver1.inventory.products.Value", map[string]any{
			"id": int32(4), "tags": goavro.Union("array", []any{"a", "b c"}), "attrs": goavro.Union("array", []any{nil, goavro.Union("double", 1.5)}),
			"bits": []byte{0x34, 0x01},
		}),
		"source": map[string]any{
			"version": "1.9", "ts_ms": int64(1500), "extra": goavro.Union("map", map[string]any{"a": int64(1)}),
			"schema": "inventory", "table": "products", "lsn": goavro.Union("long", int64(77)),
		},
		"op": "c", "ts_ms": nil,
		"transaction": goavro.Union("io.confluent.connect.avro.ConnectDefault", map[string]any{"id": "1:2", "total_order": int64(1)}),
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder(older)
	if err != nil {
		t.Fatal(err)
	}
	ev, err := d.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%c %s.%s %d %d %s %s %s %s", ev.Op, ev.Schema, ev.Table, ev.LSN, ev.TsMicros, ev.After[0].Data, ev.After[1].Data, ev.After[2].Data, ev.After[3].Data)
	if want := `c inventory.products 77 1500000 4 {a,"b c"} {NULL,1.5} 100110100`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestDecoderRefusesOtherSchemas(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"", "{", `"string"`, `{"type":"record","name":"A","fields":[{"name":"x","type":"int"}]}`, `["null","int"]`,
		`{"type":"record","name":"A","fields":[{"name":"x","type":"Missing"}]}`,
		`{"type":"record","name":"E","fields":[{"name":"before","type":"int"}]}`,
		`{"type":"record","name":"E","fields":[{"name":"after","type":["null",{"type":"record","name":"Value","fields":[{"name":"g","type":{"type":"map","values":"int"}}]}]}]}`,
	} {
		if _, err := NewDecoder(bad); err == nil {
			t.Errorf("%s was taken for an envelope", bad)
		}
	}
	if _, err := NewKeyDecoder(`"string"`); err == nil {
		t.Error("a string was taken for a key record")
	}
}

// Values alias the record or a buffer of the event: a second event does not change
// the first.
func TestEventsDoNotShareBuffers(t *testing.T) {
	t.Parallel()
	rel := usersRelation()
	tab := table(t, rel)
	d, err := NewDecoder(tab.ValueSchema())
	if err != nil {
		t.Fatal(err)
	}
	encode := func(text map[string]string) []byte {
		b, err := tab.AppendValue(nil, 1, &schemas.Change{Op: schemas.Create, Relation: rel, New: rowOf(rel, text)}, time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		return b[5:]
	}
	first, err := d.Decode(encode(usersText(1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Decode(encode(usersText(2))); err != nil {
		t.Fatal(err)
	}
	want := rowOf(rel, usersText(1))
	for i := range want {
		if !bytes.Equal(first.After[i].Data, want[i].Data) {
			t.Errorf("column %s is %q, was %q", d.Columns()[i], first.After[i].Data, want[i].Data)
		}
		if c := cap(first.After[i].Data); c != len(first.After[i].Data) {
			t.Errorf("column %s: an append would overwrite its neighbour", d.Columns()[i])
		}
	}
}

// Tables and decoders are shared between goroutines.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	rel := usersRelation()
	tab := table(t, rel)
	d, err := NewDecoder(tab.ValueSchema())
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			row := rowOf(rel, usersText(n))
			for range 100 {
				b, err := tab.AppendValue(nil, 1, &schemas.Change{Op: schemas.Create, Relation: rel, New: row}, time.Unix(0, 0))
				if err != nil {
					t.Error(err)
					return
				}
				ev, err := d.Decode(b[5:])
				if err != nil || !bytes.Equal(ev.After[0].Data, row[0].Data) || ev.Table != "users" {
					t.Errorf("row %d came back as %+v (%v)", n, ev, err)
					return
				}
			}
		})
	}
	group.Wait()
}
