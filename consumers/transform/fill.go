package transform

import (
	"context"
	"fmt"
	"slices"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// bulkRows is the size of a source transaction whose rows count as bulk (hazard C18).
const bulkRows = 1000

// filler moves the mirror. It owns a session: its temporary tables live there.
type filler struct {
	conn    *pgx.Conn
	term    int64
	prefix  string
	ids     map[string]string // topic ids
	toucher toucher
	// touching: routes see what changes. While loading nothing was evaluated yet,
	// and a mirror beside the old one is compared whole.
	touching bool
	stages   map[stageKey]*staging
	tables   map[*mirrorTable]int
	// epoch of the source that is filled: events of earlier ones are not, because
	// rows that were deleted between two epochs have no deletion in the topics.
	epoch uint32
	// incomplete: incomplete_rows is not empty.
	incomplete bool
	// commits counts rows of the source transactions of the last batches.
	commits map[commitKey]int
}

type stageKey struct {
	t    *mirrorTable
	bulk bool
}

type commitKey struct {
	epoch  uint32
	commit schemas.LSN
}

func newFiller(ctx context.Context, conn *pgx.Conn, term int64, prefix string, ids map[string]string, to toucher) (*filler, error) {
	f := &filler{
		conn: conn, term: term, prefix: prefix, ids: ids, toucher: to,
		stages: map[stageKey]*staging{}, tables: map[*mirrorTable]int{}, commits: map[commitKey]int{},
	}
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM backstitch.incomplete_rows)").Scan(&f.incomplete)
	if err != nil {
		return nil, fmt.Errorf("look for incomplete rows: %w", redact.SQLError(err))
	}
	return f, nil
}

// unit is one table's share of a batch.
type unit struct {
	*staging
	rows  []*folded
	at    touchInfo
	olds  int64
	ups   int64
	gones int64
	// reads: every row was read by a backfill; direct ones went straight to the mirror.
	reads  bool
	direct int64
}

// filled is what a fill did.
type filled struct{ read, written int64 }

// fill brings a batch into the mirror and moves the offsets, in one transaction
// (invariant 10, hazard C14). Losing it in a crash loses nothing: its offsets are
// lost with it, so it need not wait for the disk (hazard C12 allows that for the
// mirror alone).
func (f *filler) fill(ctx context.Context, b *batch, endLSN schemas.LSN) (done filled, err error) {
	units, err := f.units(ctx, b, endLSN)
	if err != nil {
		return done, err
	}
	err = pgx.BeginFunc(ctx, f.conn, func(tx pgx.Tx) error {
		if err := f.begin(ctx, tx); err != nil {
			return err
		}
		// hazard C1: every old image before anything changes, every new one after everything has
		for _, step := range []func(context.Context, pgx.Tx, *unit) error{f.stage, f.touchOld, remove, upsert, f.touchNew} {
			for _, u := range units {
				if err := step(ctx, tx, u); err != nil {
					return fmt.Errorf("fill %s: %w", u.t.table, redact.SQLError(err))
				}
			}
		}
		return f.end(ctx, tx, b)
	})
	if err != nil {
		return done, err
	}
	done.read = int64(b.rows)
	for _, u := range units {
		done.written += u.ups + u.gones + u.direct
	}
	return done, nil
}

func (f *filler) begin(ctx context.Context, tx pgx.Tx) error {
	if err := fence(ctx, tx, f.term); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "SET LOCAL synchronous_commit = off"); err != nil {
		return fmt.Errorf("begin to fill: %w", redact.SQLError(err))
	}
	return nil
}

func (f *filler) end(ctx context.Context, tx pgx.Tx, b *batch) error {
	if err := storeOffsets(ctx, tx, f.prefix, b.next, f.ids); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "UPDATE backstitch.transform SET filled_at = now() WHERE prefix = $1", f.prefix); err != nil {
		return fmt.Errorf("store when something was filled: %w", redact.SQLError(err))
	}
	return nil
}

// units folds a batch and splits it by table and bulk.
func (f *filler) units(ctx context.Context, b *batch, endLSN schemas.LSN) ([]*unit, error) {
	f.count(b)
	// a later backfill's rows (change LSN 0) are no hurry either
	bulk := func(v schemas.Version) bool {
		return v.Change == 0 || f.commits[commitKey{v.Epoch, v.Commit}] > bulkRows
	}
	byKey := map[stageKey]*unit{}
	var units []*unit
	for t, events := range b.events {
		events = slices.DeleteFunc(events, func(e *event) bool { return e.version.Epoch < f.epoch })
		for _, row := range fold(events, bulk) {
			at := stageKey{t, row.bulk}
			u := byKey[at]
			if u == nil {
				s, err := f.staging(ctx, at)
				if err != nil {
					return nil, err
				}
				u = &unit{staging: s, at: touchInfo{Bulk: row.bulk, EndLSN: endLSN}, reads: true}
				byKey[at] = u
				units = append(units, u)
			}
			u.rows = append(u.rows, row)
			u.reads = u.reads && row.last.version.Change == 0 && !row.gone
			// hazard A19: the oldest, so that nothing of before a position counts as later
			if v := row.first.version; u.at.Epoch == 0 || v.Epoch == u.at.Epoch && v.Commit < u.at.CommitLSN || v.Epoch > u.at.Epoch {
				u.at.Epoch, u.at.CommitLSN, u.at.CommitTime = v.Epoch, v.Commit, row.first.commit
			}
		}
	}
	return units, nil
}

// count keeps how many rows the transactions of this batch have had, this one's
// predecessors included.
func (f *filler) count(b *batch) {
	before := f.commits
	f.commits = make(map[commitKey]int, len(before))
	for _, events := range b.events {
		for _, e := range events {
			at := commitKey{e.version.Epoch, e.version.Commit}
			n, ok := f.commits[at]
			if !ok {
				n = before[at]
			}
			f.commits[at] = n + 1
		}
	}
}

func (f *filler) staging(ctx context.Context, at stageKey) (*staging, error) {
	if s := f.stages[at]; s != nil {
		return s, nil
	}
	n, ok := f.tables[at.t]
	if !ok {
		n = len(f.tables)
		f.tables[at.t] = n
	}
	s, err := newStaging(ctx, f.conn, at.t, n, at.bulk)
	if err == nil {
		f.stages[at] = s
	}
	return s, err
}

// stage copies a unit's rows into its temporary tables and completes them.
func (f *filler) stage(ctx context.Context, tx pgx.Tx, u *unit) error {
	if err := u.clean(ctx, tx); err != nil {
		return err
	}
	var images, partial, gone copyText
	for _, row := range u.rows {
		switch {
		case row.gone:
			gone.values(keyValues(row.key))
			gone.endRow()
		case row.unresolved():
			writePartial(&partial, row, u.t)
		default:
			images.values(row.row)
			images.endRow()
		}
	}
	u.used += len(u.rows)
	u.gones, u.ups = int64(gone.rows), int64(images.rows+partial.rows)
	if err := gone.send(ctx, f.conn, u.gone, u.keys); err != nil {
		return err
	}
	if u.reads && partial.rows == 0 && !f.touching && !f.incomplete {
		if done, err := f.copyDirectly(ctx, tx, u, &images); done || err != nil {
			return err
		}
	}
	if err := images.send(ctx, f.conn, u.images, u.columns); err != nil {
		return err
	}
	if partial.rows > 0 || f.incomplete {
		return f.complete(ctx, tx, u, &partial)
	}
	return f.drop(ctx, tx, u, u.sql.drop)
}

// drop takes images out that the mirror has already (hazard C21).
func (f *filler) drop(ctx context.Context, tx pgx.Tx, u *unit, sql string) error {
	if !f.touching || u.ups == 0 {
		return nil
	}
	tag, err := tx.Exec(ctx, sql)
	u.ups -= tag.RowsAffected()
	return err
}

func (f *filler) touchOld(ctx context.Context, tx pgx.Tx, u *unit) error {
	if !f.touching {
		return nil
	}
	if u.gones > 0 {
		tag, err := tx.Exec(ctx, u.sql.oldGone)
		if err != nil {
			return err
		}
		u.olds += tag.RowsAffected()
	}
	if u.ups > 0 {
		tag, err := tx.Exec(ctx, u.sql.oldImages)
		if err != nil {
			return err
		}
		u.olds += tag.RowsAffected()
	}
	if u.olds == 0 {
		return nil
	}
	return f.toucher.touch(ctx, tx, u.t.table, u.old, u.at)
}

func (f *filler) touchNew(ctx context.Context, tx pgx.Tx, u *unit) error {
	if !f.touching || u.ups == 0 {
		return nil
	}
	return f.toucher.touch(ctx, tx, u.t.table, u.images, u.at)
}

func remove(ctx context.Context, tx pgx.Tx, u *unit) error {
	if u.gones == 0 {
		return nil
	}
	tag, err := tx.Exec(ctx, u.sql.remove)
	u.gones = tag.RowsAffected()
	return err
}

func upsert(ctx context.Context, tx pgx.Tx, u *unit) error {
	if u.ups == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, u.sql.upsert)
	return err
}

// directAgain is how many batches a table takes the long way after one of its rows
// was there already.
const directAgain = 32

// copyDirectly copies rows that a first backfill read straight into the mirror,
// which is more than twice as fast. A row that is there already (read twice, after
// an interruption) undoes it, and the batch goes the long way.
func (f *filler) copyDirectly(ctx context.Context, tx pgx.Tx, u *unit, images *copyText) (bool, error) {
	if u.detour > 0 {
		u.detour--
		return false, nil
	}
	err := pgx.BeginFunc(ctx, tx, func(pgx.Tx) error { return images.send(ctx, f.conn, u.t.sql(), u.columns) })
	switch {
	case err == nil:
		u.direct, u.ups = int64(images.rows), 0
		return true, nil
	case redact.SQLState(err) == "23505":
		u.detour = directAgain
		return false, nil
	}
	return false, err
}
