package capture_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/producers/capture"
	"github.com/backstitch/backstitch/schemas"
)

// kinds lists the control records of a table as kind and columns.
func (r *rig) kinds() []string {
	var out []string
	for _, c := range r.controls() {
		out = append(out, strings.TrimSpace(c.Kind+" "+strings.Join(c.Columns, ",")))
	}
	return out
}

// hazard S25: TRUNCATE deletes nothing in the topics; a control record at its place
// holds the transform. The rows that come after stand after it.
func TestTruncate(t *testing.T) {
	t.Parallel()
	r := newRig(t, one+`; INSERT INTO t VALUES (1, 'a')`, "t")
	s := r.start()
	r.caughtUp(s)
	r.exec("BEGIN; TRUNCATE t; INSERT INTO t VALUES (2, 'b'); COMMIT")
	r.caughtUp(s)
	r.until("the control record", func() bool { return len(r.controls()) > 0 }) // the broker ends a transaction after it has answered
	controls := r.controls()
	if len(controls) != 1 || controls[0].Kind != schemas.ControlTruncate || controls[0].Table.Name != "t" {
		t.Fatalf("controls = %+v", controls)
	}
	for _, k := range r.records() {
		if k.Op == schemas.Delete || k.Tombstone {
			t.Errorf("a %c record of key %s", k.Op, k.Key)
		}
		if k.Key == "2" && k.Version.Compare(controls[0].Version) <= 0 {
			t.Errorf("the row after the TRUNCATE has version %s, the TRUNCATE %s", k.Version, controls[0].Version)
		}
	}
}

// hazard S25: a table dropped and made again under its name is found without a
// restart, published again, told, and read again.
func TestTableMadeAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, one+`; INSERT INTO t VALUES (1, 'a')`, "t")
	s := r.start()
	r.caughtUp(s)
	r.exec("UPDATE t SET v = 'b'") // the stream has described the table
	r.caughtUp(s)
	r.exec("BEGIN; DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (2, 'new'); COMMIT")
	r.until("the new table's row", func() bool { return slices.ContainsFunc(r.records(), func(k record) bool { return k.Key == "2" }) })
	if got := r.kinds(); !slices.Equal(got, []string{"recreated"}) {
		t.Fatalf("controls = %v", got)
	}
}

// hazard C9: columns that appear or change type are told before the first row that
// has them, once, also across a restart.
func TestColumnsAppear(t *testing.T) {
	t.Parallel()
	r := newRig(t, one+`; INSERT INTO t VALUES (1, 'a'), (2, 'b')`, "t")
	s := r.start()
	r.caughtUp(s)
	r.exec("UPDATE t SET v = 'x' WHERE id = 1")
	r.caughtUp(s)
	r.exec("ALTER TABLE t ADD COLUMN active boolean NOT NULL DEFAULT true; UPDATE t SET v = 'y' WHERE id = 1")
	r.caughtUp(s)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = r.start()
	r.caughtUp(s)
	r.exec("UPDATE t SET v = 'z' WHERE id = 1")
	r.caughtUp(s)
	r.exec("ALTER TABLE t ALTER v TYPE varchar(30), DROP COLUMN active; UPDATE t SET v = 'w'")
	r.caughtUp(s)
	if got := r.kinds(); !slices.Equal(got, []string{"columns active", "columns v"}) {
		t.Fatalf("controls = %v", got)
	}
	r.verify(r.records())
}

// hazard S24: the log holds a NULL that is older than today's NOT NULL.
func TestNullOlderThanTheConstraint(t *testing.T) {
	t.Parallel()
	r := newRig(t, one, "t")
	s := r.start()
	r.caughtUp(s)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.exec("INSERT INTO t VALUES (1, NULL); UPDATE t SET v = 'x'; ALTER TABLE t ALTER v SET NOT NULL")
	s = r.start()
	r.caughtUp(s)
	records := r.records()
	if len(records) != 2 || records[0].After["v"] != "" || records[1].After["v"] != "x" {
		t.Fatalf("records = %+v", records)
	}
}

// A value that has no Avro form travels as text in a header: it neither stops the
// stream nor is it lost.
func TestValueWithoutAvroForm(t *testing.T) {
	t.Parallel()
	r := newRig(t, "CREATE TABLE n (id int PRIMARY KEY, x numeric(10,2) NOT NULL)", "n")
	s := r.start()
	r.caughtUp(s)
	r.exec("INSERT INTO n VALUES (1, 'NaN'), (2, 1.5)")
	r.caughtUp(s)
	records := r.records()
	slices.SortFunc(records, func(a, b record) int { return strings.Compare(a.Key, b.Key) })
	if len(records) != 2 || records[0].Headers["backstitch.value.x"] != "NaN" || records[1].After["x"] != "1.50" {
		t.Fatalf("records = %+v", records)
	}
}

// A table that joins the configuration is published and read beside the stream.
func TestNewTable(t *testing.T) {
	t.Parallel()
	r := newRig(t, one+`; CREATE TABLE other (id int PRIMARY KEY, v text); INSERT INTO other SELECT i, 'o' FROM generate_series(1, 30) i`, "t")
	s := r.start()
	r.caughtUp(s)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.cfg.Tables = append(r.cfg.Tables, schemas.Table{Schema: "public", Name: "other"})
	s = r.start()
	r.until("the new table", func() bool { return s.Status().Backfill["public.other"].Done })
	if !s.Status().FirstComplete {
		t.Error("a new table takes the source back to loading")
	}
	r.exec("UPDATE other SET v = 'p' WHERE id < 5")
	r.caughtUp(s)
	r.verify(r.records())
}

// hazard S21: a table without a key is refused before it enters the publication, a
// row above max.message.bytes holds and names table and setting.
func TestRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t, "CREATE TABLE nokey (id int)", "nokey")
	if reason := r.held(); !strings.Contains(reason, "nokey") {
		t.Errorf("held because %q", reason)
	}
	var n int
	r.scan(&n, "SELECT count(*) FROM pg_publication_tables")
	if n != 0 {
		t.Error("the table entered the publication")
	}

	r = newRig(t, one, "t")
	r.cfg.MaxRecordBytes = 100_000
	s := r.start()
	r.caughtUp(s)
	r.exec("INSERT INTO t SELECT 1, string_agg(md5(i::text), '') FROM generate_series(1, 10000) i")
	r.until("a hold", func() bool { return s.Status().State == capture.StateFailed })
	if reason := s.Status().Reason; !strings.Contains(reason, "public.t") || !strings.Contains(reason, "max.message.bytes") {
		t.Errorf("held because %q", reason)
	}
}

// hazard S21: a key that Avro has no form for is refused for ever, in the stream and in
// a table that is read.
func TestKeyWithoutAForm(t *testing.T) {
	t.Parallel()
	const numeric = "CREATE TABLE k (id numeric(10, 2) PRIMARY KEY)"
	for name, insert := range map[string]func(*rig, *capture.Source){
		"streamed": func(r *rig, s *capture.Source) { r.caughtUp(s); r.exec("INSERT INTO k VALUES ('NaN')") },
		"read":     func(*rig, *capture.Source) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ddl := numeric
			if name == "read" {
				ddl += "; INSERT INTO k VALUES (1), ('NaN')"
			}
			r := newRig(t, ddl, "k")
			s := r.start()
			insert(r, s)
			r.until("a hold", func() bool { return s.Status().State == capture.StateFailed })
			for _, want := range []string{"public.k", "column id", "primary key"} {
				if reason := s.Status().Reason; !strings.Contains(reason, want) {
					t.Errorf("held because %q, want %s in it", reason, want)
				}
			}
		})
	}
}

// hazard S7: DDL that would rewrite a table waits behind the keeper while its rows
// are read, and the keeper gives way to it; the run goes on afterwards and misses
// nothing.
func TestKeeperGivesWay(t *testing.T) {
	t.Parallel()
	r := newRig(t, one+`; INSERT INTO t SELECT i, 'x' FROM generate_series(1, 3000) i`, "t")
	s := r.start(func(c *capture.Config, _ *capture.Deps) {
		c.Backfill.RangeRows, c.Backfill.Workers, c.MinGap = 5, 1, 60*time.Millisecond // 600 ranges: longer than the keeper's patience
	})
	r.until("the reading to begin", func() bool { return s.Status().Backfill["public.t"].Rows > 0 })
	done := make(chan error, 1)
	ddl := r.connect()
	go func() {
		_, err := ddl.Exec(context.Background(), "ALTER TABLE t ALTER id TYPE bigint")
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the keeper did not give way")
	}
	if s.Status().FirstComplete {
		t.Fatal("the reading was over before: the test tests nothing")
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = r.start()
	r.caughtUp(s)
	keys := map[string]bool{}
	for _, k := range r.records() {
		keys[k.Key] = true
	}
	if len(keys) != 3000 {
		t.Fatalf("%d keys, want 3000", len(keys))
	}
}
