// Package redact keeps personal data and secrets out of logs, metrics and errors
// (invariant 8): keys appear as short digests, database errors as their SQLSTATE.
package redact

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Key is the digest under which a key appears in logs: the first 12 hexadecimal
// digits of its SHA-256. It lets two lines be matched, not a person be found.
func Key(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s|", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// SQLError replaces a PostgreSQL server error by one that carries its SQLSTATE,
// and the names of table, column and constraint, never message or detail: those
// carry values (hazard C5). An error of the connection keeps address and reason, not
// the user. Other errors pass unchanged.
func SQLError(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return &sqlError{state: pg.Code, table: pg.TableName, column: pg.ColumnName, constraint: pg.ConstraintName}
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return &connectError{address: net.JoinHostPort(connect.Config.Host, strconv.Itoa(int(connect.Config.Port))), reason: connect.Unwrap()}
	}
	return err
}

// SQLState is the SQLSTATE of an error that came from PostgreSQL, or "".
func SQLState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	var s *sqlError
	if errors.As(err, &s) {
		return s.state
	}
	return ""
}

// connectError is that of a session that could not begin. Its reason has a line for
// each way that was tried, with TLS and without; the same one is said once.
type connectError struct {
	address string
	reason  error
}

func (e *connectError) Unwrap() error { return e.reason }

func (e *connectError) Error() string {
	reason := strings.Join(slices.Compact(strings.Split(e.reason.Error(), "\n")), "; ")
	if strings.HasPrefix(reason, e.address) {
		return reason
	}
	return e.address + ": " + reason
}

type sqlError struct{ state, table, column, constraint string }

func (e *sqlError) Error() string {
	s := "SQLSTATE " + e.state
	for _, p := range [][2]string{{" table ", e.table}, {" column ", e.column}, {" constraint ", e.constraint}} {
		if p[1] != "" {
			s += p[0] + p[1]
		}
	}
	return s
}
