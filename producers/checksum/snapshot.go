package checksum

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/producers/backfill"
	"github.com/backstitch/backstitch/producers/replication"
	"github.com/backstitch/backstitch/schemas"
)

const (
	// slotPatience is how long one attempt waits for running transactions. One of them may
	// be DDL that waits behind the keeper, and gets its way when this is over.
	slotPatience = 5 * time.Second
	// openPatience bounds all attempts, for locks too; between them is openPause.
	openPatience = 2 * time.Minute
	openPause    = time.Second
	// statementLimit ends a statement of ours that runs away.
	statementLimit = "5min"
	// idleLimit is how long the source's session may wait for the copy's side.
	idleLimit = "2min"
	// whoLeft is how often the server looks whether we live while a slot of ours is
	// being created, so that who is killed leaves none behind.
	whoLeft = "2s"
)

// snapshot is the source as it was at a position: it contains exactly the commits
// below lsn.
type snapshot struct {
	lsn    schemas.LSN
	began  time.Time
	conn   *pgx.Conn
	keeper *backfill.Keeper
	tables map[schemas.Table]*producers.CapturedTable
}

// open takes a snapshot with its tables locked ACCESS SHARE before (hazard S7). It
// tries for openPatience while running transactions or DDL stand in its way.
func open(ctx context.Context, d *Deps, tables []schemas.Table) (*snapshot, error) {
	deadline := time.Now().Add(openPatience)
	for {
		s, err := try(ctx, d, tables)
		busy := errors.Is(err, replication.ErrBusy)
		if err == nil || !busy && redact.SQLState(err) != "55P03" { // lock_not_available
			return s, explain(err)
		}
		if time.Now().After(deadline) {
			if busy {
				err = fmt.Errorf("%w: %s", err, blockers(ctx, d))
			}
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(openPause):
		}
	}
}

// explain names the fix of what is the server's, not ours.
func explain(err error) error {
	if redact.SQLState(err) == "53400" { // configuration_limit_exceeded
		return fmt.Errorf("the server has no replication slot free for the moment that a snapshot takes: raise max_replication_slots, or drop a slot that nobody reads: %w", err)
	}
	return err
}

func blockers(ctx context.Context, d *Deps) string {
	conn, err := pgx.ConnectConfig(ctx, replication.Session(d.Source, d.Application))
	if err != nil {
		return "who they are cannot be told"
	}
	defer pgsession.Discard(conn)
	names, err := backfill.Blockers(ctx, conn)
	if err != nil || len(names) == 0 {
		return "they have ended since"
	}
	return strings.Join(names, "; ")
}

func try(ctx context.Context, d *Deps, tables []schemas.Table) (s *snapshot, err error) {
	s = &snapshot{tables: map[schemas.Table]*producers.CapturedTable{}}
	defer func() {
		if err != nil {
			s.close(ctx)
			s = nil
		}
	}()
	session := replication.Session(d.Source, d.Application)
	present, notices, err := look(ctx, session, d.Publication)
	if err != nil {
		return s, err
	}
	tables = slices.DeleteFunc(slices.Clone(tables), func(t schemas.Table) bool { return !slices.Contains(present, t) })
	if s.keeper, err = backfill.OpenKeeper(ctx, session, tables); err != nil {
		s.keeper = nil
		return s, err
	}
	exported, err := s.slot(ctx, d, notices)
	if err != nil {
		return s, err
	}
	if s.conn, err = backfill.OpenReader(ctx, session, exported); err != nil {
		return s, err
	}
	_, err = s.conn.PgConn().Exec(ctx, "SET statement_timeout = '"+statementLimit+"'; SET idle_in_transaction_session_timeout = '"+idleLimit+"'").ReadAll()
	if err != nil {
		return s, redact.SQLError(err)
	}
	described, err := producers.Describe(ctx, s.conn, d.Publication) // under the keeper's locks
	for i := range described {
		s.tables[described[i].Relation.Table] = &described[i]
	}
	s.began = time.Now()
	return s, err
}

// look finds what is published, so that only what is there is locked, and whether the
// server can notice by itself that a client has gone.
func look(ctx context.Context, session *pgx.ConnConfig, publication string) (present []schemas.Table, notices bool, err error) {
	conn, err := pgx.ConnectConfig(ctx, session)
	if err != nil {
		return nil, false, fmt.Errorf("connect to the source: %w", redact.SQLError(err))
	}
	defer pgsession.Discard(conn)
	described, err := producers.Describe(ctx, conn, publication)
	for _, d := range described {
		present = append(present, d.Relation.Table)
	}
	if err != nil {
		return nil, false, err
	}
	_, refused := conn.Exec(ctx, "SET client_connection_check_interval = '"+whoLeft+"'") // not on every platform
	return present, refused == nil, nil
}

// slot creates a temporary slot, has the keeper adopt its snapshot, and gives the slot
// back: it is there for as long as its creation takes.
func (s *snapshot) slot(ctx context.Context, d *Deps, notices bool) (exported string, err error) {
	source := d.Source.Copy()
	if notices {
		if source.RuntimeParams == nil {
			source.RuntimeParams = map[string]string{}
		}
		source.RuntimeParams["client_connection_check_interval"] = whoLeft
	}
	conn, err := replication.Connect(ctx, source, d.Application)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := d.identify(ctx, conn); err != nil {
		return "", err
	}
	point, err := conn.CreateTemporarySlot(ctx, fmt.Sprintf("%s_%d", d.Slot, conn.PID()), slotPatience)
	if err != nil {
		return "", err
	}
	s.lsn = point.LSN
	return s.keeper.Adopt(ctx, point.Snapshot)
}

// identify makes sure that the copy is this source's.
func (d *Deps) identify(ctx context.Context, conn *replication.Conn) error {
	system, err := conn.Identify(ctx)
	if err != nil {
		return err
	}
	if d.SystemID != "" && (system.ID != d.SystemID || system.Database != d.Database) {
		return fmt.Errorf("the source is database %s of system %s, the mirror was filled from %s of %s: they have nothing to do with each other", system.Database, system.ID, d.Database, d.SystemID)
	}
	return nil
}

// over reports whether the snapshot should be given back: it is old, so that vacuum
// is held back for long, or somebody waits behind its locks.
func (s *snapshot) over(limit time.Duration) bool {
	select {
	case <-s.keeper.Blocking():
		return true
	default:
		return time.Since(s.began) > limit
	}
}

func (s *snapshot) close(ctx context.Context) {
	if s.conn != nil {
		pgsession.Discard(s.conn)
	}
	if s.keeper != nil {
		_ = s.keeper.Close(context.WithoutCancel(ctx)) // it held locks and a snapshot only, which end with the session
	}
}
