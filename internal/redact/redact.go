// Package redact keeps personal data and secrets out of logs, metrics and errors
// (invariant 8): keys appear as short digests, database errors as their SQLSTATE.
package redact

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

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
// carry values (hazard C5). Other errors pass unchanged.
func SQLError(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	return &sqlError{state: pg.Code, table: pg.TableName, column: pg.ColumnName, constraint: pg.ConstraintName}
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
