package backfill

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

const (
	// pieceRanges is how many ranges one COPY reads, about: enough that planning
	// costs nothing, few enough that a sort inside PostgreSQL stays short and a
	// slice of 10 s always finishes some.
	pieceRanges = 10
	// maxRowsPerPage is PostgreSQL's MaxHeapTuplesPerPage for pages of 8 kB: a table
	// with fewer pages than that allows needs no splitting.
	maxRowsPerPage = 291
	// samplePages is how many pages are sampled for boundaries, about; of large
	// tables at least minPercent.
	samplePages = 1000
	minPercent  = 0.1
)

// tableWork is a table that Read still has to read.
type tableWork struct {
	table  *producers.CapturedTable
	ranges []schemas.Range // finished
	open   int             // pieces that are not emitted whole; set when planned, then the emitter's
	sql    tableSQL
}

// piece is a part of a table that one COPY reads.
type piece struct {
	work *tableWork
	schemas.Range
	nothing bool // every range is finished already, only the table's completion is not recorded
}

// queue hands out pieces in the order of tables and keys, so that only a few
// ranges are unfinished at a time and progress stays small (hazard S16). Tables
// are split when their turn comes, by whichever worker asks.
type queue struct {
	cfg     Config
	buffers chan *buffer // Workers+1 of them: the bound on memory (invariant 9)

	mu     sync.Mutex
	tables []*tableWork
	pieces []piece
}

func newQueue(cfg Config, tables []producers.CapturedTable, progress map[string]schemas.TableProgress) *queue {
	q := &queue{cfg: cfg, buffers: make(chan *buffer, cfg.Workers+1)}
	for range cfg.Workers + 1 {
		q.buffers <- &buffer{}
	}
	for i := range tables {
		p := progress[tables[i].Relation.String()]
		if !p.Done {
			q.tables = append(q.tables, &tableWork{table: &tables[i], ranges: p.Ranges})
		}
	}
	return q
}

// names are the tables that are still to be read.
func (q *queue) names() []schemas.Table {
	names := make([]schemas.Table, len(q.tables))
	for i, w := range q.tables {
		names[i] = w.table.Relation.Table
	}
	return names
}

// next is the next piece to read; false when there is none.
func (q *queue) next(ctx context.Context, conn *pgx.Conn) (piece, bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.pieces) == 0 {
		if len(q.tables) == 0 {
			return piece{}, false, nil
		}
		work := q.tables[0]
		q.tables = q.tables[1:]
		pieces, err := q.plan(ctx, conn, work)
		if err != nil {
			return piece{}, false, fmt.Errorf("plan the reading of table %s: %w", work.table.Relation.SQL(), err)
		}
		work.open = len(pieces)
		q.pieces = pieces
	}
	p := q.pieces[0]
	q.pieces = q.pieces[1:]
	return p, true, nil
}

// plan cuts what is left of a table into pieces.
func (q *queue) plan(ctx context.Context, conn *pgx.Conn, work *tableWork) ([]piece, error) {
	var err error
	if work.sql, err = newTableSQL(ctx, conn, work.table); err != nil {
		return nil, err
	}
	if err := work.sql.enter(ctx, conn); err != nil {
		return nil, err
	}
	gaps, err := unfinished(ctx, conn, work)
	if err != nil {
		return nil, err
	}
	if len(gaps) == 0 {
		return []piece{{work: work, nothing: true}}, nil
	}
	percent, step, err := q.sampling(ctx, conn, work)
	if err != nil {
		return nil, err
	}
	var pieces []piece
	for _, gap := range gaps {
		from := gap.From
		if step > 0 {
			bounds, err := readKeys(ctx, conn, work.sql.sample(gap, percent, step), len(work.sql.keys))
			if err != nil {
				return nil, fmt.Errorf("sample boundaries: %w", err)
			}
			for _, to := range bounds {
				if slices.Equal(to, gap.To) {
					continue
				}
				pieces = append(pieces, piece{work: work, Range: schemas.Range{From: from, To: to}})
				from = to
			}
		}
		pieces = append(pieces, piece{work: work, Range: schemas.Range{From: from, To: gap.To}})
	}
	return pieces, nil
}

// sampling decides which share of the pages to look at, and after how many
// sampled rows a piece ends; step 0: the table is too small to split.
func (q *queue) sampling(ctx context.Context, conn *pgx.Conn, work *tableWork) (percent float64, step int, err error) {
	var pages int64
	err = conn.QueryRow(ctx, `
		SELECT (coalesce(CASE WHEN $2 THEN (SELECT sum(pg_catalog.pg_relation_size(relid)) FROM pg_catalog.pg_partition_tree($1::oid::regclass))
		        ELSE pg_catalog.pg_relation_size($1::oid::regclass) END, 0) / current_setting('block_size')::int)::bigint`,
		work.table.Relation.OID, work.table.Partitioned).Scan(&pages)
	if err != nil {
		return 0, 0, fmt.Errorf("measure the table: %w", redact.SQLError(err))
	}
	rows := pieceRanges * q.cfg.RangeRows
	if pages*maxRowsPerPage <= int64(rows) {
		return 0, 0, nil
	}
	percent = min(100, max(minPercent, 100*float64(samplePages)/float64(pages)))
	return percent, max(1, int(float64(rows)*percent/100)), nil
}

// unfinished are the gaps between a table's finished ranges, in the order of the
// key, which PostgreSQL alone knows.
func unfinished(ctx context.Context, conn *pgx.Conn, work *tableWork) ([]schemas.Range, error) {
	if len(work.ranges) == 0 {
		return []schemas.Range{{}}, nil
	}
	for _, r := range work.ranges {
		for _, bound := range [][]string{r.From, r.To} {
			if bound != nil && len(bound) != len(work.sql.keys) {
				return nil, fmt.Errorf("its recorded progress has %d key values, its primary key %d columns: the key has changed, so the table must be backfilled again from its beginning", len(bound), len(work.sql.keys))
			}
		}
	}
	order, err := work.sql.orderEnds(ctx, conn, work.ranges)
	if err != nil {
		return nil, fmt.Errorf("order the finished ranges: %w", err)
	}
	var gaps []schemas.Range
	var end []string
	for i, r := range order {
		if !slices.Equal(end, r.From) || (i > 0 && end == nil) {
			gaps = append(gaps, schemas.Range{From: end, To: r.From})
		}
		end = r.To
	}
	if end != nil {
		gaps = append(gaps, schemas.Range{From: end})
	}
	return gaps, nil
}

// orderEnds sorts ranges by their upper ends, an unbounded one last.
func (s *tableSQL) orderEnds(ctx context.Context, conn *pgx.Conn, ranges []schemas.Range) ([]schemas.Range, error) {
	var ordered, last []schemas.Range
	var b strings.Builder
	fmt.Fprintf(&b, "SELECT n FROM (SELECT %s, 0 AS n %s WHERE false", s.keyList, s.from)
	for i, r := range ranges {
		if r.To == nil {
			last = append(last, r)
			continue
		}
		fmt.Fprintf(&b, " UNION ALL SELECT %s, %d", literals(r.To), i)
	}
	fmt.Fprintf(&b, ") AS ends ORDER BY %s", s.keyList)
	results, err := conn.PgConn().Exec(ctx, b.String()).ReadAll()
	if err != nil {
		return nil, redact.SQLError(err)
	}
	for _, row := range results[0].Rows {
		var i int
		if _, err := fmt.Sscan(string(row[0]), &i); err != nil {
			return nil, fmt.Errorf("read a position: %w", err)
		}
		ordered = append(ordered, ranges[i])
	}
	return append(ordered, last...), nil
}

// readKeys runs a simple query, which prints values as COPY does, for key tuples.
func readKeys(ctx context.Context, conn *pgx.Conn, sql string, columns int) ([][]string, error) {
	results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, redact.SQLError(err)
	}
	keys := make([][]string, 0, len(results[0].Rows))
	for _, row := range results[0].Rows {
		key := make([]string, columns)
		for i := range key {
			key[i] = string(row[i])
		}
		keys = append(keys, key)
	}
	return keys, nil
}
