package avro

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/schemas"
)

// matrix lists declared types with SQL expressions of theirs; what they print is
// PostgreSQL's business.
var matrix = []struct {
	declared string
	values   []string
}{
	{"boolean", []string{"true", "false"}},
	{"smallint", []string{"-32768", "0", "32767"}},
	{"integer", []string{"-2147483648", "0", "2147483647"}},
	{"bigint", []string{"-9223372036854775808", "0", "9223372036854775807", "(random()*1e18)::bigint"}},
	{"oid", []string{"0", "4294967295"}},
	{"real", []string{"0", "52462528", "1.30411136e8", "'-0'", "1.5", "1e6", "999999", "1e-4", "1e-5", "3.4e38", "1e-45", "'NaN'", "'Infinity'", "'-Infinity'", "16777216"}},
	{"double precision", []string{
		"0", "'-0'", "0.1", "1e15", "999999999999999", "1e-4", "1e-5", "1.7976931348623157e308", "5e-324", "'NaN'",
		"'Infinity'", "'-Infinity'", "9007199254740993", "1e22", "1e23", "-2.1158158409301408e+16", "9.5e30",
	}},
	{"text", []string{"''", "'NULL'", "'héllo ☃'", "E'a\\nb\\t\\\\'", "repeat('x', 10000)"}},
	{"varchar(20)", []string{"'vc'", "''"}},
	{"char(5)", []string{"'ch'", "''"}},
	{"name", []string{"'public'"}},
	{`"char"`, []string{"'x'"}},
	{"citext", []string{"'MiXed'"}},
	{"uuid", []string{"gen_random_uuid()"}},
	{"mood", []string{"'sad'", "'happy'"}},
	{"posint", []string{"7"}},
	{"json", []string{`'{"b": 1, "a":[1, 2]}'`, "'null'"}},
	{"jsonb", []string{`'{"b": 1, "a":[1, 2]}'`, `'"é"'`}},
	{"xml", []string{"'<a>1</a>'"}},
	{"ltree", []string{"'Top.Sci.Astro'"}},
	{"tsvector", []string{"'a fat cat'"}},
	{"hstore", []string{"''", "'a=>1, b=>NULL'", `E'"q\\"\\\\"=>"\\n\t,=>"'`, `'"NULL"=>"NULL", é=>☃'`}},
	{"bytea", []string{`'\xdeadbeef00'`, "''"}},
	{"date", []string{
		"'2024-02-29'", "'infinity'", "'-infinity'", "'4713-01-01 BC'", "'0044-03-15 BC'", "'0001-12-31 BC'", "'0001-01-01'",
		"'9999-12-31'", "'10000-01-01'", "'5874897-12-31'", "'1900-02-28'", "'2000-02-29'",
	}},
	{"time", []string{"'00:00'", "'24:00:00'", "'23:59:59.123456'", "'01:02:03.1'"}},
	{"time(3)", []string{"'23:59:59.123456'", "'01:02:03.1'"}},
	{"time(0)", []string{"'23:59:58.6'"}},
	{"timetz", []string{"'10:11:12.123456+02'", "'00:00+00'", "'01:02-03:30'", "'24:00:00+15:59:59'"}},
	{"timestamp", []string{
		"'2024-02-29 12:34:56.123456'", "'infinity'", "'-infinity'", "'4713-01-01 00:00 BC'", "'0044-03-15 01:02:03.5 BC'",
		"'1969-12-31 23:59:59.999999'", "'294246-12-31 23:59:59.999999'", "'10000-01-01 00:00'",
	}},
	{"timestamp(3)", []string{"'2024-02-29 12:34:56.1239'", "'infinity'", "'-infinity'", "'1969-12-31 23:59:59.999'", "'294276-12-31 23:59:59.999'"}},
	{"timestamp(0)", []string{"'2024-02-29 12:34:56.5'"}},
	{"timestamptz", []string{
		"'2024-02-29 12:34:56.123456+02'", "'2024-02-29 12:34:56+00'", "'infinity'", "'-infinity'", "'4713-01-01 00:00+00 BC'",
		"'0001-12-31 23:00:00.1+00 BC'", "'0001-01-01 00:00+00'", "'294276-12-31 23:59:59.999999+00'", "'10000-01-01 00:00+00'",
	}},
	{"timestamptz(0)", []string{"'2024-02-29 12:34:56.5+02'"}},
	{"interval", []string{
		"'1 year 2 mons 3 days 04:05:06.789'", "'0'", "'-1 year 3 days -04:05:06'", "'1 mon -1 day'", "'-0.5 sec'", "'1 day -00:00:01'",
		"'-178000000 years'", "'178000000 years'", "'-1 mon +1 hour'", "'1000000:00:00'", "'1 day 00:00:00.000001'", "'-1 mon 1 day -1 hour'",
	}},
	{"numeric(10,2)", []string{"0", "12345678.90", "-0.01", "99999999.99", "-99999999.99", "1.1"}},
	{"numeric(38,12)", []string{"12345678901234567890123456.123456789012", "-12345678901234567890123456.123456789012", "0"}},
	{"numeric(5,-2)", []string{"1234500"}},
	{"numeric(3,5)", []string{"0.00123"}},
	{"numeric(18)", []string{"999999999999999999", "-1"}},
	{"numeric", []string{"123.4500", "0", "0.000", "1e40", "-1e-30", "'-123456789012345678901234567890.12345678901234567890'", "128", "-128", "-129", "32768"}},
	{"money", []string{"1234.56", "-0.01", "0", "'-92233720368547758.08'", "92233720368547758.07", "1000000"}},
	{"inet", []string{"'192.168.1.7/24'", "'::1'"}},
	{"cidr", []string{"'10.0.0.0/8'"}},
	{"macaddr", []string{"'08:00:2b:01:02:03'"}},
	{"macaddr8", []string{"'08:00:2b:01:02:03:04:05'"}},
	{"bit(1)", []string{"B'0'", "B'1'"}},
	{"bit(5)", []string{"B'00000'", "B'10101'", "B'00001'"}},
	{"bit(64)", []string{"B'1'::bit(64)", "1::bit(64)"}},
	{"varbit(12)", []string{"B'0011'", "B''"}},
	{"varbit", []string{"B'00110011001100110011'"}},
	{"int4range", []string{"'[1,5)'", "'empty'", "'(,)'"}},
	{"tstzrange", []string{"'[2024-01-01 00:00+00,)'"}},
	{"datemultirange", []string{"'{[2024-01-01,2024-01-02)}'"}},
	{"point", []string{"'(1.5,-2)'", "'(NaN,Infinity)'"}},
	{"box", []string{"'(1,2),(3,4)'"}},
	{"pair", []string{`ROW(1, 'a "b"')`}},
	{"int2vector", []string{"'1 2 3'"}},
	{"jsonpath", []string{"'$.a'"}},
	{"text[]", []string{`'{a,NULL,"c,d","NULL",""}'`, "'{}'", `ARRAY['a"b', E'c\\d', '{e}', ' f', E'g\th', 'null']`}},
	{"integer[]", []string{"'{1,NULL,-3}'"}},
	{"numeric(10,2)[]", []string{"'{1.10,-2.2}'"}},
	{"timestamptz[]", []string{"'{2024-02-29 12:34:56.123456+02,infinity,NULL}'"}},
	{"timestamp(3)[]", []string{"'{2024-02-29 12:34:56.123456}'"}},
	{"uuid[]", []string{"ARRAY[gen_random_uuid()]"}},
	{"jsonb[]", []string{`ARRAY['{"a": "b"}'::jsonb]`}},
	{"mood[]", []string{"'{sad,NULL}'"}},
	{"boolean[]", []string{"'{t,f,NULL}'"}},
	{"bytea[]", []string{`ARRAY['\x00'::bytea, '']`}},
	{"hstore[]", []string{`ARRAY['a=>"b c"'::hstore]`}},
	{"interval[]", []string{"ARRAY['1 day'::interval, '-1 mon +1 hour']"}},
	{"point[]", []string{"'{\"(1,2)\"}'"}},
	{"money[]", []string{"'{\"$1,234.00\"}'"}},
	{"citext[]", []string{"'{A,b}'"}},
	{"varbit(12)[]", []string{"'{0011}'"}},
	{"bit(3)[]", []string{"'{011}'"}},
	{"date[]", []string{"'{2024-02-29,infinity}'"}},
	{"double precision[]", []string{"'{1e15,0.1,NaN}'"}},
	{"int4range[]", []string{`'{"[1,3)"}'`}},
	{"pair[]", []string{`ARRAY[ROW(1,'x')::pair]`}},
}

func pinned(t *testing.T) *pgx.Conn {
	t.Helper()
	ctx := context.Background()
	config, err := pgx.ParseConfig(testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range pgsession.Formats() {
		config.RuntimeParams[k] = v
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(ctx) })
	return conn
}

func simple(t *testing.T, conn *pgx.Conn, sql string) []*pgconn.Result {
	t.Helper()
	results, err := conn.PgConn().Exec(context.Background(), sql).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return results
}

// typeOf describes a declared type as the catalogue does, domains resolved.
func typeOf(t *testing.T, conn *pgx.Conn, declared string) schemas.TypeID {
	t.Helper()
	simple(t, conn, "DROP TABLE IF EXISTS probe; CREATE TABLE probe (v "+declared+")")
	const query = `SELECT coalesce(nullif(t.typbasetype, 0), t.oid)::oid, CASE WHEN t.typbasetype <> 0 THEN t.typtypmod ELSE a.atttypmod END,
		format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL), format_type(a.atttypid, a.atttypmod),
		ARRAY(SELECT enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY enumsortorder),
		CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END, coalesce(format_type(nullif(t.typelem, 0), NULL), ''),
		ARRAY(SELECT enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.typelem ORDER BY enumsortorder)
		FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = 'probe'::regclass AND a.attname = 'v'`
	var id, elem schemas.TypeID
	err := conn.QueryRow(context.Background(), query).Scan(&id.OID, &id.Mod, &id.Name, &id.Declared, &id.Enum, &elem.OID, &elem.Name, &elem.Enum)
	if err != nil {
		t.Fatalf("describe %s: %v", declared, err)
	}
	if elem.Mod = -1; elem.OID != 0 {
		id.Elem = &elem
	}
	return id
}

// Text → Avro → text is the identity on what PostgreSQL itself prints under the
// pinned settings, and the text casts back to the same value.
func TestPostgresTextComesBack(t *testing.T) {
	t.Parallel()
	conn := pinned(t)
	simple(t, conn, `CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree;
		CREATE TYPE mood AS ENUM ('sad','ok','happy'); CREATE DOMAIN posint AS int CHECK (value > 0); CREATE TYPE pair AS (a int, b text)`)
	for _, m := range matrix {
		id := typeOf(t, conn, m.declared)
		for _, value := range m.values {
			sql := fmt.Sprintf("SELECT (%s)::%s", value, m.declared)
			text := string(simple(t, conn, sql)[0].Rows[0][0])
			back := throughAvro(t, id, text)
			if back != text {
				t.Errorf("%s: %q came back as %q", m.declared, text, back)
			}
		}
	}
}

// throughAvro sends a text through the compiled encoder and the decoder of the
// schema that the encoder gives.
func throughAvro(t testing.TB, id schemas.TypeID, text string) string {
	t.Helper()
	rel := &schemas.Relation{Table: schemas.Table{Schema: "public", Name: "probe"}, Key: []int{0}, Columns: []schemas.Column{
		{Name: "v", Type: id, NotNull: true}, {Name: "n", Type: id},
	}}
	tab := table(t, rel)
	d, err := NewDecoder(tab.ValueSchema())
	if err != nil {
		t.Fatalf("%s: %v", id.Declared, err)
	}
	v := schemas.Value{State: schemas.Text, Data: []byte(text)}
	b, err := tab.AppendValue(nil, 1, &schemas.Change{Op: schemas.Create, Relation: rel, New: schemas.Row{v, v}}, time.Unix(0, 0))
	if err != nil {
		t.Errorf("%s %q: %v", id.Declared, text, err)
		return text
	}
	codec := codecFromText(t, tab.ValueSchema()) // what we wrote, goavro reads
	native(t, codec, b[5:])
	ev, err := d.Decode(b[5:])
	if err != nil {
		t.Fatalf("%s %q: %v", id.Declared, text, err)
	}
	if string(ev.After[0].Data) != string(ev.After[1].Data) {
		t.Errorf("%s: NOT NULL and nullable differ: %q, %q", id.Declared, ev.After[0].Data, ev.After[1].Data)
	}
	return string(ev.After[0].Data)
}

// Random values as PostgreSQL prints them, several thousand of each type.
func TestPostgresRandomTextComesBack(t *testing.T) {
	t.Parallel()
	conn := pinned(t)
	for declared, expression := range map[string]string{
		"timestamptz":      "'epoch'::timestamptz + (random()*4e6 - 2.4e6) * interval '1 day' + random() * interval '1 day'",
		"timestamp":        "'epoch'::timestamp + (random()*4e6 - 2.4e6) * interval '1 day' + random() * interval '1 day'",
		"timestamp(3)":     "('epoch'::timestamp + (random()*4e6 - 2.4e6) * interval '1 day')::timestamp(3)",
		"date":             "'epoch'::date + (random()*1e7 - 2.4e6)::int",
		"time":             "'00:00'::time + random() * interval '1 day'",
		"interval":         "(random()*200-100)::int * interval '1 mon' + (random()*10-5)::int * interval '1 day' + (random()*1e6-5e5) * interval '1 second'",
		"double precision": "(random()-0.5) * 10::float8 ^ (random()*600-300)",
		"real":             "((random()-0.5) * 10::float8 ^ (random()*70-35))::real",
		"numeric":          "((random()-0.5) * 10::float8 ^ (random()*60-30))::numeric * random()::numeric",
		"numeric(20,6)":    "((random()-0.5) * 1e13)::numeric(20,6)",
		"money":            "((random()-0.5) * 10::float8 ^ (random()*14))::numeric::money",
		"bit(37)":          "(random()*1e11)::bigint::bit(37)",
		"bigint":           "((random()-0.5)*1.8e19)::bigint",
	} {
		id := typeOf(t, conn, declared)
		rows := simple(t, conn, "SELECT ("+expression+")::"+declared+" FROM generate_series(1, 3000)")[0].Rows
		c := codecOf(id)
		for _, row := range rows {
			avro, err := c.append(nil, row[0])
			if err != nil {
				t.Errorf("%s %s: %v", declared, row[0], err)
				continue
			}
			in := &cursor{b: avro}
			if back := string(c.text(nil, in)); back != string(row[0]) || in.err != nil || in.pos != len(avro) {
				t.Errorf("%s: %s came back as %s (%v)", declared, row[0], back, in.err)
			}
		}
	}
}

// Unknown types travel as text, with a warning, and are never dropped.
func TestUnknownTypesTravelAsText(t *testing.T) {
	t.Parallel()
	conn := pinned(t)
	simple(t, conn, "CREATE TYPE pair AS (a int, b text)")
	for _, declared := range []string{"pair", "pair[]", "box", "varbit(5)", "int2vector"} {
		rel := &schemas.Relation{Table: schemas.Table{Schema: "public", Name: "probe"}, Key: []int{0}, Columns: []schemas.Column{
			{Name: "id", Type: builtinType(23, -1), NotNull: true}, {Name: "v", Type: typeOf(t, conn, declared)},
		}}
		warnings := table(t, rel).Warnings()
		if len(warnings) != 1 || !strings.Contains(warnings[0], "column v") {
			t.Errorf("%s: warnings %q", declared, warnings)
		}
	}
}
