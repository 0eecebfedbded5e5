package backfill

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

// Config says how hard and in what portions the source is read.
type Config struct {
	Workers    int // connections that copy at once, 1 to 4; 0 means 2
	RangeRows  int // rows of a range at most; 0 means 10,000
	RangeBytes int // bytes of a range's text at most, unless one row is larger; 0 means 8 MB
}

func (c Config) withDefaults() Config {
	if c.Workers <= 0 {
		c.Workers = 2
	}
	c.Workers = min(c.Workers, 4)
	if c.RangeRows <= 0 {
		c.RangeRows = 10_000
	}
	if c.RangeBytes <= 0 {
		c.RangeBytes = 8 << 20
	}
	return c
}

// Batch is one finished range: all rows whose key lies in it. It belongs to emit
// until emit returns; then its memory is used again.
type Batch struct {
	Table *producers.CapturedTable
	Range schemas.Range
	Rows  []schemas.Row
	// Bytes is the size of the rows' text.
	Bytes int
	// Last: with this batch the table is complete.
	Last bool
}

// Read copies what is not finished yet of the tables, as the snapshot shows them,
// and hands it over range by range. Ranges never overlap, neither each other nor
// those in progress (by Table.String()), and together they leave nothing out: no
// row is missed or read twice. emit is called by one goroutine at a time, in the
// order of the key within a piece of a table but not across pieces or tables; it
// slows the readers down by taking its time, and at most Workers+1 batches exist
// at once (invariant 9).
//
// When stop is closed the rows read so far are emitted as shorter ranges, and Read
// returns nil. It returns emit's error as it is. Tables are locked by a Keeper.
func Read(ctx context.Context, cfg Config, conn *pgx.ConnConfig, snapshot string, tables []producers.CapturedTable,
	progress map[string]schemas.TableProgress, stop <-chan struct{}, emit func(context.Context, Batch) error,
) error {
	cfg = cfg.withDefaults()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	q := newQueue(cfg, tables, progress)
	if len(q.tables) == 0 {
		return nil
	}
	locks := lockTables(q.names())
	out := make(chan *portion)
	group, groupCtx := errgroup.WithContext(ctx)
	for range cfg.Workers {
		group.Go(func() error {
			w := &worker{cfg: cfg, queue: q, locks: locks, out: out, stop: stop}
			return w.run(groupCtx, conn, snapshot)
		})
	}
	var readErr error
	var reading sync.WaitGroup
	reading.Go(func() {
		readErr = group.Wait()
		close(out)
	})
	var emitErr error
	for p := range out {
		if emitErr != nil {
			continue // the readers are on their way out
		}
		if emitErr = emit(ctx, p.batch()); emitErr != nil {
			cancel()
		}
		q.buffers <- p.buf
	}
	reading.Wait()
	if emitErr != nil {
		return emitErr
	}
	if readErr != nil {
		return fmt.Errorf("read the tables: %w", readErr)
	}
	return nil
}
