package backfill

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
)

// portion is a filled buffer on its way to emit.
type portion struct {
	work  *tableWork
	rng   schemas.Range
	buf   *buffer
	final bool // the piece ends here
}

// batch is called by the emitter, which alone counts the pieces that are whole.
func (p *portion) batch() Batch {
	if p.final {
		p.work.open--
	}
	return Batch{
		Table: p.work.table, Range: p.rng, Rows: p.buf.rows, Bytes: p.buf.bytes,
		Last: p.final && p.work.open == 0,
	}
}

// worker copies pieces over one connection.
type worker struct {
	cfg   Config
	queue *queue
	locks string // LOCK TABLE for everything that will be read
	out   chan<- *portion
	stop  <-chan struct{}
}

// run reads until nothing is left or stop is closed. Everything asked of
// PostgreSQL ends with stop too: behind waiting DDL it could last as long as the
// keeper, which in turn is closed after Read.
func (w *worker) run(ctx context.Context, cfg *pgx.ConnConfig, snapshot string) error {
	asking, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-w.stop:
			cancel()
		case <-asking.Done():
		}
	})
	defer watching.Wait()
	defer cancel()
	err := w.work(ctx, asking, cfg, snapshot)
	if ctx.Err() == nil && w.stopped() {
		return nil
	}
	return err
}

func (w *worker) work(ctx, asking context.Context, cfg *pgx.ConnConfig, snapshot string) error {
	conn, err := OpenReader(asking, cfg, snapshot)
	if err != nil {
		return err
	}
	defer pgsession.Discard(conn)
	// Locks that a session has it need not queue for behind DDL that waits for the keeper.
	if err := exec(asking, conn, w.locks); err != nil {
		return fmt.Errorf("lock the tables: %w", err)
	}
	for !w.stopped() {
		p, ok, err := w.queue.next(asking, conn)
		if err != nil || !ok {
			return err
		}
		if err := w.read(ctx, asking, conn, p); err != nil {
			return fmt.Errorf("table %s: %w", p.work.table.Relation.SQL(), err)
		}
	}
	return nil
}

func (w *worker) stopped() bool {
	select {
	case <-w.stop:
		return true
	default:
		return false
	}
}

// read copies one piece. When stop interrupts it, the rows that arrived become a
// shorter range: they came in the order of the key, so none before the last is missing.
func (w *worker) read(ctx, asking context.Context, conn *pgx.Conn, p piece) error {
	c := &copier{ctx: ctx, worker: w, piece: p, from: p.From}
	if err := c.open(); err != nil {
		return err
	}
	if p.nothing {
		return c.flush(nil, true)
	}
	err := p.work.sql.enter(asking, conn)
	if err == nil {
		_, err = conn.PgConn().CopyTo(asking, c, p.work.sql.copyOut(p.Range))
	}
	switch {
	case err == nil:
		return c.flush(p.To, true)
	case ctx.Err() == nil && w.stopped():
		if c.buf != nil && len(c.buf.rows) > 0 {
			return c.flush(c.lastKey(), false)
		}
		return nil
	case redact.SQLState(err) == "42501":
		return fmt.Errorf("copy rows: %w (the role needs SELECT on the table and, where row-level security is on, BYPASSRLS: without it rows would be hidden)", redact.SQLError(err))
	default:
		return fmt.Errorf("copy rows: %w", redact.SQLError(err))
	}
}

// copier receives the text of a COPY and cuts it into ranges.
type copier struct {
	ctx     context.Context //nolint:containedctx // io.Writer has no room for it
	worker  *worker
	piece   piece
	from    []string
	buf     *buffer
	partial []byte // the beginning of a row whose end has not arrived
}

// open waits for a free buffer, which is how a slow emit slows the readers down.
func (c *copier) open() error {
	select {
	case c.buf = <-c.worker.queue.buffers:
		c.buf.reset()
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// Write takes COPY's text as it arrives. A raw newline always ends a row: COPY
// escapes those inside values.
func (c *copier) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			c.partial = append(c.partial, p...)
			break
		}
		line := p[:i]
		p = p[i+1:]
		if len(c.partial) > 0 {
			c.partial = append(c.partial, line...)
			line = c.partial
			c.partial = c.partial[:0]
		}
		if err := c.row(line); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func (c *copier) row(line []byte) error {
	cfg := c.worker.cfg
	if n := len(c.buf.rows); n >= cfg.RangeRows || n > 0 && c.buf.bytes+len(line) > cfg.RangeBytes {
		if err := c.flush(c.lastKey(), false); err != nil {
			return err
		}
		if err := c.open(); err != nil {
			return err
		}
	}
	return c.buf.add(line, len(c.piece.work.table.Relation.Columns))
}

// lastKey is the key of the last row in the buffer.
func (c *copier) lastKey() []string {
	row := c.buf.rows[len(c.buf.rows)-1]
	key := make([]string, 0, len(c.piece.work.table.Relation.Key))
	for _, i := range c.piece.work.table.Relation.Key {
		key = append(key, string(row[i].Data))
	}
	return key
}

// flush hands the buffer over as the range up to a key.
func (c *copier) flush(to []string, final bool) error {
	p := &portion{work: c.piece.work, rng: schemas.Range{From: c.from, To: to}, buf: c.buf, final: final}
	select {
	case c.worker.out <- p:
		c.from, c.buf = to, nil
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}
