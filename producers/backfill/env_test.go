package backfill_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
