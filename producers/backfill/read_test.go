package backfill_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/producers/backfill"
	"github.com/backstitch/backstitch/schemas"
)

// TestSessionSettings plays hazard S9: settings of the role or database change
// neither what is read nor how it is printed.
func TestSessionSettings(t *testing.T) {
	t.Parallel()
	s := newSource(t, "CREATE TABLE t (id date PRIMARY KEY, a timestamptz, b interval, c float8, d bytea)",
		"INSERT INTO t VALUES ('2024-03-02', '2024-03-02 01:00:00+02', '1 day 2 hours', 0.1::float8 + 0.2::float8, '\\x00ff')")
	// The test's own session is older than the settings; the reader's is younger.
	table, snapshot := s.describe(t, "t"), s.snapshot(t)
	if _, err := s.Exec(t.Context(), `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET DateStyle = "German, DMY"', current_database());
			EXECUTE format('ALTER DATABASE %I SET TimeZone = "Asia/Tokyo"', current_database());
			EXECUTE format('ALTER DATABASE %I SET IntervalStyle = "iso_8601"', current_database());
			EXECUTE format('ALTER DATABASE %I SET extra_float_digits = -3', current_database());
			EXECUTE format('ALTER DATABASE %I SET bytea_output = "escape"', current_database());
			EXECUTE format('ALTER DATABASE %I SET client_encoding = "LATIN1"', current_database());
			EXECUTE format('ALTER DATABASE %I SET search_path = "nowhere"', current_database());
			EXECUTE format('ALTER DATABASE %I SET statement_timeout = 1', current_database()); END $$`); err != nil {
		t.Fatal(err)
	}
	rows, err := rowsOf(t, s.cfg, snapshot, table[0])
	want := []string{`[=2024-03-02 =2024-03-01 23:00:00+00 =1 day 02:00:00 =0.30000000000000004 =\x00ff]`}
	if err != nil || !slices.Equal(rows, want) {
		t.Errorf("got %q, %v", rows, err)
	}
}

// TestRowLevelSecurity plays hazard S9: a role from which policies hide rows gets
// an error that says what to do, not fewer rows.
func TestRowLevelSecurity(t *testing.T) {
	t.Parallel()
	s := newSource(t, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 100)",
		"ALTER TABLE t ENABLE ROW LEVEL SECURITY", "CREATE POLICY few ON t USING (id <= 10)",
		"DO $$ BEGIN CREATE ROLE backstitch_test_reader LOGIN PASSWORD 'x'; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
		"GRANT SELECT ON t TO backstitch_test_reader")
	reader := s.cfg.Copy()
	reader.User, reader.Password = "backstitch_test_reader", "x"
	_, err := rowsOf(t, reader, s.snapshot(t), s.describe(t, "t")[0])
	if redact.SQLState(err) != "42501" || !strings.Contains(err.Error(), "BYPASSRLS") || !strings.Contains(err.Error(), `"public"."t"`) {
		t.Errorf("got %v", err)
	}
}

// TestPublishedShape: the publication's columns and row filter, the values that
// COPY escapes, and a parent without its inheritance children (hazard S9).
func TestPublishedShape(t *testing.T) {
	t.Parallel()
	s := newSource(t, `CREATE TABLE "T" (a text, "Hidden" text, id int, b text, PRIMARY KEY (id))`,
		`INSERT INTO "T" VALUES (E'tab\t newline\n return\r back\\slash \\N \x01 é', 'secret', 2, NULL), ('', 'secret', 1, E'\\N'), ('x', 'secret', 300, 'filtered')`,
		`CREATE TABLE child (PRIMARY KEY (id)) INHERITS ("T")`, `INSERT INTO child VALUES ('child', '', 1, '')`,
		`CREATE PUBLICATION p FOR TABLE ONLY "T" (id, a, b) WHERE (id < 100)`)
	conn := connectAs(t, s.cfg, pgsession.Source("test"))
	tables, err := producers.Describe(t.Context(), conn, "p")
	if err != nil || len(tables) != 1 {
		t.Fatal(tables, err)
	}
	rows, err := rowsOf(t, s.cfg, s.snapshot(t), tables[0])
	want := []string{`[= =1 =\N]`, "[=tab\t newline\n return\r back\\slash \\N \x01 é =2 NULL]"}
	if err != nil || !slices.Equal(rows, want) {
		t.Errorf("got %q, %v", rows, err)
	}
}

// TestMemoryIsBounded: 200 MB pass through readers of 1 MB ranges whose consumer
// is slower than they are (invariant 9). The test's own heap is the witness.
func TestMemoryIsBounded(t *testing.T) {
	s := newSource(t, "CREATE TABLE t (id int PRIMARY KEY, v text)", "ALTER TABLE t ALTER v SET STORAGE EXTERNAL",
		"INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 200000) i")
	table, snapshot := s.describe(t, "t"), s.snapshot(t)
	var base, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&base)
	var peak uint64
	rows := 0
	err := backfill.Read(t.Context(), backfill.Config{Workers: 4, RangeBytes: 1 << 20}, s.cfg, snapshot, table, nil, nil, func(_ context.Context, b backfill.Batch) error {
		rows += len(b.Rows)
		runtime.ReadMemStats(&now)
		peak = max(peak, now.HeapAlloc)
		return nil
	})
	if err != nil || rows != 200_000 {
		t.Fatalf("%d rows, %v", rows, err)
	}
	if used := int64(peak) - int64(base.HeapAlloc); used > 24<<20 {
		t.Errorf("the heap grew by %d MB", used>>20)
	}
}

func TestEmitFails(t *testing.T) {
	t.Parallel()
	s := newSource(t, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 10000)")
	table, snapshot := s.describe(t, "t"), s.snapshot(t)
	calls := 0
	err := backfill.Read(t.Context(), backfill.Config{RangeRows: 10, Workers: 4}, s.cfg, snapshot, table, nil, nil, func(context.Context, backfill.Batch) error {
		calls++
		return errEnough
	})
	if !errors.Is(err, errEnough) || calls != 1 {
		t.Errorf("%d calls, then %v", calls, err)
	}
	if _, err := rowsOf(t, s.cfg, "00000003-0000001B-1", table[0]); err == nil || !strings.Contains(err.Error(), "snapshot") {
		t.Errorf("a snapshot that is gone: %v", err)
	}
	short := map[string]schemas.TableProgress{"public.t": {Ranges: []schemas.Range{{To: []string{"1", "2"}}}}}
	err = backfill.Read(t.Context(), backfill.Config{}, s.cfg, snapshot, table, short, nil, func(context.Context, backfill.Batch) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "the key has changed") {
		t.Errorf("progress of another key: %v", err)
	}
}

// TestMerge: neighbours grow together in any order, unbounded ends never meet, and
// the argument stays as it was (hazard S16).
func TestMerge(t *testing.T) {
	t.Parallel()
	key := func(s string) []string { return []string{s} }
	one := schemas.Range{To: key("a")}
	two := schemas.Range{From: key("a"), To: key("")}
	three := schemas.Range{From: key("")}
	for _, order := range [][]schemas.Range{{one, two, three}, {one, three, two}, {two, one, three}, {three, two, one}, {three, one, two}, {two, three, one}} {
		var p schemas.TableProgress
		for i, r := range order {
			if p.Done {
				t.Errorf("%v: done after %d", order, i)
			}
			before := slices.Clone(p.Ranges)
			next := backfill.Merge(p, r)
			if !slices.EqualFunc(before, p.Ranges, func(a, b schemas.Range) bool { return slices.Equal(a.From, b.From) && slices.Equal(a.To, b.To) }) {
				t.Error("the argument was changed")
			}
			p = next
		}
		if !p.Done || len(p.Ranges) != 1 || p.Ranges[0].From != nil || p.Ranges[0].To != nil {
			t.Errorf("%v: %+v", order, p)
		}
	}
	apart := backfill.Merge(backfill.Merge(schemas.TableProgress{}, one), three)
	if apart.Done || len(apart.Ranges) != 2 {
		t.Errorf("two ranges apart became %+v", apart)
	}
}
