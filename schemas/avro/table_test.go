package avro

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/schemas"
)

// fieldsOf are the fields of a table's Value record, as parsed JSON.
func fieldsOf(t *testing.T, tab *Table) map[string]map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(tab.ValueSchema()), &v); err != nil {
		t.Fatal(err)
	}
	codecFromText(t, tab.ValueSchema())
	codecFromText(t, tab.KeySchema())
	value := v["fields"].([]any)[0].(map[string]any)["type"].([]any)[1].(map[string]any)
	fields := map[string]map[string]any{}
	for _, f := range value["fields"].([]any) {
		f := f.(map[string]any)
		fields[f["name"].(string)] = f
	}
	return fields
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	column := func(name string, oid uint32, mod int32, notNull bool, text string) schemas.Column {
		return schemas.Column{Name: name, Type: builtinType(oid, mod), NotNull: notNull, HasDefault: true, Default: text}
	}
	volatile := func(c schemas.Column) schemas.Column { c.Volatile = true; return c }
	rel := &schemas.Relation{Table: schemas.Table{Schema: "public", Name: "defaults"}, Key: []int{0}, Columns: []schemas.Column{
		volatile(column("id", 23, -1, true, "nextval('s')")),
		column("nullable", 23, -1, false, "5"), volatile(column("created", 1184, -1, false, "now()")),
		column("price", 1700, numericMod102, true, "1.28"), column("tags", 1009, -1, true, "{}"), column("filled", 1009, -1, true, "{a}"),
		column("nan", 1700, -1, true, "NaN"), column("day", 1082, -1, true, "1970-01-11"), column("ratio", 701, -1, true, "0.5"),
		column("weird", 701, -1, true, "NaN"), column("raw", 17, -1, true, `\xff00`), column("doc", 3802, -1, true, "{}"),
	}}
	tab := table(t, rel)
	fields := fieldsOf(t, tab)
	for name, want := range map[string]string{
		"id":       `0 {"connect.default":0,"type":"int"}`,
		"nullable": `5 [{"connect.default":5,"type":"int"},"null"]`,
		"created":  `null ["null",{"connect.name":"io.debezium.time.ZonedTimestamp","connect.version":1,"type":"string"}]`,
		"day":      `10 {"connect.default":10,"connect.name":"io.debezium.time.Date","connect.version":1,"type":"int"}`,
		"ratio":    `0.5 {"connect.default":0.5,"type":"double"}`,
		"weird":    `none "double"`,
		"tags":     `[] {"connect.default":[],"items":["null","string"],"type":"array"}`,
		"filled":   `none {"items":["null","string"],"type":"array"}`,
		"raw":      `"ÿ\u0000" {"connect.default":"ÿ\u0000","type":"bytes"}`,
		"doc":      `"{}" {"connect.default":"{}","connect.name":"io.debezium.data.Json","connect.version":1,"type":"string"}`,
	} {
		def := "none"
		if d, ok := fields[name]["default"]; ok {
			b, _ := json.Marshal(d)
			def = string(b)
		}
		typ, _ := json.Marshal(fields[name]["type"])
		if got := def + " " + string(typ); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if w := strings.Join(tab.Warnings(), "\n"); !strings.Contains(w, "column nan: its default is left out") {
		t.Errorf("a default that cannot travel is not named: %s", w)
	}
	// A key-only old image holds the defaults.
	old := make(schemas.Row, len(rel.Columns))
	for i := range old {
		old[i] = schemas.Value{State: schemas.Absent}
	}
	old[0] = schemas.Value{State: schemas.Text, Data: []byte("9")}
	b, err := tab.AppendValue(nil, 1, &schemas.Change{Op: schemas.Delete, Relation: rel, Old: old}, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder(tab.ValueSchema())
	if err != nil {
		t.Fatal(err)
	}
	ev, err := d.Decode(b[5:])
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range ev.Before {
		got = append(got, fmt.Sprintf("%d:%s", v.State, v.Data))
	}
	want := `1:9 0: 0: 1:1.28 1:{} 1:{a} 1:0 1:1970-01-11 1:0.5 1:NaN 1:\xff00 1:{}`
	if strings.Join(got, " ") != want {
		t.Errorf("a key-only old image: %s, want %s", strings.Join(got, " "), want)
	}
}

// Names that Avro forbids are adjusted as Debezium does, and come back as they were.
func TestNames(t *testing.T) {
	t.Parallel()
	rel := &schemas.Relation{Table: schemas.Table{Schema: "my schema", Name: "Team-Member"}, Key: []int{0}, Columns: []schemas.Column{
		{Name: "teamId", Type: builtinType(23, -1), NotNull: true},
		{Name: "e-mail", Type: builtinType(25, -1)},
		{Name: "2fa", Type: builtinType(16, -1)},
		{Name: "größe", Type: builtinType(23, -1)},
	}}
	tab, err := NewTable("acme.eu-1", "postgres", rel)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(tab.KeySchema(), `"namespace":"acme.eu_1.my_schema.Team_Member"`) {
		t.Errorf("namespace: %s", tab.KeySchema())
	}
	fields := fieldsOf(t, tab)
	for _, name := range []string{"teamId", "e_mail", "_fa", "gr__e"} {
		if fields[name] == nil {
			t.Errorf("no field %s in %v", name, fields)
		}
	}
	d, err := NewDecoder(tab.ValueSchema())
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(d.Columns()); got != "[teamId e-mail 2fa größe]" {
		t.Errorf("columns come back as %s", got)
	}
	k, err := NewKeyDecoder(tab.KeySchema())
	if err != nil || fmt.Sprint(k.Columns()) != "[teamId]" {
		t.Errorf("key columns: %v (%v)", k.Columns(), err)
	}
	b, err := tab.AppendValue(nil, 1, &schemas.Change{Op: schemas.Create, Relation: rel, New: rowOf(rel, map[string]string{"teamId": "1"})}, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if ev, err := d.Decode(b[5:]); err != nil || ev.Schema != "my schema" || ev.Table != "Team-Member" {
		t.Errorf("the source block has adjusted names: %+v (%v)", ev, err)
	}
}

func TestRelationsThatAreRefused(t *testing.T) {
	t.Parallel()
	id := schemas.Column{Name: "id", Type: builtinType(23, -1), NotNull: true}
	for name, rel := range map[string]*schemas.Relation{
		"no key (hazard S21)":   {Columns: []schemas.Column{id}},
		"key out of columns":    {Columns: []schemas.Column{id}, Key: []int{1}},
		"nullable key":          {Columns: []schemas.Column{{Name: "id", Type: builtinType(23, -1)}}, Key: []int{0}},
		"names that become one": {Columns: []schemas.Column{id, {Name: "a-b"}, {Name: "a b"}}, Key: []int{0}},
	} {
		if _, err := NewTable("p", "d", rel); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// A named Avro type is defined once, however many columns are of it, and a key's
// columns stand in the key's order.
func TestNamedTypesAndKeyOrder(t *testing.T) {
	t.Parallel()
	rel := &schemas.Relation{Table: schemas.Table{Schema: "public", Name: "many"}, Key: []int{2, 0}, Columns: []schemas.Column{
		{Name: "a", Type: builtinType(1700, -1), NotNull: true},
		{Name: "b", Type: builtinType(1700, -1)},
		{Name: "c", Type: builtinType(25, -1), NotNull: true},
		{Name: "p", Type: builtinType(600, -1)},
		{Name: "ps", Type: arrayType(1017, -1, 600)},
		{Name: "ns", Type: builtinType(1231, -1)},
	}}
	tab := table(t, rel)
	fieldsOf(t, tab)
	if n := strings.Count(tab.ValueSchema(), `"name":"VariableScaleDecimal"`); n != 1 {
		t.Errorf("VariableScaleDecimal is defined %d times", n)
	}
	text := map[string]string{"a": "1.50", "b": "-2", "c": "x", "p": "(1,2)", "ps": `{"(3,4)",NULL}`, "ns": "{1.0}"}
	b, err := tab.AppendValue(nil, 1, &schemas.Change{Op: schemas.Create, Relation: rel, New: rowOf(rel, text)}, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	native(t, codecFromText(t, tab.ValueSchema()), b[5:])
	d, err := NewDecoder(tab.ValueSchema())
	if err != nil {
		t.Fatal(err)
	}
	ev, err := d.Decode(b[5:])
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range rel.Columns {
		if string(ev.After[i].Data) != text[c.Name] {
			t.Errorf("%s: %s", c.Name, ev.After[i].Data)
		}
	}
	key, err := tab.AppendKey(nil, 1, rowOf(rel, text))
	if err != nil {
		t.Fatal(err)
	}
	k, err := NewKeyDecoder(tab.KeySchema())
	if err != nil {
		t.Fatal(err)
	}
	values, err := k.Decode(key[5:])
	if err != nil || string(values[0].Data) != "x" || string(values[1].Data) != "1.50" {
		t.Errorf("key %v (%v)", values, err)
	}
	if _, err := k.Decode(key[5 : len(key)-1]); err == nil {
		t.Error("half a key was read")
	}
}

// Without REPLICA IDENTITY FULL an update has no before, whatever the caller holds;
// with it, it has.
func TestBeforeOfUpdates(t *testing.T) {
	t.Parallel()
	for _, full := range []bool{false, true} {
		rel := fullRelation()
		rel.Full = full
		tab := table(t, rel)
		row := rowOf(rel, map[string]string{"id": "1", "v": "a"})
		b, err := tab.AppendValue(nil, 1, &schemas.Change{Op: schemas.Update, Relation: rel, Old: row, New: row}, time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		d, err := NewDecoder(tab.ValueSchema())
		if err != nil {
			t.Fatal(err)
		}
		if ev, err := d.Decode(b[5:]); err != nil || (ev.Before != nil) != full {
			t.Errorf("full %t: before is there: %t (%v)", full, ev.Before != nil, err)
		}
	}
}

func TestNaNIsNamedInWarnings(t *testing.T) {
	t.Parallel()
	w := table(t, usersRelation()).Warnings()
	if len(w) != 1 || !strings.Contains(w[0], "column balance") || !strings.Contains(w[0], "NaN") {
		t.Errorf("warnings %q", w)
	}
}

// Avro writes a decimal's default as a string of its bytes, and so does Debezium;
// goavro refuses the schema where the decimal is in a union, so that it cannot be
// the witness here.
func TestNullableDecimalWithDefault(t *testing.T) {
	t.Parallel()
	rel := oneColumn(schemas.Column{Name: "v", Type: builtinType(1700, numericMod102), HasDefault: true, Default: "1.28"})
	tab := table(t, rel)
	def := "\"\\u0000\u0080\"" // 128 in two bytes
	if !strings.Contains(tab.ValueSchema(), `"connect.default":`+def) || !strings.Contains(tab.ValueSchema(), `,"null"],"default":`+def) {
		t.Errorf("the default is not in the schema: %s", tab.ValueSchema())
	}
	d, err := NewDecoder(tab.ValueSchema())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []schemas.Value{{State: schemas.Text, Data: []byte("-3.05")}, {State: schemas.Null}, {State: schemas.Unchanged}} {
		row := schemas.Row{{State: schemas.Text, Data: []byte("1")}, v}
		b, err := tab.AppendValue(nil, 1, &schemas.Change{Op: schemas.Create, Relation: rel, New: row}, time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		if ev, err := d.Decode(b[5:]); err != nil || ev.After[1].State != v.State || string(ev.After[1].Data) != string(v.Data) {
			t.Errorf("%+v came back as %+v (%v)", v, ev.After, err)
		}
	}
}
