package transform

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"time"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// lockKey is the advisory lock of a prefix's transform in its ledger.
func lockKey(prefix string) int64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, "backstitch/transform/"+prefix) // a hash's Write does not fail
	return int64(h.Sum64())
}

// election is the session that holds the transform's advisory lock. The lock only
// elects: what keeps a former owner out is the fence (hazard C13).
type election struct{ conn *pgx.Conn }

func (e *election) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = e.conn.Close(ctx) // the session ends either way
}

// elect waits until this instance holds the lock; nil when stopping.
func (t *Transform) elect(ctx context.Context, stopping <-chan struct{}) (*election, error) {
	t.set(func(s *Status) { s.State, s.Doing = Standby, "waiting for the owner to leave" })
	conn, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	e := &election{conn}
	for {
		var mine bool
		if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", lockKey(t.cfg.Prefix)).Scan(&mine); err != nil {
			e.close()
			return nil, fmt.Errorf("elect the transform's owner: %w", err)
		}
		if mine {
			return e, nil
		}
		select {
		case <-ctx.Done():
			e.close()
			return nil, ctx.Err()
		case <-stopping:
			e.close()
			return nil, nil
		case <-time.After(t.cfg.Standby):
		}
	}
}

// watch ends with errLostLock when the lock's session is gone.
func (e *election) watch(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		alive, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := e.conn.Ping(alive)
		cancel()
		if err != nil && ctx.Err() == nil {
			return errors.Join(errLostLock, redact.SQLError(err))
		}
	}
}

// connect opens a dedicated ledger session.
func (t *Transform) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, t.deps.LedgerConn.Copy())
	if err != nil {
		return nil, fmt.Errorf("connect to the ledger: %w", err)
	}
	return conn, nil
}

// closedConn tells that a session ended under a statement.
func closedConn(err error) bool {
	var connect *pgconn.ConnectError
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.As(err, &connect) ||
		err != nil && (err.Error() == "conn closed" || errors.Is(err, pgx.ErrTxClosed))
}
