package rehearse

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
)

// takenLedger is a database that a person named for a rehearsal. One session holds it
// for the rehearsal's length, and empties it at the end. A schema marks what is left of
// one that was killed.
type takenLedger struct {
	conn *pgx.Conn
}

const markSchema = "backstitch_rehearsal"

func takeLedger(ctx context.Context, o *Options) (*takenLedger, error) {
	conn, err := pgx.Connect(ctx, o.Ledger)
	if err != nil {
		return nil, fmt.Errorf("--ledger: connect: %w", redact.SQLError(err))
	}
	l := &takenLedger{conn}
	if err := l.take(ctx, o); err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return l, nil
}

func (l *takenLedger) take(ctx context.Context, o *Options) error {
	if sameDatabase(o.Ledger, o.Config.Ledger.Reveal()) {
		return &UsageError{errors.New("--ledger names the pipeline's own ledger, which a rehearsal must not write to. Name an empty database")}
	}
	var free, marked bool
	var tables int
	err := l.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended('backstitch rehearsal', 0)), to_regnamespace($1) IS NOT NULL,
		(SELECT count(*) FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
		   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e'))`, markSchema).Scan(&free, &marked, &tables)
	switch {
	case err != nil:
		return fmt.Errorf("--ledger: look whether it is empty: %w", redact.SQLError(err))
	case !free:
		return &UsageError{errors.New("--ledger: another rehearsal uses this database. Wait for it, or name another one")}
	case marked:
		o.say("--ledger holds what a rehearsal that was killed left behind: it is emptied")
		if err := l.empty(ctx); err != nil {
			return err
		}
	case tables > 0:
		return &UsageError{fmt.Errorf("--ledger: the database holds %d tables or views, and a rehearsal empties what it was given. Name an empty database", tables)}
	}
	if _, err := l.conn.Exec(ctx, "CREATE SCHEMA "+markSchema); err != nil {
		return fmt.Errorf("--ledger: mark it: %w", redact.SQLError(err))
	}
	return nil
}

// sameDatabase compares what two URLs say; a database that has two names is told by its
// tables.
func sameDatabase(a, b string) bool {
	x, err := url.Parse(a)
	y, err2 := url.Parse(b)
	return err == nil && err2 == nil && x.Host == y.Host && x.Path == y.Path
}

// empty drops every schema but public, and public's content. The mark goes last: who
// dies before is followed by somebody who goes on.
func (l *takenLedger) empty(ctx context.Context) error {
	rows, err := l.conn.Query(ctx, `SELECT sql FROM (
		SELECT format('DROP SCHEMA %I CASCADE', nspname) AS sql, nspname = $1 AS last FROM pg_namespace
		WHERE nspname NOT IN ('public', 'information_schema') AND nspname NOT LIKE 'pg\_%'
		UNION ALL
		SELECT format('DROP TABLE public.%I CASCADE', relname), false FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
		UNION ALL
		SELECT format('DROP TYPE public.%I CASCADE', typname), false FROM pg_type t WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd', 'r')
		   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = t.oid AND d.deptype = 'e')
	) s ORDER BY last`, markSchema)
	if err != nil {
		return fmt.Errorf("--ledger: empty it: %w", redact.SQLError(err))
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, sql := range statements {
		if err == nil {
			_, err = l.conn.Exec(ctx, sql)
		}
	}
	if err != nil {
		return fmt.Errorf("--ledger: empty it: %w", redact.SQLError(err))
	}
	return nil
}

// close empties the database and gives it back.
func (l *takenLedger) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return errors.Join(l.empty(ctx), l.conn.Close(ctx))
}
