package checksum_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/producers/checksum"
	"github.com/backstitch/backstitch/producers/replication"
)

// While rows are inserted, changed, deleted and given other keys, and the mirror lags
// behind, nothing is said to differ; a fault among them is.
func TestLiveTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, people)
	seedPeople(w)
	w.follow()
	ctx, stop := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	for i := range 2 {
		conn := w.connect(w.cfg.ConnString())
		writing.Go(func() { w.write(ctx, conn, uint64(i)) })
	}
	var checked, looked int64
	for range 2 {
		r := w.compareBy(checksum.Config{Rows: 100}, "people")
		if got := r.Tables[0]; got.Differ() != 0 {
			t.Errorf("of two equal tables %+v", got)
		}
		checked, looked = checked+r.Tables[0].Rows, looked+r.Tables[0].Read
	}
	if checked == 0 || looked == 0 {
		t.Errorf("%d rows were compared, and %d ranges read: nothing was on its way", checked, looked)
	}
	w.exec(w.source, "INSERT INTO people VALUES (0, 100001, 'still')")
	if err := w.Await(t.Context(), 0, w.tables("people")[0].Table); err != nil {
		t.Fatal(err)
	}
	w.exec(w.mirror, "UPDATE people SET name = 'fault' WHERE id = 100001")
	got := w.compareBy(checksum.Config{Rows: 100}, "people").Tables[0]
	stop()
	writing.Wait()
	if got.Differ() != 1 || got.Different.Count != 1 || fmt.Sprint(got.Different.Samples[0]) != "{[0 100001] [name]}" {
		t.Errorf("%+v, want the fault alone", got)
	}
}

// write changes rows until ctx ends. Each kind of change hits the same few keys again
// and again, and the rest of the table now and then.
func (w *world) write(ctx context.Context, conn *pgx.Conn, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 7)) //nolint:gosec // a reproducible workload
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		id := 1 + random.IntN(1000)
		if random.IntN(2) == 0 {
			id = 1 + random.IntN(40)
		}
		sql := []string{
			fmt.Sprintf("UPDATE people SET name = 'name %d' WHERE id = %d", random.IntN(1000), id),
			fmt.Sprintf("DELETE FROM people WHERE id = %d", id),
			fmt.Sprintf("INSERT INTO people VALUES (%d, %d, 'again', NULL) ON CONFLICT DO NOTHING", id%7, id),
			fmt.Sprintf("UPDATE people SET team = (team + 1) %% 7 WHERE id = %d AND NOT EXISTS (SELECT FROM people p WHERE p.team = (people.team + 1) %% 7 AND p.id = %d)", id, id),
		}[random.IntN(4)]
		if _, err := conn.Exec(ctx, sql); err != nil && ctx.Err() == nil && redact.SQLState(err) != "23505" { // of the other writer
			w.Errorf("%s: %v", sql, err)
			return
		}
	}
}

// A mirror that lags behind is waited for before anything counts.
func TestLaggingMirror(t *testing.T) {
	t.Parallel()
	w := newWorld(t, people)
	seedPeople(w)
	w.follow()
	w.exec(w.mirror, "ALTER SUBSCRIPTION "+w.subscription+" DISABLE")
	w.exec(w.source, "UPDATE people SET name = 'new' WHERE id = 1")
	w.exec(w.source, "DELETE FROM people WHERE id = 2")
	w.exec(w.source, "INSERT INTO people VALUES (1, 5000)")
	w.awaited = func() { w.exec(w.mirror, "ALTER SUBSCRIPTION "+w.subscription+" ENABLE") }
	if r := w.compare("people"); r.Verdict != checksum.Clean || r.Tables[0].Read == 0 {
		t.Errorf("%+v", r.Tables[0])
	}
}

// The report's LSN is the snapshot's: what was committed below it is compared, and what
// comes after is not.
func TestPosition(t *testing.T) {
	t.Parallel()
	w := newWorld(t, people)
	var before, after string
	lsn := func(into *string) {
		if err := w.source.QueryRow(t.Context(), "SELECT pg_current_wal_insert_lsn()::text").Scan(into); err != nil {
			t.Fatal(err)
		}
	}
	w.exec(w.source, "INSERT INTO people VALUES (1, 1)")
	lsn(&before)
	r := w.compare("people")
	lsn(&after)
	var between bool
	err := w.source.QueryRow(t.Context(), "SELECT $1::pg_lsn <= $2::pg_lsn AND $2::pg_lsn <= $3::pg_lsn AND $3::pg_lsn <= $4::pg_lsn", before, r.FirstLSN, r.LastLSN, after).Scan(&between)
	if err != nil || !between {
		t.Errorf("%s to %s do not lie between %s and %s (%v)", r.FirstLSN, r.LastLSN, before, after, err)
	}
	if r.Tables[0].Rows != 1 || r.Tables[0].Missing.Count != 1 || r.Snapshots != 2 {
		t.Errorf("what was committed before %s is not compared: %+v, %d snapshots", r.FirstLSN, r.Tables[0], r.Snapshots)
	}
}

// Without the right of a replication role there is no snapshot, and with nothing but
// it and SELECT there is.
func TestRole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, people)
	seedPeople(w)
	role := testenv.Name(t)
	w.exec(w.source, "CREATE ROLE "+role+" LOGIN PASSWORD 'role'")
	t.Cleanup(func() { _, _ = w.source.Exec(context.Background(), "DROP OWNED BY "+role+"; DROP ROLE "+role) })
	w.exec(w.source, "GRANT SELECT ON people TO "+role)
	cfg := w.cfg.Copy()
	cfg.User, cfg.Password = role, "role"
	w.deps.Source = cfg
	r, err := checksum.Compare(t.Context(), checksum.Config{}, w.deps, w.tables("people"))
	if err == nil || r.Verdict != checksum.Unknown || r.Why == "" {
		t.Errorf("without REPLICATION: %v, %+v", err, r)
	}
	w.exec(w.source, "ALTER ROLE "+role+" REPLICATION")
	if r := w.compare("people"); r.Verdict != checksum.Clean {
		t.Errorf("%+v", r)
	}
}

// Another source than the one that the mirror was filled from is refused.
func TestAnotherSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, people)
	conn, err := replication.Connect(t.Context(), w.cfg, "test")
	if err != nil {
		t.Fatal(err)
	}
	system, err := conn.Identify(t.Context())
	if err != nil || conn.Close() != nil {
		t.Fatal(err)
	}
	w.deps.SystemID, w.deps.Database = system.ID, "another"
	r, err := checksum.Compare(t.Context(), checksum.Config{}, w.deps, w.tables("people"))
	if err == nil || !strings.Contains(r.Why, "another") || r.Verdict != checksum.Unknown {
		t.Errorf("%v, %+v", err, r)
	}
	w.deps.Database = system.Database
	if r := w.compare("people"); r.Verdict != checksum.Clean {
		t.Errorf("%+v", r)
	}
}
