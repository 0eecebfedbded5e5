package checksum

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/figures"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

// Table is a captured table as its copy holds it.
type Table struct {
	schemas.Table
	// Columns to compare, the primary key's first; their types.
	Columns, Types []string
	// Keys is how many of the columns are the primary key.
	Keys int
	// Left are columns that the copy holds and that cannot be compared, with the reason.
	Left []string
	// Why the table cannot be compared; "": it can.
	Why string
}

// Copy tells of the copy what its rows do not.
type Copy interface {
	// Await returns nil when the copy of a table holds everything that was committed
	// below lsn. Another error than *BehindError ends the comparison.
	Await(ctx context.Context, lsn schemas.LSN, t schemas.Table) error
	// Lacks tells of the rows with these keys which columns were never seen: the i-th is
	// that of keys[i], nil for a whole row.
	Lacks(ctx context.Context, t schemas.Table, keys [][]string) ([][]string, error)
}

// BehindError says why the copy does not get as far as it should.
type BehindError struct{ Why string }

func (e *BehindError) Error() string { return e.Why }

// Config says how hard the two sides are asked.
type Config struct {
	// Rows of a range at most; 0 means 10,000. Ranges that take long are smaller.
	Rows int
	// Share of the time in which the databases are asked, above 0 up to 1; 0 means 1.
	Share float64
	// SnapshotFor is how long a snapshot is kept, after which the next one is taken: it
	// holds vacuum on the source back. 0 means 5 minutes.
	SnapshotFor time.Duration
	// Suspects are held at once at most, before they are looked at again; 0 means 10,000.
	Suspects int
}

func (c Config) withDefaults() Config {
	if c.Rows <= 0 {
		c.Rows = 10_000
	}
	if c.Share <= 0 || c.Share > 1 {
		c.Share = 1
	}
	if c.SnapshotFor <= 0 {
		c.SnapshotFor = 5 * time.Minute
	}
	if c.Suspects <= 0 {
		c.Suspects = 10_000
	}
	return c
}

// Deps are what a comparison works with.
type Deps struct {
	Source *pgx.ConnConfig
	// Mirror is a session on the copies' database, with the formats of pgsession.
	Mirror *pgx.Conn
	Copy   Copy
	// Publication that captures the tables; Slot begins the temporary slots' names.
	Publication, Slot string
	// SystemID and Database are of the source that the copies were filled from; "": any.
	SystemID, Database string
	Application        string
	// Progress is told, in words, how far it is; may be nil.
	Progress func(string)
}

// The first range, and how long one should take: the rows of a table may be of any size.
const (
	firstRows = 1000
	fast      = 500 * time.Millisecond
	slow      = 3 * time.Second
	// longestPause bounds a pause between two ranges.
	longestPause = 5 * time.Second
	// tooMany differing rows of a table end its comparison.
	tooMany = 100_000
)

// work is a table and how far it is compared.
type work struct {
	Table
	report *TableReport
	source *side // of the snapshot
	copy   *side
	after  []string
	size   int
	done   bool
	// known are suspects and convicts, by their keys: where the sides order keys
	// differently, more than one range may pass a row. tooMany bounds them.
	known map[string]bool
}

// comparison is one in the making.
type comparison struct {
	cfg      Config
	d        *Deps
	report   *Report
	tables   []*work
	snap     *snapshot // nil between two
	suspects []*suspect
}

// Compare compares the tables with their copies. It changes nothing on either side,
// and holds no more than a range's and the suspects' keys in memory (invariant 9). The
// report is what was found until an error, if any.
func Compare(ctx context.Context, cfg Config, d Deps, tables []Table) (*Report, error) {
	c := &comparison{cfg: cfg.withDefaults(), d: &d, report: &Report{Tables: []*TableReport{}}}
	for _, t := range tables {
		r := &TableReport{
			Table: t.String(), Columns: t.Columns, Left: t.Left, Why: t.Why,
			Missing: Found{Samples: []Sample{}}, Extra: Found{Samples: []Sample{}}, Different: Found{Samples: []Sample{}},
		}
		c.report.Tables = append(c.report.Tables, r)
		w := &work{Table: t, report: r, size: min(firstRows, c.cfg.Rows), done: t.Why != "", known: map[string]bool{}}
		c.tables = append(c.tables, w)
	}
	err := c.run(ctx)
	if c.snap != nil {
		c.snap.close(ctx)
	}
	if err != nil {
		c.report.Why = err.Error()
	}
	c.report.judge()
	return c.report, err
}

func (c *comparison) run(ctx context.Context) error {
	for _, w := range c.tables {
		for !w.done {
			if err := c.ready(ctx); err != nil {
				return err
			}
			if w.done { // the new snapshot's look at it
				break
			}
			began := time.Now()
			if err := c.compareRange(ctx, w); err != nil {
				return fmt.Errorf("compare %s: %w", w.Table.Table, err)
			}
			if err := c.pause(ctx, time.Since(began)); err != nil {
				return err
			}
		}
		c.say("%s: %s in %s", w.Table.Table, figures.Count(w.report.Rows, "row"), figures.Count(w.report.Ranges, "range"))
	}
	return c.settle(ctx)
}

// ready has a snapshot that is not over.
func (c *comparison) ready(ctx context.Context) error {
	if c.snap != nil && c.snap.over(c.cfg.SnapshotFor) {
		if err := c.settle(ctx); err != nil {
			return err
		}
		c.leave(ctx)
	}
	if c.snap == nil {
		return c.enter(ctx)
	}
	return nil
}

// enter takes the next snapshot and prepares both sides of every table for it.
func (c *comparison) enter(ctx context.Context) error {
	names := make([]schemas.Table, 0, len(c.tables))
	for _, w := range c.tables {
		names = append(names, w.Table.Table)
	}
	snap, err := open(ctx, c.d, names)
	if err != nil {
		return fmt.Errorf("take a snapshot of the source: %w", err)
	}
	c.snap = snap
	c.report.Snapshots++
	c.report.LastLSN = snap.lsn.String()
	if c.report.FirstLSN == "" {
		c.report.FirstLSN = c.report.LastLSN
	}
	for _, w := range c.tables {
		if w.Why != "" {
			continue
		}
		if err := w.prepare(ctx, c.d, snap); err != nil {
			return fmt.Errorf("prepare to compare %s: %w", w.Table.Table, err)
		}
	}
	return nil
}

func (c *comparison) leave(ctx context.Context) {
	if c.snap != nil {
		c.snap.close(ctx)
		c.snap = nil
	}
}

// prepare makes the sides of a table, unless the source's has another shape.
func (w *work) prepare(ctx context.Context, d *Deps, snap *snapshot) (err error) {
	captured := snap.tables[w.Table.Table]
	if why := w.misshapen(captured); why != "" {
		w.report.because(why)
		w.source, w.done = nil, true
		return nil
	}
	if w.source, err = newSide(ctx, snap.conn, w.Table.Table, w.Columns, w.Types[:w.Keys]); err != nil {
		return err
	}
	w.source.filter = captured.Filter
	if captured.Partitioned {
		w.source.from = "FROM " + captured.Relation.SQL() + as
	}
	if w.copy == nil {
		w.copy, err = newSide(ctx, d.Mirror, w.Table.Table, w.Columns, w.Types[:w.Keys])
	}
	return err
}

// misshapen says why the source's table is not the one that the copy is of.
func (w *work) misshapen(captured *producers.CapturedTable) string {
	if captured == nil {
		return "the source does not publish it any more"
	}
	types := map[string]string{}
	for _, column := range captured.Relation.Columns {
		types[column.Name] = column.Type.Declared
	}
	for i, name := range w.Columns {
		switch declared, there := types[name]; {
		case !there:
			return "the source has no column " + name + " any more"
		case declared != w.Types[i]:
			return fmt.Sprintf("column %s is %s in the source and %s in the mirror", name, declared, w.Types[i])
		}
	}
	if len(captured.Relation.Key) != w.Keys {
		return "its primary key has changed"
	}
	return ""
}

// pause leaves the databases to others for the rest of the time.
func (c *comparison) pause(ctx context.Context, worked time.Duration) error {
	rest := min(longestPause, time.Duration(float64(worked)*(1/c.cfg.Share-1)))
	if rest <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (c *comparison) say(what string, args ...any) {
	if c.d.Progress != nil {
		c.d.Progress(fmt.Sprintf(what, args...))
	}
}

// behind reports whether an error is the copy's delay.
func behind(err error) (string, bool) {
	var b *BehindError
	if errors.As(err, &b) {
		return b.Why, true
	}
	return "", false
}
