package replication_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/producers/replication"
	"github.com/backstitch/backstitch/schemas"
)

type rig struct {
	t      *testing.T
	sql    *pgx.Conn
	config *pgx.ConnConfig
	slot   string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	config, err := pgx.ParseConfig(testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	sql, err := pgx.ConnectConfig(t.Context(), replication.Session(config, "test"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sql.Close(context.Background()) })
	r := &rig{t: t, sql: sql, config: config, slot: "s_" + testenv.Name(t)}
	r.exec("CREATE TABLE t (id int PRIMARY KEY, v text)")
	r.exec("CREATE PUBLICATION p FOR TABLE t")
	return r
}

func (r *rig) exec(sql string) {
	r.t.Helper()
	if _, err := r.sql.Exec(r.t.Context(), sql); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) start(create bool) *replication.Stream {
	r.t.Helper()
	c, err := replication.Connect(r.t.Context(), r.config, "test")
	if err != nil {
		r.t.Fatal(err)
	}
	if create {
		if _, err := c.CreateSlot(r.t.Context(), r.slot, time.Minute); err != nil {
			r.t.Fatal(err)
		}
	}
	s, err := replication.Start(r.t.Context(), c, r.slot, "p")
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// transactions reads until n commits came and returns their ends and rows.
func (r *rig) transactions(s *replication.Stream, n int) (ends []schemas.LSN, rows int) {
	r.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); len(ends) < n; {
		e, err := s.Next(100 * time.Millisecond)
		if err != nil {
			r.t.Fatal(err)
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%d of %d transactions came", len(ends), n)
		}
		switch {
		case e == nil:
		case e.Kind == replication.Commit:
			ends = append(ends, e.End)
		case e.Kind == replication.Change:
			rows++
		}
	}
	return ends, rows
}

// commitSideBySide commits two transactions whose commit records follow each other
// in the log: one byte beyond the first one's end is inside the second's.
func (r *rig) commitSideBySide() {
	r.t.Helper()
	var open []pgx.Tx
	for i := range 2 {
		conn, err := pgx.ConnectConfig(r.t.Context(), r.config.Copy())
		if err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(func() { conn.Close(context.Background()) })
		tx, err := conn.Begin(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := tx.Exec(r.t.Context(), "INSERT INTO t VALUES ($1, 'a')", i); err != nil {
			r.t.Fatal(err)
		}
		open = append(open, tx)
	}
	for _, tx := range open {
		if err := tx.Commit(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
	}
}

// invariant 1, hazards S14 and S23: what was not confirmed comes again, whole;
// exactly the transaction's end confirms it and no more.
func TestConfirmExactlyTheEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.start(true)
	r.commitSideBySide()
	ends, _ := r.transactions(s, 2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = r.start(false)
	again, _ := r.transactions(s, 2)
	if again[0] != ends[0] || again[1] != ends[1] {
		t.Fatalf("without a confirmation came %v, want %v again", again, ends)
	}
	s.Confirm(ends[0])
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = r.start(false)
	defer s.Close()
	if last, _ := r.transactions(s, 1); last[0] != ends[1] {
		t.Fatalf("after confirming the first end came %v, want %v", last, ends[1])
	}
}

// hazard S26: while the reader times out again and again, and while nobody reads,
// status replies go on: the walsender lives past its time-out.
func TestStatusRepliesNeverWait(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.start(true)
	defer s.Close()
	r.exec("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 50000) i") // more than the sockets hold
	paused := time.NewTimer(6 * time.Second)                                             // more than wal_sender_timeout
	defer paused.Stop()
	<-paused.C
	if _, rows := r.transactions(s, 1); rows != 50000 {
		t.Fatalf("%d rows after a pause, want 50000", rows)
	}
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until); {
		if _, err := s.Next(5 * time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	r.exec("INSERT INTO t VALUES (0, 'z')")
	if _, rows := r.transactions(s, 1); rows != 1 {
		t.Fatal("the stream ended")
	}
}

// A message larger than the receive buffer comes whole, also when the reader is
// interrupted in its middle.
func TestLargeRow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.start(true)
	defer s.Close()
	r.exec("INSERT INTO t VALUES (1, repeat('x', 5000000))")
	size, n := 0, 0
	for deadline := time.Now().Add(30 * time.Second); size == 0 && time.Now().Before(deadline); {
		e, err := s.Next(time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if n++; n%2 == 0 {
			s.Interrupt()
		}
		if e != nil && e.Kind == replication.Change {
			size = len(e.New[1].Data)
		}
	}
	if size != 5_000_000 {
		t.Fatalf("a value of %d bytes, want 5000000", size)
	}
}

// hazard S29: an idle database moves by a transactional heartbeat, and a slot's
// creation that waits for a writer is given up in time.
func TestHeartbeatAndPatience(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.start(true)
	defer s.Close()
	lsn, err := replication.Heartbeat(t.Context(), r.sql)
	if err != nil {
		t.Fatal(err)
	}
	if ends, _ := r.transactions(s, 1); ends[0] < lsn {
		t.Fatalf("a transaction ending at %s, before the heartbeat's %s", ends[0], lsn)
	}
	writer, err := pgx.ConnectConfig(t.Context(), r.config.Copy())
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close(context.Background())
	if _, err := writer.Exec(t.Context(), "BEGIN; INSERT INTO t VALUES (9, 'open')"); err != nil {
		t.Fatal(err)
	}
	c, err := replication.Connect(t.Context(), r.config, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	start := time.Now()
	if _, err := c.CreateTemporarySlot(t.Context(), r.slot+"_tmp", 300*time.Millisecond); err == nil || time.Since(start) > 5*time.Second {
		t.Fatalf("the slot's creation: %v after %s, want it given up", err, time.Since(start))
	}
}

func TestMain(m *testing.M) { testenv.Main(m) }
