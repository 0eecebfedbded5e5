package checksum_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/backstitch/backstitch/producers/checksum"
)

// Where the two servers order keys differently, no row is taken for missing or extra,
// and those that are, are found.
func TestOtherOrders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(w.source, `CREATE TABLE words (k text COLLATE "und-x-icu" PRIMARY KEY, v int)`)
	w.exec(w.mirror, `CREATE TABLE words (k text COLLATE "C" PRIMARY KEY, v int)`)
	w.both(`INSERT INTO words SELECT p || chr(65 + (i * 7) % 26) || chr(97 + (i * 11) % 26) || i, i FROM generate_series(1, 200) i, unnest('{a,B,_,é,-}'::text[]) p`)
	got := w.compare("words").Tables[0]
	if got.Verdict != checksum.Clean || got.Rows != 1000 || got.Read == 0 {
		t.Errorf("%+v", got)
	}
	w.exec(w.mirror, "DELETE FROM words WHERE v = 17 AND k LIKE '\\_%'")
	w.exec(w.mirror, "INSERT INTO words VALUES ('zzz', 1), ('AAA', 2), ('ÿ', 3)")
	w.exec(w.mirror, "UPDATE words SET v = 0 WHERE v = 18 AND k LIKE 'B%'")
	if got := w.compare("words").Tables[0]; got.Missing.Count != 1 || got.Extra.Count != 3 || got.Different.Count != 1 || got.Unsettled != 0 {
		t.Errorf("%+v", got)
	}
}

// A partitioned table is read through its root, a table with heirs without them, and of
// a published part of the rows the rest is none of the mirror's business.
func TestPartitionsHeirsAndFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(w.source, "CREATE TABLE events (id int, at int, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)")
	w.exec(w.source, "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10)")
	w.exec(w.source, "CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20)")
	w.exec(w.mirror, "CREATE TABLE events (id int, at int, v text, PRIMARY KEY (id, at))")
	w.both("CREATE TABLE parents (id int PRIMARY KEY, v int)")
	w.exec(w.source, "CREATE TABLE heirs () INHERITS (parents)")
	w.both("CREATE TABLE parts (id int PRIMARY KEY, v int)")
	w.exec(w.source, "DROP PUBLICATION p")
	w.exec(w.source, "CREATE PUBLICATION p FOR TABLE events, ONLY parents, parts WHERE (id % 2 = 0) WITH (publish_via_partition_root = true)")
	w.both("INSERT INTO events SELECT i, i % 20, 'v' FROM generate_series(1, 300) i")
	w.both("INSERT INTO parents SELECT i, i FROM generate_series(1, 10) i")
	w.exec(w.source, "INSERT INTO heirs SELECT i, i FROM generate_series(5, 15) i")
	w.both("INSERT INTO parts SELECT i, i FROM generate_series(2, 300, 2) i")
	w.exec(w.source, "INSERT INTO parts SELECT i, i FROM generate_series(1, 301, 2) i")
	r := w.compare("events", "parents", "parts")
	if r.Verdict != checksum.Clean || r.Tables[0].Rows != 300 || r.Tables[1].Rows != 10 || r.Tables[2].Rows != 150 {
		t.Errorf("%+v, %+v, %+v", r.Tables[0], r.Tables[1], r.Tables[2])
	}
	w.exec(w.mirror, "UPDATE events SET v = 'fault' WHERE id = 15")
	w.exec(w.mirror, "INSERT INTO parts VALUES (3, 3)")
	r = w.compare("events", "parts")
	if e, p := r.Tables[0], r.Tables[1]; e.Different.Count != 1 || e.Differ() != 1 || p.Extra.Count != 1 || p.Differ() != 1 {
		t.Errorf("%+v, %+v", e, p)
	}
}

// DDL that waits behind a comparison gets its way, and the comparison goes on after it.
func TestGivesWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, people)
	seedPeople(w)
	other, watch := w.connect(w.cfg.ConnString()), w.connect(w.cfg.ConnString())
	done := make(chan error, 1)
	go func() {
		for holds := false; !holds; {
			err := watch.QueryRow(context.Background(), `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
				WHERE l.relation = 'people'::regclass AND a.application_name = 'backstitch backfill' AND l.granted)`).Scan(&holds)
			if err != nil {
				done <- err
				return
			}
		}
		_, err := other.Exec(context.Background(), "ALTER TABLE people ADD COLUMN later int")
		done <- err
	}()
	cfg := checksum.Config{Rows: 100, Share: 0.002} // it takes its time
	r := w.compareBy(cfg, "people")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if r.Verdict != checksum.Clean || r.Snapshots < 2 || r.Tables[0].Rows != 1000 {
		t.Errorf("%s after %d snapshots: %+v", r.Verdict, r.Snapshots, r.Tables[0])
	}
	if fmt.Sprint(r.Tables[0].Columns) != "[team id name email]" {
		t.Errorf("columns %v", r.Tables[0].Columns)
	}
}
