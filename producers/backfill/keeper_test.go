package backfill_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/producers/backfill"
	"github.com/backstitch/backstitch/schemas"
)

var tableT = []schemas.Table{{Schema: "public", Name: "t"}}

func keeper(t *testing.T, s source) *backfill.Keeper {
	t.Helper()
	k, err := backfill.OpenKeeper(t.Context(), s.cfg, tableT)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return k
}

// TestRewriteAfterTheSnapshot plays hazard S7: under a snapshot taken before a
// rewrite or TRUNCATE the table is empty; behind the keeper neither can happen.
func TestRewriteAfterTheSnapshot(t *testing.T) {
	t.Parallel()
	for _, ddl := range []string{"ALTER TABLE t ALTER v TYPE bigint", "TRUNCATE t"} {
		t.Run(ddl+" without a keeper", func(t *testing.T) {
			t.Parallel()
			s := newSource(t, "CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t SELECT i, i FROM generate_series(1, 100) i")
			table := s.describe(t, "t")
			snapshot, err := slot(t, s.replication(t))
			if err != nil {
				t.Fatal(err)
			}
			s.exec(t, ddl)
			if n := count(t, s, snapshot, table); n != 0 {
				t.Errorf("%d rows: the hazard is gone, and the keeper with it could go", n)
			}
		})
		t.Run(ddl+" behind a keeper", func(t *testing.T) {
			t.Parallel()
			s := newSource(t, "CREATE TABLE t (id int PRIMARY KEY, v int) PARTITION BY HASH (id)", "CREATE TABLE t_0 PARTITION OF t FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
				"INSERT INTO t SELECT i, i FROM generate_series(1, 100) i")
			k := keeper(t, s)
			snapshot, err := slot(t, s.replication(t))
			if err != nil {
				t.Fatal(err)
			}
			exported, err := k.Adopt(t.Context(), snapshot)
			if err != nil {
				t.Fatal(err)
			}
			table := s.describe(t, "t")
			var done, leaf <-chan error
			rows := 0
			// One worker: a second one could ask for its lock when the DDL queues already,
			// and would wait until the keeper gives way, which is another test's matter.
			err = backfill.Read(t.Context(), backfill.Config{RangeRows: 10, Workers: 1}, s.cfg, exported, table, nil, nil, func(_ context.Context, b backfill.Batch) error {
				if rows += len(b.Rows); done == nil {
					var pid, leafPID uint32
					done, pid = s.background(t, ddl)
					leaf, leafPID = s.background(t, "TRUNCATE t_0")
					for _, pid := range []uint32{pid, leafPID} {
						s.eventually(t, "the DDL waits", waits, pid)
					}
				}
				return nil
			})
			if err != nil || rows != 100 {
				t.Errorf("%d rows of 100 behind the keeper, %v", rows, err)
			}
			select {
			case err := <-done:
				t.Errorf("the DDL went through: %v", err)
			case err := <-leaf:
				t.Errorf("the partition's TRUNCATE went through: %v", err)
			default:
			}
			if err := k.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(<-done, <-leaf); err != nil {
				t.Error(err)
			}
		})
	}
}

const waits = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE pid = $1 AND NOT granted)"

// TestStopBehindDDL: readers that queue behind DDL, which waits for the keeper, end
// with stop; else keeper, DDL and readers would wait for each other for ever.
func TestStopBehindDDL(t *testing.T) {
	t.Parallel()
	s := newSource(t, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	table, snapshot := s.describe(t, "t"), s.snapshot(t)
	k := keeper(t, s)
	ddl, pid := s.background(t, "TRUNCATE t")
	s.eventually(t, "the DDL waits", waits, pid)
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- backfill.Read(t.Context(), backfill.Config{}, s.cfg, snapshot, table, nil, stop, func(context.Context, backfill.Batch) error { return nil })
	}()
	s.eventually(t, "the readers wait", "SELECT count(*) = 2 FROM pg_stat_activity WHERE application_name = 'backstitch backfill' AND datname = current_database() AND wait_event_type = 'Lock'")
	close(stop)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := k.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ddl; err != nil {
		t.Error(err)
	}
}

// TestSnapshotOutlivesReplicationConnection plays hazard S8: the next command on
// the replication connection ends the snapshot that the slot exported, but not the
// one that the keeper exports again.
func TestSnapshotOutlivesReplicationConnection(t *testing.T) {
	t.Parallel()
	s := newSource(t, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	k := keeper(t, s)
	replication := s.replication(t)
	snapshot, err := slot(t, replication)
	if err != nil {
		t.Fatal(err)
	}
	exported, err := k.Adopt(t.Context(), snapshot)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := replication.Exec(t.Context(), "IDENTIFY_SYSTEM").ReadAll(); err != nil {
		t.Fatal(err)
	}
	s.exec(t, "INSERT INTO t VALUES (2)")
	table := s.describe(t, "t")
	if _, err := rowsOf(t, s.cfg, snapshot, table[0]); redact.SQLState(err) != "22023" && redact.SQLState(err) != "42704" {
		t.Errorf("the slot's snapshot is still there: %v", err)
	}
	if n := count(t, s, exported, table); n != 1 {
		t.Errorf("%d rows under the keeper's snapshot, want 1", n)
	}
}

func TestKeeperGivesWay(t *testing.T) {
	t.Parallel()
	s := newSource(t, "CREATE TABLE t (id int PRIMARY KEY, secret text)")
	k := keeper(t, s)
	begun := time.Now()
	done, _ := s.background(t, "ALTER TABLE t ADD COLUMN secret2 text DEFAULT 'jane@corp.example'")
	select {
	case <-k.Blocking():
	case <-time.After(30 * time.Second):
		t.Fatal("the keeper never noticed")
	}
	if waited := time.Since(begun); waited < 5*time.Second {
		t.Errorf("it gave way after %v", waited)
	}
	if r := k.Reason(); !strings.Contains(r, "somebody") || strings.Contains(r, "secret") {
		t.Errorf("reason: %s", r)
	}
	if err := k.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestReadersGiveWay: readers hold locks that the keeper does not, those on
// indexes; who waits for one counts as well.
func TestReadersGiveWay(t *testing.T) {
	t.Parallel()
	s := newSource(t, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 1000)")
	table, snapshot := s.describe(t, "t"), s.snapshot(t)
	k := keeper(t, s)
	var reindex <-chan error
	err := backfill.Read(t.Context(), backfill.Config{RangeRows: 10}, s.cfg, snapshot, table, nil, nil, func(context.Context, backfill.Batch) error {
		if reindex != nil {
			return nil
		}
		reindex, _ = s.background(t, "REINDEX TABLE t")
		select {
		case <-k.Blocking():
			return nil
		case <-time.After(30 * time.Second):
			return errors.New("the keeper never noticed")
		}
	})
	if err := errors.Join(err, <-reindex); err != nil {
		t.Error(err)
	}
}

func TestKeeperDoesNotQueueForLong(t *testing.T) {
	t.Parallel()
	s := newSource(t, "CREATE TABLE t (id int PRIMARY KEY)", "BEGIN", "ALTER TABLE t ADD COLUMN v int")
	if _, err := backfill.OpenKeeper(t.Context(), s.cfg, tableT); redact.SQLState(err) != "55P03" {
		t.Errorf("got %v, want lock_not_available", err)
	}
	s.exec(t, "COMMIT")
	keeper(t, s)
}

// TestKeeperLosesItsWatcher: without a watcher nobody could tell that the source's
// DDL waits, so the keeper gives way.
func TestKeeperLosesItsWatcher(t *testing.T) {
	t.Parallel()
	s := newSource(t, "CREATE TABLE t (id int PRIMARY KEY)")
	k := keeper(t, s)
	if k.Reason() != "" {
		t.Errorf("reason %q before anything happened", k.Reason())
	}
	s.exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'backstitch keeper watcher' AND datname = current_database()")
	select {
	case <-k.Blocking():
	case <-time.After(30 * time.Second):
		t.Fatal("the keeper never noticed")
	}
}

// hazard S37: a reader that is stopped or cut off in the middle of a backfill says
// nothing more and takes nothing more. The server ends its sessions, so that DDL and
// vacuum of the source go on.
func TestSilentReaderLosesItsLocks(t *testing.T) {
	t.Parallel()
	s := newSource(t, "CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 100000) i")
	table := s.describe(t, "t")
	cable := testenv.NewCable(t)
	cut := s
	cut.cfg = s.cfg.Copy()
	cut.cfg.DialFunc = cable.Dial
	k, err := backfill.OpenKeeper(t.Context(), cut.cfg, tableT)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := slot(t, s.replication(t))
	if err == nil {
		snapshot, err = k.Adopt(t.Context(), snapshot)
	}
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		var once sync.Once
		read <- backfill.Read(t.Context(), backfill.Config{RangeRows: 100}, cut.cfg, snapshot, table, nil, nil, func(context.Context, backfill.Batch) error {
			once.Do(func() { cable.Cut(true) })
			return nil
		})
	}()
	s.eventually(t, "the reader's sessions end", "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name IN ('backstitch keeper', 'backstitch backfill'))")
	s.exec(t, "ALTER TABLE t ALTER v TYPE varchar(1000)")
	cable.Cut(false)
	if err := <-read; err == nil {
		t.Error("the backfill does not know that its snapshot is gone")
	}
	_ = k.Close(context.Background()) // its session has ended: that is its error
}

// The server keeps a keeper for as long as its process lives, also before it has
// adopted a snapshot: a slot's creation may take minutes.
func TestKeeperOutlivesTheSilence(t *testing.T) {
	t.Parallel()
	s := newSource(t, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	k := keeper(t, s)
	s.eventually(t, "more than the silence that the server bears", `SELECT clock_timestamp() - xact_start > interval '16 s'
		FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'backstitch keeper'`)
	snapshot, err := slot(t, s.replication(t))
	if err == nil {
		snapshot, err = k.Adopt(t.Context(), snapshot)
	}
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, s, snapshot, s.describe(t, "t")); n != 1 || k.Reason() != "" {
		t.Errorf("%d rows, %s", n, k.Reason())
	}
}
