package pgsession

import (
	"errors"
	"io"
	"net"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/backstitch/backstitch/internal/redact"
)

// passing are the SQLSTATEs and classes of what ends by itself: a connection, an
// operator's intervention, a lack of resources, a serialization failure or deadlock,
// and a session that was ended because its transaction was idle
// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
var passing = []string{"08", "57", "53", "40", "25P03"}

// Lost tells a server or a session that went away, which a new session mends, from an
// error that would come again (hazard A34). A server that answers and refuses, as with
// a wrong password, is not lost.
func Lost(err error) bool {
	if state := redact.SQLState(err); len(state) == 5 {
		return slices.Contains(passing, state[:2]) || slices.Contains(passing, state)
	}
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.As(err, &network) || errors.As(err, &connect) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, pgx.ErrTxClosed) || pgconn.Timeout(err) || pgconn.SafeToRetry(err) // pgconn.ErrConnClosed is among these
}
