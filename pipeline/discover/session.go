package discover

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/producers/replication"
)

// session reads the legacy database and can do nothing else to it.
type session struct {
	conn    *pgx.Conn
	timeout time.Duration // of a statement
	blind   bool          // no query over rows at all
}

// catalogueTimeout ends a statement over the catalogue alone, which grows with the
// number of tables and not with their rows.
const catalogueTimeout = time.Minute

func open(ctx context.Context, source *pgx.ConnConfig, o Options) (*session, error) {
	config := replication.Session(source, "backstitch-init")
	config.RuntimeParams["default_transaction_read_only"] = "on"
	config.RuntimeParams["statement_timeout"] = fmt.Sprint(catalogueTimeout.Milliseconds())
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, &ConnectError{err}
	}
	return &session{conn, o.Timeout, o.CatalogueOnly}, nil
}

// ConnectError is that of a session that could not begin. It names the server's address
// and the reason, never credentials.
type ConnectError struct{ err error }

// Unwrap is the error of the connection itself.
func (e *ConnectError) Unwrap() error { return e.err }

func (e *ConnectError) Error() string {
	return fmt.Sprintf("no connection to the legacy database: %v", redact.SQLError(e.err))
}

func (s *session) close(ctx context.Context) { _ = s.conn.Close(context.WithoutCancel(ctx)) }

// within runs f in a transaction that reads one moment, waits for no lock longer than
// 2 s, and ends each statement after the time-out.
func (s *session) within(ctx context.Context, timeout time.Duration, f func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, s.conn, pgx.TxOptions{AccessMode: pgx.ReadOnly, IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL search_path = public; SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = %d", timeout.Milliseconds()))
		if err != nil {
			return err
		}
		return f(tx)
	})
}

// Count is a figure about the rows, or the reason why it is not known.
type Count struct {
	N int64
	// Unknown is "" for a figure that was counted.
	Unknown string
}

// String is the figure, or why there is none.
func (c Count) String() string {
	if c.Unknown != "" {
		return c.Unknown
	}
	return thousands(c.N)
}

// count runs a query that yields one number.
func (s *session) count(ctx context.Context, sql string) (Count, error) {
	var n int64
	why, err := s.try(ctx, func(tx pgx.Tx) error { return tx.QueryRow(ctx, sql).Scan(&n) })
	return Count{n, why}, err
}

// try runs a query over rows. What PostgreSQL refuses leaves a figure unknown; only a
// lost connection is an error.
func (s *session) try(ctx context.Context, f func(pgx.Tx) error) (unknown string, err error) {
	if s.blind {
		return "not counted", nil
	}
	err = s.within(ctx, s.timeout, f)
	state := redact.SQLState(err)
	switch {
	case err == nil:
		return "", nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case state == "57014": // query_canceled
		return fmt.Sprintf("not counted in time (%s)", s.timeout), nil
	case state == "55P03": // lock_not_available
		return "not counted: the table is locked", nil
	case state == "42501": // insufficient_privilege, row-level security among it
		return "not counted: the role may not read all its rows", nil
	case state != "" && !s.conn.IsClosed():
		return "not counted: SQLSTATE " + state, nil
	}
	return "", redact.SQLError(err)
}
