package pgsession_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/internal/redact"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// What a new session mends is told from what it does not, however often an error was
// wrapped: by a real server's and a real driver's errors.
func TestLost(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t)
	connect := func() *pgx.Conn {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { pgsession.Close(conn) })
		return conn
	}
	fails := func(ctx context.Context, conn *pgx.Conn, sql string) error {
		_, err := conn.Exec(ctx, sql)
		if err == nil {
			t.Fatalf("%s did not fail", sql)
		}
		return err
	}
	with := func(change func(*url.URL)) error {
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		change(u)
		_, err = pgx.Connect(t.Context(), u.String())
		return err
	}
	closed := connect()
	pgsession.Close(closed)
	tx, err := connect().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()

	for name, c := range map[string]struct {
		err  error
		lost bool
	}{
		"a session that was closed":          {fails(t.Context(), closed, "SELECT 1"), true},
		"a session that was ended":           {fails(t.Context(), connect(), "SELECT pg_terminate_backend(pg_backend_pid())"), true},
		"an answer that did not come":        {fails(soon, connect(), "SELECT pg_sleep(30)"), true},
		"a transaction that has ended":       {tx.Commit(t.Context()), true},
		"a socket that ends":                 {io.ErrUnexpectedEOF, true},
		"no server":                          {with(func(u *url.URL) { u.Host = "127.0.0.1:1" }), true},
		"a wrong password":                   {with(func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), "wrong") }), false},
		"a database that is not there":       {with(func(u *url.URL) { u.Path = "/nowhere" }), false},
		"a statement that is wrong":          {fails(t.Context(), connect(), "SELECT nothing"), false},
		"an error that is not of the server": {errors.New("a row that cannot be"), false},
		"no error":                           {nil, false},
	} {
		wrapped := error(nil)
		if c.err != nil {
			wrapped = fmt.Errorf("evaluate touched members: %w", c.err)
		}
		for _, err := range []error{c.err, wrapped, redact.SQLError(wrapped)} {
			if got := pgsession.Lost(err); got != c.lost {
				t.Errorf("%s is lost: %t, want %t (%v)", name, got, c.lost, redact.SQLError(err))
			}
		}
	}
}
