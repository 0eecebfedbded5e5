package discover

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/internal/redact"
)

func newSession(t *testing.T, timeout time.Duration) *session {
	t.Helper()
	config, err := pgx.ParseConfig(testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(context.Background(), config, Options{Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close(context.Background()) })
	return s
}

// The session cannot write, in a transaction of its own or outside.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	ctx, s := context.Background(), newSession(t, time.Minute)
	const write = "CREATE TABLE written ()"
	err := s.within(ctx, s.timeout, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, write); return err })
	if state := redact.SQLState(err); state != "25006" { // read_only_sql_transaction
		t.Errorf("a write within a transaction: %v", err)
	}
	if _, err := s.conn.Exec(ctx, write); redact.SQLState(err) != "25006" {
		t.Errorf("a write outside: %v", err)
	}
}

// What does not end in time is said to be uncounted, and the next count works.
func TestTimeout(t *testing.T) {
	t.Parallel()
	ctx, s := context.Background(), newSession(t, 100*time.Millisecond)
	c, err := s.count(ctx, "SELECT count(*) FROM generate_series(1, 1000000000)")
	if err != nil || c.String() != "not counted in time (100ms)" {
		t.Errorf("got %v, %v", c, err)
	}
	s.timeout = time.Minute
	if c, err := s.count(ctx, "SELECT count(*) FROM generate_series(1, 1000)"); err != nil || c.String() != "1,000" {
		t.Errorf("got %v, %v", c, err)
	}
}

// An error of the server's is known by its SQLSTATE alone: its text has values.
func TestUnknown(t *testing.T) {
	t.Parallel()
	ctx, s := context.Background(), newSession(t, time.Minute)
	c, err := s.count(ctx, "SELECT count('hidden'::int)")
	if err != nil || c.String() != "not counted: SQLSTATE 22P02" {
		t.Errorf("got %v, %v", c, err)
	}
	if _, err := s.conn.Exec(ctx, "SELECT pg_terminate_backend(pg_backend_pid())"); err == nil {
		t.Fatal("the session lives on")
	}
	if _, err := s.count(ctx, "SELECT 1"); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("a lost connection: %v", err)
	}
}
