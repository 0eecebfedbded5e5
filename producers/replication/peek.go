package replication

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
)

// peekLimit bounds how many messages a peek decodes, about: a slot that holds more is
// taken to hold changes of every table.
const peekLimit = 200_000

// peekTimeout bounds a peek: the server decodes all that the slot holds.
const peekTimeout = "60s"

// Ahead is what a slot that nobody reads holds for its reader.
type Ahead struct {
	// Confirmed is where its reader has confirmed to.
	Confirmed schemas.LSN
	changed   map[schemas.Table]bool
	all       bool
}

// Changed reports whether the slot holds a change of a table's rows.
func (a *Ahead) Changed(t schemas.Table) bool { return a.all || a.changed[t] }

// Peek looks at the changes of a publication that a slot holds up to a position. They
// stay there. It fails while somebody reads the slot.
func Peek(ctx context.Context, conn *pgx.Conn, slot, publication string, upTo schemas.LSN) (*Ahead, error) {
	a := &Ahead{changed: map[schemas.Table]bool{}}
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = '"+peekTimeout+"'"); err != nil {
			return err
		}
		var confirmed int64
		err := tx.QueryRow(ctx, "SELECT (confirmed_flush_lsn - '0/0')::bigint FROM pg_replication_slots WHERE slot_name = $1", slot).Scan(&confirmed)
		if errors.Is(err, pgx.ErrNoRows) {
			return errors.New("it does not exist")
		}
		if err != nil {
			return err
		}
		a.Confirmed = schemas.LSN(confirmed)
		return a.read(ctx, tx, slot, publication, upTo)
	})
	if err != nil {
		return nil, fmt.Errorf("look at what slot %s holds: %w", slot, redact.SQLError(err))
	}
	return a, nil
}

// read counts pgoutput's messages: the first byte is the kind, and of those that insert,
// update and delete the table's OID follows it.
func (a *Ahead) read(ctx context.Context, tx pgx.Tx, slot, publication string, upTo schemas.LSN) error {
	rows, err := tx.Query(ctx, `SELECT m.kind, coalesce(n.nspname, ''), coalesce(c.relname, ''), sum(m.n)::bigint FROM (
			SELECT chr(get_byte(data, 0)) AS kind,
				CASE WHEN get_byte(data, 0) IN (73, 85, 68) THEN
					(get_byte(data, 1)::bigint << 24) + (get_byte(data, 2) << 16) + (get_byte(data, 3) << 8) + get_byte(data, 4) END AS relation,
				count(*) AS n
			FROM pg_logical_slot_peek_binary_changes($1, $2::text::pg_lsn, $3, 'proto_version', '1', 'publication_names', quote_ident($4))
			GROUP BY 1, 2) m
		LEFT JOIN pg_class c ON c.oid = m.relation LEFT JOIN pg_namespace n ON n.oid = c.relnamespace GROUP BY 1, 2, 3`,
		slot, upTo.String(), peekLimit, publication)
	if err != nil {
		return err
	}
	var kind string
	var t schemas.Table
	var n, total int64
	_, err = pgx.ForEachRow(rows, []any{&kind, &t.Schema, &t.Name, &n}, func() error {
		total += n
		switch kind {
		case "I", "U", "D":
			a.changed[t] = true
			a.all = a.all || t.Name == "" // a table that is gone
		case "T":
			a.all = true
		}
		return nil
	})
	a.all = a.all || total >= peekLimit
	return err
}
