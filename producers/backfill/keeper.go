package backfill

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
)

const (
	// lockTimeout bounds how long the keeper queues for a lock: behind a waiting
	// ALTER TABLE it would delay nobody, but the run would stand still.
	lockTimeout = "3s"
	// patience is how long somebody may wait behind the keeper before it gives way.
	patience = 5 * time.Second
	// watchEvery is the pace of the watcher's look at the lock table.
	watchEvery = 500 * time.Millisecond
	// pingEvery is the pace at which the keeper's idle session shows that it is there
	// (silence).
	pingEvery = 3 * time.Second
)

// Keeper is the transaction that guards a backfill run: its ACCESS SHARE locks,
// taken before the slot is created, keep every rewrite and TRUNCATE out, because
// a snapshot sees 0 rows of a table that was rewritten after it (hazard S7). After
// Adopt it also keeps the slot's snapshot alive (hazard S8).
type Keeper struct {
	mu       sync.Mutex // conn serves one at a time
	conn     *pgx.Conn
	watch    *pgx.Conn
	stop     context.CancelFunc
	watching sync.WaitGroup
	blocking chan struct{}
	reason   string // written before blocking is closed
}

// OpenKeeper locks the tables, partitions included, in a transaction of its own.
// It fails with SQLSTATE 55P03 when it would wait longer than 3 s, behind DDL for
// example: the run starts again later.
func OpenKeeper(ctx context.Context, cfg *pgx.ConnConfig, tables []schemas.Table) (*Keeper, error) {
	conn, err := connect(ctx, cfg, keeperName)
	if err != nil {
		return nil, err
	}
	if err := exec(ctx, conn, "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL lock_timeout = '"+lockTimeout+"'"); err != nil {
		return nil, closeAfter(conn, fmt.Errorf("begin the keeper's transaction: %w", err))
	}
	if len(tables) > 0 {
		if err := exec(ctx, conn, lockTables(tables)); err != nil {
			return nil, closeAfter(conn, fmt.Errorf("lock the tables %v for the backfill: %w", tables, err))
		}
	}
	watch, err := connect(ctx, cfg, watcherName)
	if err != nil {
		return nil, closeAfter(conn, err)
	}
	k := &Keeper{conn: conn, watch: watch, blocking: make(chan struct{})}
	watchCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	k.stop = stop
	k.watching.Go(func() { k.watchWaiters(watchCtx) })
	return k, nil
}

// Adopt makes the snapshot that the slot's creation exported the keeper's own and
// exports it again: the next command on the replication connection ends the
// original (hazard S8). Workers import the one that it returns, which lives until
// Close.
func (k *Keeper) Adopt(ctx context.Context, snapshot string) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := importSnapshot(ctx, k.conn, snapshot); err != nil {
		return "", err
	}
	var exported string
	if err := k.conn.QueryRow(ctx, "SELECT pg_export_snapshot()").Scan(&exported); err != nil {
		return "", fmt.Errorf("export the keeper's snapshot: %w", redact.SQLError(err))
	}
	return exported, nil
}

// Blocking is closed when somebody has waited behind the keeper's locks, or the
// workers', for 5 s, or when that can no longer be told. The run is then to stop and close the keeper.
func (k *Keeper) Blocking() <-chan struct{} { return k.blocking }

// Reason says why Blocking was closed; "" before.
func (k *Keeper) Reason() string {
	select {
	case <-k.blocking:
		return k.reason
	default:
		return ""
	}
}

// Close ends the keeper's transaction and with it locks and snapshot.
func (k *Keeper) Close(ctx context.Context) error {
	k.stop()
	k.watching.Wait()
	pgsession.Discard(k.watch)
	err := k.conn.Close(ctx)
	<-k.conn.PgConn().CleanupDone()
	if err != nil {
		return fmt.Errorf("close the keeper's session: %w", redact.SQLError(err))
	}
	return nil
}

func (k *Keeper) watchWaiters(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for pinged := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		waiter, err := k.waiter(ctx)
		if err == nil && time.Since(pinged) > pingEvery {
			err, pinged = k.ping(ctx), time.Now()
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			// A keeper that nobody watches could stop the source's DDL for hours.
			waiter = "the watcher lost its connection: " + err.Error()
		}
		if waiter != "" {
			k.reason = waiter
			close(k.blocking)
			return
		}
	}
}

// ping keeps the server from ending the keeper's idle transaction. It takes no
// snapshot: Adopt would be refused after one.
func (k *Keeper) ping(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return exec(ctx, k.conn, "-- ping")
}

// waiter names a session that has waited behind the keeper, or behind the workers
// (which lock indexes too), for too long; or "".
func (k *Keeper) waiter(ctx context.Context) (string, error) {
	rows, err := k.watch.Query(ctx, `
		SELECT format('pid %s (%s) has waited for %s s behind the backfill''s locks', l.pid,
		       coalesce(nullif(a.application_name, ''), 'no application name'), round(extract(epoch FROM clock_timestamp() - l.waitstart), 1))
		FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
		WHERE NOT l.granted AND l.waitstart < clock_timestamp() - make_interval(secs => $1)
		  AND pg_catalog.pg_blocking_pids(l.pid) && ($2::int || ARRAY(
		      SELECT w.pid FROM pg_catalog.pg_stat_activity w WHERE w.application_name = $3 AND w.datname = current_database()))
		LIMIT 1`, patience.Seconds(), int32(k.conn.PgConn().PID()), workerName)
	if err != nil {
		return "", redact.SQLError(err)
	}
	waiters, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(waiters) == 0 {
		return "", redact.SQLError(err)
	}
	return waiters[0], nil
}
