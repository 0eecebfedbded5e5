package backfill_test

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/producers/backfill"
	"github.com/backstitch/backstitch/schemas"
)

func TestMain(m *testing.M) {
	// Each of three dozen kinds of keys is checked this often; -rapid.checks overrides it.
	if err := flag.Set("rapid.checks", "4"); err != nil {
		panic(err)
	}
	testenv.Main(m)
}

// source is a database of a test's own and a superuser's session on it.
type source struct {
	*pgx.Conn
	cfg *pgx.ConnConfig
}

func newSource(tb testing.TB, sql ...string) source {
	tb.Helper()
	return connectSource(tb, testenv.Postgres(tb), sql...)
}

func connectSource(tb testing.TB, url string, sql ...string) source {
	tb.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		tb.Fatal(err)
	}
	s := source{cfg: cfg, Conn: connectAs(tb, cfg, nil)}
	s.exec(tb, sql...)
	return s
}

// connectAs opens one more session.
func connectAs(tb testing.TB, cfg *pgx.ConnConfig, params map[string]string) *pgx.Conn {
	tb.Helper()
	cfg = cfg.Copy()
	for k, v := range params {
		cfg.RuntimeParams[k] = v
	}
	conn, err := pgx.ConnectConfig(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = conn.Close(context.Background())
		<-conn.PgConn().CleanupDone()
	})
	return conn
}

func (s source) exec(tb testing.TB, sql ...string) {
	tb.Helper()
	for _, q := range sql {
		if _, err := s.Exec(tb.Context(), q); err != nil {
			tb.Fatalf("%s: %v", q, err)
		}
	}
}

// snapshot exports a snapshot that lives as long as the test.
func (s source) snapshot(tb testing.TB) string {
	tb.Helper()
	conn := connectAs(tb, s.cfg, nil)
	var name string
	if _, err := conn.Exec(tb.Context(), "BEGIN ISOLATION LEVEL REPEATABLE READ"); err != nil {
		tb.Fatal(err)
	}
	if err := conn.QueryRow(tb.Context(), "SELECT pg_export_snapshot()").Scan(&name); err != nil {
		tb.Fatal(err)
	}
	return name
}

// describe describes tables of schema public.
func (s source) describe(tb testing.TB, names ...string) []producers.CapturedTable {
	tb.Helper()
	conn := connectAs(tb, s.cfg, pgsession.Source("test"))
	var tables []schemas.Table
	for _, n := range names {
		tables = append(tables, schemas.Table{Schema: "public", Name: n})
	}
	captured, err := producers.DescribeTables(tb.Context(), conn, tables)
	if err != nil {
		tb.Fatal(err)
	}
	return captured
}

// text copies a row out of its batch.
func text(row schemas.Row) []string {
	values := make([]string, len(row))
	for i, v := range row {
		if v.State == schemas.Null {
			values[i] = "NULL"
		} else {
			values[i] = "=" + string(v.Data)
		}
	}
	return values
}

// queryRow runs a statement and then a query with one value.
func queryRow(conn *pgx.Conn, first, query string, into any) error {
	if _, err := conn.Exec(context.Background(), first); err != nil {
		return err
	}
	return conn.QueryRow(context.Background(), query).Scan(into)
}

// slot creates a temporary slot and returns the snapshot that it exports, which
// lives until the next command on the connection.
func slot(tb testing.TB, replication *pgconn.PgConn) (string, error) {
	tb.Helper()
	results, err := replication.Exec(tb.Context(), "CREATE_REPLICATION_SLOT "+testenv.Name(tb)+" TEMPORARY LOGICAL pgoutput (SNAPSHOT 'export')").ReadAll()
	if err != nil {
		return "", err
	}
	return string(results[0].Rows[0][2]), nil
}

// replication opens a replication connection.
func (s source) replication(tb testing.TB) *pgconn.PgConn {
	tb.Helper()
	return connectAs(tb, s.cfg, map[string]string{"replication": "database"}).PgConn()
}

// eventually polls until a query says true.
func (s source) eventually(tb testing.TB, what, query string, args ...any) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ; ; <-tick.C {
		var yes bool
		if err := s.QueryRow(ctx, query, args...).Scan(&yes); err != nil {
			tb.Fatalf("wait until %s: %v", what, err)
		}
		if yes {
			return
		}
	}
}

// background runs a statement on a session of its own and returns where its
// error will arrive, and its pid.
func (s source) background(tb testing.TB, sql string) (<-chan error, uint32) {
	tb.Helper()
	conn := connectAs(tb, s.cfg, map[string]string{"application_name": "somebody"})
	done := make(chan error, 1)
	go func() {
		defer close(done)
		_, err := conn.Exec(context.Background(), sql)
		done <- err
	}()
	return done, conn.PgConn().PID()
}

// count reads tables whole and counts their rows.
func count(tb testing.TB, s source, snapshot string, tables []producers.CapturedTable) int {
	tb.Helper()
	rows := 0
	err := backfill.Read(tb.Context(), backfill.Config{}, s.cfg, snapshot, tables, nil, nil, func(_ context.Context, b backfill.Batch) error {
		rows += len(b.Rows)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return rows
}

// rowsOf reads one table whole and prints its rows.
func rowsOf(tb testing.TB, cfg *pgx.ConnConfig, snapshot string, table producers.CapturedTable) ([]string, error) {
	tb.Helper()
	var rows []string
	err := backfill.Read(tb.Context(), backfill.Config{}, cfg, snapshot, []producers.CapturedTable{table}, nil, nil, func(_ context.Context, b backfill.Batch) error {
		for _, row := range b.Rows {
			rows = append(rows, fmt.Sprint(text(row)))
		}
		return nil
	})
	return rows, err
}
