package transform

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/spans"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kgo"
)

// causeReplay is the cause of what a replay touches.
const causeReplay = "replay"

// ErrNotFollowing says that there is nothing to evaluate again yet.
var ErrNotFollowing = errors.New("the transform has not evaluated everything once since its mirror was filled; it evaluates every entity at the end of that by itself")

// ReplayDeps are what a replay works with, in whatever process it runs.
type ReplayDeps struct {
	Ledger *pgxpool.Pool
	Kafka  []kgo.Opt
	// Schema finds a writer's schema in the registry.
	Schema func(ctx context.Context, id int) (string, error)
	Plan   *Plan
	// Captured describes the tables as they are in the source.
	Captured []Captured
	Prefix   string
	Logger   *slog.Logger
}

// Replay is the entities that records of the source topics touch, found and not yet
// touched. The mirror stays as it is and where it is: it must never go back in time.
// What stands in it now, and in the records, leads to the entities, and the
// transform evaluates those as they are now (docs/decisions/0019).
type Replay struct {
	// Records that were read, deletes and tombstones among them.
	Records int64
	// Unrouted are tables with records whose entities no route tells: a sweep of the
	// whole mapping looks for them.
	Unrouted []string
	// Misfits are records whose images the table's columns do not take any more; the
	// rows of today stand for them.
	Misfits int64

	deps         ReplayDeps
	conn         *pgxpool.Conn           // its temporary tables hold what was found (invariant 9)
	tables       map[string]*mirrorTable // by topic
	full         map[string]bool         // topics of tables whose records carry whole old rows
	decoder      *decoder
	organization string
	unrouted     map[unroutedTable]bool
	staged       map[*mirrorTable]*replayStaging
}

type unroutedTable struct {
	kind  consumers.Kind
	table schemas.Table
}

// FindReplay reads the records of spans and finds the entities that they touch; with
// an organization's key, only those of it. It changes nothing. Close what it returns.
// The error is ErrNotFollowing before there is something to evaluate again.
func FindReplay(ctx context.Context, d ReplayDeps, list []spans.Span, organization string) (*Replay, error) {
	tables, err := mirrorTables(d.Prefix, d.Captured, d.Plan)
	if err != nil {
		return nil, err
	}
	conn, err := d.Ledger.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("find entities to evaluate again: %w", redact.SQLError(err))
	}
	r := &Replay{
		deps: d, conn: conn, tables: map[string]*mirrorTable{}, full: map[string]bool{}, decoder: newDecoder(d.Schema), organization: organization,
		unrouted: map[unroutedTable]bool{}, staged: map[*mirrorTable]*replayStaging{},
	}
	for _, t := range tables {
		r.tables[t.topic] = t
	}
	for _, c := range d.Captured {
		r.full[schemas.DataTopic(d.Prefix, c.Relation.Table)] = c.Relation.Full
	}
	if err := r.find(ctx, list); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Replay) find(ctx context.Context, list []spans.Span) error {
	var phase string
	err := r.conn.QueryRow(ctx, "SELECT coalesce(max(phase), '') FROM backstitch.transform WHERE prefix = $1", r.deps.Prefix).Scan(&phase)
	if err == nil && phase != phaseFollowing {
		return ErrNotFollowing
	}
	if err == nil {
		_, err = r.conn.Exec(ctx, `CREATE TEMP TABLE backstitch_replayed (kind text, part smallint, org_key text COLLATE "C", key text COLLATE "C",
			source_table text, PRIMARY KEY (kind, part, org_key, key))`)
	}
	if err != nil {
		return fmt.Errorf("find entities to evaluate again: %w", redact.SQLError(err))
	}
	err = spans.Read(ctx, r.deps.Kafka, list, func(records []*kgo.Record) error {
		byTable := map[*mirrorTable][]*kgo.Record{}
		for _, rec := range records {
			if t := r.tables[rec.Topic]; t != nil {
				byTable[t] = append(byTable[t], rec)
			}
		}
		for t, records := range byTable {
			if err := r.touchedBy(ctx, t, records); err != nil {
				return fmt.Errorf("find the entities of %s: %w", t.table, redact.SQLError(err))
			}
		}
		r.Records += int64(len(records))
		return nil
	})
	for u := range r.unrouted {
		if name := u.table.String(); !slices.Contains(r.Unrouted, name) {
			r.Unrouted = append(r.Unrouted, name)
		}
	}
	slices.Sort(r.Unrouted)
	if err == nil {
		_, err = r.conn.Exec(ctx, "ANALYZE pg_temp.backstitch_replayed")
	}
	return redact.SQLError(err)
}

// touchedBy adds what the records of one table touch: by the rows that they name as
// they are in the mirror now, and by the images that they carry.
func (r *Replay) touchedBy(ctx context.Context, t *mirrorTable, records []*kgo.Record) error {
	s, err := r.staging(ctx, t)
	if err != nil {
		return err
	}
	keys, images, err := r.decoder.images(ctx, t, r.full[t.topic], records)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, pins()); err != nil {
			return err
		}
		if err := r.stage(ctx, tx, s, keys, images); err != nil {
			return err
		}
		for i := range r.deps.Plan.Mappings {
			if err := r.follow(ctx, tx, &r.deps.Plan.Mappings[i], s); err != nil {
				return err
			}
		}
		return nil
	})
}

// follow adds what a mapping's route finds. A table that it reads without a route,
// or whose route fails on a row, is left to a sweep (hazard C5).
func (r *Replay) follow(ctx context.Context, tx pgx.Tx, m *CompiledMapping, s *replayStaging) error {
	route, routed := m.Routes[s.t.table]
	if !routed {
		if slices.Contains(m.Reads, s.t.table) {
			r.unrouted[unroutedTable{m.Kind, s.t.table}] = true
		}
		return nil
	}
	found := columnsFound(m, route, s.changed)
	if route.Select != "" {
		found = selectFound(m, route, s.changed)
	}
	part := partOf(m.Kind, route.Keys)
	key, where, args := "f.org_key", "", []any{m.Kind, part, s.t.table.String()}
	if r.organization != "" {
		where, args = " WHERE f.org_key = $4", append(args, r.organization)
		if part == partEntity { // in this organization, whether there is one or not
			key, where, args[1] = "$4::text", "", partFull
		}
	}
	state, err := tryRows(ctx, tx, defaultPassTimeout, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO pg_temp.backstitch_replayed (kind, part, org_key, key, source_table)
			SELECT $1, $2, `+key+`, f.key, $3 FROM (`+found+`) f`+where+` ON CONFLICT DO NOTHING`, args...)
		return err
	})
	if state != "" {
		r.unrouted[unroutedTable{m.Kind, s.t.table}] = true
	}
	return err
}

// Begin touches what was found, so that the transform evaluates it when it next
// stands at a checkpoint: in the backfill lane where it is much, so that live changes
// go first. No change of a row is known to have caused it, so that a delete it finds
// waits for consent (invariant 7). All of it is touched, or nothing.
func (r *Replay) Begin(ctx context.Context) error {
	err := pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) error {
		// what is touched already is evaluated anyway, and may have been earned
		tag, err := tx.Exec(ctx, `INSERT INTO backstitch.touched (kind, part, org_key, key, wide, earned, cause, source_table, epoch, commit_lsn, end_lsn, committed_at)
			SELECT r.kind, r.part, r.org_key, r.key, (SELECT count(*) > $2 FROM pg_temp.backstitch_replayed), false, $3, r.source_table,
				t.evaluated_epoch, t.evaluated_commit_lsn, t.evaluated_end_lsn, t.evaluated_commit_at
			FROM pg_temp.backstitch_replayed r, backstitch.transform t WHERE t.prefix = $1 AND t.phase = 'following'
			ORDER BY r.kind, r.part, r.org_key, r.key ON CONFLICT DO NOTHING`, r.deps.Prefix, wideFanOut, causeReplay)
		if err != nil {
			return err
		}
		r.deps.Logger.DebugContext(ctx, "entities are touched by a replay", "keys", tag.RowsAffected())
		for u := range r.unrouted {
			_, err := tx.Exec(ctx, `INSERT INTO backstitch.sweeps AS s (kind, source_table, routed, changes) VALUES ($1, $2, false, 1)
				ON CONFLICT (kind, source_table) DO UPDATE SET changes = s.changes + 1, routed = false`, u.kind, u.table.String())
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("touch the entities of a replay: %w", redact.SQLError(err))
	}
	return nil
}

// Close ends the session, and what it found with it.
func (r *Replay) Close() {
	if conn := r.conn.Hijack(); conn != nil {
		_ = conn.Close(context.Background()) // nothing in it is kept
	}
}
