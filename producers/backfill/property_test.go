package backfill_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/backstitch/backstitch/producers/backfill"
	"github.com/backstitch/backstitch/schemas"
)

// keyKinds are primary keys and how a row's one is made from a random number.
var keyKinds = []struct{ name, columns, key, value string }{
	{"int", "id int", "id", "i - 300"},
	{"bigint, descending heap", "id bigint", "id", "-i * 10000000000"},
	{"uuid", "id uuid", "id", "md5(i::text)::uuid"},
	{"text", "id text", "id", "left(md5(i::text), 9)"},
	{"text, C collation", `id text COLLATE "C"`, "id", "CASE WHEN i % 2 = 0 THEN upper(md5(i::text)) ELSE md5(i::text) END"},
	{"text, ICU collation", `id text COLLATE "en-x-icu"`, "id", `CASE WHEN i % 2 = 0 THEN 'É' ELSE 'e' END || E'\\ '' \t' || i`},
	{"varchar and int", "a varchar(20), b int", "a, b", "'t' || i % 5, i"},
	{"low cardinality first", "a bool, b uuid", "a, b", "i % 2 = 0, md5(i::text)::uuid"},
	{"three columns, key in another order", "a int, b text, c date", "c, a, b", "i % 3, 'x' || i, '2020-01-01'::date + i % 7"},
	{"numeric", "id numeric", "id", "(i - 200) / 7.0"},
	{"timestamptz", "id timestamptz", "id", "'2024-03-02 01:02:03+05'::timestamptz + i * interval '1 hour 1 microsecond'"},
	{"bytea", "id bytea", "id", "decode(md5(i::text), 'hex')"},
	{"char", "id char(12)", "id", "'k' || i"},
	{"enum and int", "a elsewhere.mood, b int", "a, b", "(ARRAY['sad', 'ok', 'happy'])[1 + i % 3]::elsewhere.mood, i"},
	{"float", "id float8", "id", "CASE i WHEN 5 THEN 'NaN'::float8 WHEN 6 THEN '-Infinity' ELSE sin(i) END"},
	{"citext outside the search path", "id elsewhere.citext", "id", "(CASE WHEN i % 2 = 0 THEN 'B' ELSE 'a' END || i)::elsewhere.citext"},
	{"domain over citext", "id elsewhere.login", "id", "(CASE WHEN i % 2 = 0 THEN 'B' ELSE 'a' END || i)::text::elsewhere.login"},
}

// TestReadIsExact: whatever the key's type, the sizes, the number of workers and
// the interruptions, every row under the snapshot is read once, and progress stays
// small (hazard S16).
func TestReadIsExact(t *testing.T) {
	t.Parallel()
	s := newSource(t, "CREATE SCHEMA elsewhere", "CREATE EXTENSION citext SCHEMA elsewhere", "CREATE DOMAIN elsewhere.login AS elsewhere.citext",
		"CREATE TYPE elsewhere.mood AS ENUM ('sad', 'ok', 'happy')")
	for n, kind := range keyKinds {
		for _, partitioned := range []bool{false, true} {
			table := fmt.Sprintf("k%d_%t", n, partitioned)
			s.exec(t, createTable(table, kind.columns, kind.key, partitioned)...)
			t.Run(kind.name+map[bool]string{true: ", partitioned"}[partitioned], func(t *testing.T) {
				rapid.Check(t, func(rt *rapid.T) { checkExact(t, rt, s, table, kind.value) })
			})
		}
	}
}

func createTable(name, columns, key string, partitioned bool) []string {
	first := strings.Split(key, ", ")[0]
	create := fmt.Sprintf("CREATE TABLE %s (%s, pad text, PRIMARY KEY (%s))", name, columns, key)
	if !partitioned {
		return []string{create}
	}
	return []string{
		create + " PARTITION BY HASH (" + first + ")",
		fmt.Sprintf("CREATE TABLE %[1]s_0 PARTITION OF %[1]s FOR VALUES WITH (MODULUS 2, REMAINDER 0)", name),
		fmt.Sprintf("CREATE TABLE %[1]s_1 PARTITION OF %[1]s FOR VALUES WITH (MODULUS 2, REMAINDER 1)", name),
	}
}

var errEnough = errors.New("the process dies here")

func checkExact(t *testing.T, rt *rapid.T, s source, table, value string) {
	rows := rapid.SampledFrom([]int{0, 1, 2, 10, 100, 600}).Draw(rt, "rows")
	cfg := backfill.Config{
		Workers:    rapid.IntRange(1, 4).Draw(rt, "workers"),
		RangeRows:  rapid.SampledFrom([]int{1, 2, 7, 30, 1000}).Draw(rt, "range rows"),
		RangeBytes: rapid.SampledFrom([]int{1, 500, 8 << 20}).Draw(rt, "range bytes"),
	}
	s.exec(t, "TRUNCATE "+table, fmt.Sprintf("INSERT INTO %s SELECT %s, repeat('x', i %% 300) FROM (SELECT i FROM generate_series(0, %d) i ORDER BY md5(i::text || 'o')) r", table, value, rows-1))
	captured := s.describe(t, table)
	seen := map[string]int{}
	progress := map[string]schemas.TableProgress{}
	name := captured[0].Relation.String()
	lasts := 0
	for run := 0; !progress[name].Done; run++ {
		if run > 40 {
			rt.Fatal("the table is never complete")
		}
		conn := connectAs(t, s.cfg, nil)
		var snapshot string
		must(rt, queryRow(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT pg_export_snapshot()", &snapshot))
		batches := rapid.IntRange(1, 60).Draw(rt, "batches until it ends")
		crash := rapid.Bool().Draw(rt, "crash")
		if run == 40 {
			batches = 1 << 30
		}
		stop := make(chan struct{})
		err := backfill.Read(t.Context(), cfg, s.cfg, snapshot, captured, progressCopy(progress), stop, func(_ context.Context, b backfill.Batch) error {
			if batches--; batches == 0 {
				if crash {
					return errEnough
				}
				close(stop)
			}
			size := 0
			for _, row := range b.Rows {
				seen[strings.Join(text(row), "|")]++
				for _, v := range row {
					size += len(v.Data)
				}
			}
			if len(b.Rows) > cfg.RangeRows || len(b.Rows) > 1 && size > cfg.RangeBytes {
				rt.Errorf("a range of %d rows and %d bytes", len(b.Rows), size)
			}
			if b.Last {
				lasts++
			}
			p := backfill.Merge(progress[name], b.Range)
			if p.Done != b.Last {
				rt.Errorf("merged progress is done: %t, the batch is the last: %t", p.Done, b.Last)
			}
			if len(p.Ranges) > 2*cfg.Workers+1 {
				rt.Errorf("progress has %d ranges with %d workers", len(p.Ranges), cfg.Workers)
			}
			progress[name] = p
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			rt.Fatal(err)
		}
		must(rt, conn.Close(context.Background()))
	}
	if lasts != 1 {
		rt.Errorf("%d batches were the last", lasts)
	}
	compareRows(rt, s, table, seen)
}

func progressCopy(p map[string]schemas.TableProgress) map[string]schemas.TableProgress {
	c := map[string]schemas.TableProgress{}
	for k, v := range p {
		v.Ranges = slices.Clone(v.Ranges)
		c[k] = v
	}
	return c
}

// compareRows compares what was read with what a plain query prints.
func compareRows(rt *rapid.T, s source, table string, seen map[string]int) {
	conn := s.PgConn()
	results, err := conn.Exec(context.Background(), "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET bytea_output = 'hex'; SELECT * FROM "+table).ReadAll()
	must(rt, err)
	want := results[len(results)-1].Rows
	for _, row := range want {
		values := make([]string, len(row))
		for i, v := range row {
			values[i] = "=" + string(v)
			if v == nil {
				values[i] = "NULL"
			}
		}
		key := strings.Join(values, "|")
		if seen[key] != 1 {
			rt.Errorf("row %q was read %d times", key, seen[key])
		}
		delete(seen, key)
	}
	for key := range seen {
		rt.Errorf("row %q was read but does not exist", key)
	}
}

func must(rt *rapid.T, err error) {
	if err != nil {
		rt.Helper()
		rt.Fatal(err)
	}
}
