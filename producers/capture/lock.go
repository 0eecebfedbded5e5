package capture

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/producers/replication"
)

const (
	// lockIdle is how long the server keeps the lock of a process that says nothing
	// more: one that was stopped must not keep stand-bys from the source.
	lockIdle = 3 * time.Second
	lockPing = 500 * time.Millisecond
)

// slotLock is the session advisory lock on the source database under which slots are
// created and dropped (hazard S27). It has a session of its own. While the process is
// stopped the server ends that session, and with it the lock; as slots are dropped in
// the same session, a process that wakes without the lock drops nothing (invariant 10).
type slotLock struct {
	name string
	mu   sync.Mutex // conn serves one at a time
	conn *pgx.Conn
	stop context.CancelFunc
	ping sync.WaitGroup
}

func lockName(slot string) string { return "backstitch slot " + slot }

// takeLock takes the lock of the source's slot; producers.ErrStandby when it is in
// other hands. lost is called when the session ends before release.
func (s *Source) takeLock(ctx context.Context, lost func(error)) (*slotLock, error) {
	config := replication.Session(s.deps.Source, s.application())
	config.RuntimeParams["idle_session_timeout"] = fmt.Sprintf("%dms", lockIdle.Milliseconds())
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the source: %w", redact.SQLError(err))
	}
	l := &slotLock{name: s.cfg.Slot, conn: conn}
	var ok bool
	err = conn.QueryRow(ctx, "SELECT pg_try_advisory_lock(hashtextextended($1, 0))", lockName(s.cfg.Slot)).Scan(&ok)
	if err == nil && ok {
		pingCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
		l.stop = stop
		l.ping.Go(func() { l.keepAlive(pingCtx, lost) })
		return l, nil
	}
	pgsession.Close(conn)
	if err != nil {
		return nil, fmt.Errorf("take the lock for slot %s: %w", s.cfg.Slot, redact.SQLError(err))
	}
	return nil, fmt.Errorf("take the lock for slot %s: %w", s.cfg.Slot, producers.ErrStandby)
}

func (l *slotLock) keepAlive(ctx context.Context, lost func(error)) {
	for {
		if err := sleep(ctx, lockPing); err != nil {
			return
		}
		if _, err := l.exec(ctx, "SELECT 1"); err != nil {
			if ctx.Err() == nil {
				lost(fmt.Errorf("the lock for slot %s is lost: %w", l.name, err))
			}
			return
		}
	}
}

// exec runs a statement in the lock's session: without the lock it does not run.
func (l *slotLock) exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, lockIdle)
	defer cancel()
	tag, err := l.conn.Exec(ctx, sql, args...)
	return tag, redact.SQLError(err)
}

// release ends the session, and with it the lock.
func (l *slotLock) release() {
	l.stop()
	l.ping.Wait()
	pgsession.Close(l.conn)
}
