package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
)

const (
	// soleLease is how long the ledger keeps the place of a process that says nothing
	// more: one that is frozen must not keep others away for ever.
	soleLease = 10 * time.Second
	solePing  = time.Second
)

// soleLock is the advisory lock of the one process that may run a pipeline whose broker
// is within the process.
const soleLock = 0x6261636b736f6c65 // "backsole"

// ErrSoleLost says that the ledger has given the place to whoever asks next.
var ErrSoleLost = errors.New("the ledger has not heard of this process for too long, and another one may run the pipeline now")

// NotSoleError says who is there already.
type NotSoleError struct{ Holder string }

func (e *NotSoleError) Error() string {
	return "another process runs this pipeline (" + e.Holder + "), and its embedded broker cannot be shared: wait for its end, or stop it"
}

// Sole is the place of the one process. It ends with it, however that ends.
type Sole struct {
	conn *pgx.Conn
	stop context.CancelFunc
	ping sync.WaitGroup
}

// TakeSole takes the place, as app, or fails with a *NotSoleError. lost is called, once,
// with ErrSoleLost when the place is lost before Leave: what it was held for must end.
// Writes of a process that does not know it yet are fenced by BeginIncarnation.
func TakeSole(ctx context.Context, dsn, app string, lost func(error)) (*Sole, error) {
	config, err := ConnConfig(dsn, app)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["idle_session_timeout"] = strconv.FormatInt(soleLease.Milliseconds(), 10)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", redact.SQLError(err))
	}
	var mine bool
	var holder string
	err = conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(soleLock)).Scan(&mine)
	if err == nil && !mine {
		err = conn.QueryRow(ctx, `SELECT coalesce(max(a.application_name || ', since ' || to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS TZ')), 'it has just ended')
			FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
			WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
			  AND l.classid = (($1::bigint >> 32) & 4294967295)::oid AND l.objid = ($1::bigint & 4294967295)::oid`, int64(soleLock)).Scan(&holder)
		if err == nil {
			err = &NotSoleError{holder}
		}
	}
	if err != nil {
		pgsession.Close(conn)
		return nil, redact.SQLError(err)
	}
	pinging, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Sole{conn: conn, stop: stop}
	s.ping.Go(func() { s.keepAlive(pinging, lost) })
	return s, nil
}

func (s *Sole) keepAlive(ctx context.Context, lost func(error)) {
	tick := time.NewTicker(solePing)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		within, cancel := context.WithTimeout(ctx, soleLease)
		_, err := s.conn.Exec(within, "SELECT 1")
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				lost(errors.Join(ErrSoleLost, redact.SQLError(err)))
			}
			return
		}
	}
}

// Leave gives the place up.
func (s *Sole) Leave() {
	s.stop()
	s.ping.Wait()
	pgsession.Close(s.conn)
}
