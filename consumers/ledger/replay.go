package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// replayLock is the first half of the advisory lock under which a connector is
// replayed; the second is the connector's name.
const replayLock = 0x6261636b // "back"

// diedPatience is how long the lock of a replay that died may outlive it.
const diedPatience = 2 * time.Second

// ErrReplaying says that another process replays the connector just now.
var ErrReplaying = errors.New("another replay of the connector is going on")

// Replaying is a connector that is stopped for a replay. A session of its own keeps
// others out, and its end frees the connector for another replay. Nothing else uses
// that session: a question that is cut off would end it.
type Replaying struct {
	pool      *pgxpool.Pool
	conn      *pgxpool.Conn
	connector string
	id        int64
	reason    string
}

// BeginReplay sets a connector's target to STOPPED, with a reason that names the
// command, and remembers the target that it had. A connector that is stopped for a
// replay that died had what that one found. The error is ErrReplaying beside
// another one.
func BeginReplay(ctx context.Context, pool *pgxpool.Pool, connector, command, by string) (*Replaying, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("begin a replay: %w", redact.SQLError(err))
	}
	r := &Replaying{pool: pool, conn: conn, connector: connector}
	if err := r.begin(ctx, command, by); err != nil {
		r.leave()
		return nil, err
	}
	return r, nil
}

func (r *Replaying) begin(ctx context.Context, command, by string) error {
	free, err := r.lock(ctx)
	if err == nil && !free {
		return ErrReplaying
	}
	if err == nil {
		err = pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) error { return r.stop(ctx, tx, command, by) })
	}
	if err != nil {
		return fmt.Errorf("begin a replay: %w", redact.SQLError(err))
	}
	return nil
}

// lock waits for the server to notice that a replay which died has left, and for no
// other.
func (r *Replaying) lock(ctx context.Context) (free bool, err error) {
	for end := time.Now().Add(diedPatience); ; {
		err = r.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1, hashtext($2))", int32(replayLock), r.connector).Scan(&free)
		if free || err != nil || time.Now().After(end) {
			return free, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(diedPatience / 20):
		}
	}
}

func (r *Replaying) stop(ctx context.Context, tx pgx.Tx, command, by string) error {
	err := tx.QueryRow(ctx, `WITH target AS (
			SELECT coalesce(max(state), 'RUNNING') AS state, coalesce(max(reason), '') AS reason FROM backstitch.targets WHERE connector = $1),
		dead AS (
			SELECT d.former_state, d.former_reason FROM backstitch.replays d, target t
			WHERE d.connector = $1 AND d.ended_at IS NULL AND t.state = 'STOPPED' AND t.reason LIKE 'replay ' || d.id || ':%'
			ORDER BY d.id DESC LIMIT 1),
		closed AS (
			UPDATE backstitch.replays SET ended_at = now(), outcome = 'died' WHERE connector = $1 AND ended_at IS NULL)
		INSERT INTO backstitch.replays (connector, command, asked_by, former_state, former_reason)
		SELECT $1, $2, $3, coalesce((SELECT former_state FROM dead), t.state), coalesce((SELECT former_reason FROM dead), t.reason) FROM target t
		RETURNING id, 'replay ' || id || ': ' || command || ', asked for by ' || asked_by || '; was ' || former_state
			|| '. If it died, give the command again, or resume the connector'`,
		r.connector, command, by).Scan(&r.id, &r.reason)
	if err != nil {
		return err
	}
	return SetTarget(ctx, tx, r.connector, TargetStopped, r.reason)
}

// Stopped says whether the connector still is stopped for this replay: a person may
// have resumed it meanwhile.
func (r *Replaying) Stopped(ctx context.Context) (bool, error) {
	var ours bool
	err := r.pool.QueryRow(ctx, "SELECT count(*) = 1 FROM backstitch.targets WHERE connector = $1 AND state = 'STOPPED' AND reason = $2",
		r.connector, r.reason).Scan(&ours)
	if err != nil {
		return false, fmt.Errorf("read the connector's target: %w", redact.SQLError(err))
	}
	return ours, nil
}

// End gives the connector its former target back, unless a person has set another
// one meanwhile, and records the outcome: nil, or what went wrong. It returns the
// target that stands.
func (r *Replaying) End(ctx context.Context, failure error) (Target, error) {
	defer r.leave()
	outcome := "done"
	if failure != nil {
		outcome = failure.Error()
	}
	var now Target
	err := pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `WITH ended AS (
				UPDATE backstitch.replays SET ended_at = now(), outcome = $3 WHERE id = $1 RETURNING connector, former_state, former_reason)
			UPDATE backstitch.targets t SET state = former_state, reason = former_reason, changed_at = now() FROM ended
			WHERE t.connector = ended.connector AND t.state = 'STOPPED' AND t.reason = $2`, r.id, r.reason, outcome)
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, "SELECT state FROM backstitch.targets WHERE connector = $1", r.connector).Scan(&now)
	})
	if err != nil {
		return "", fmt.Errorf("give %s its target back; it stays stopped until you resume it: %w", r.connector, redact.SQLError(err))
	}
	return now, nil
}

// leave ends the session, and with it the lock.
func (r *Replaying) leave() {
	if conn := r.conn.Hijack(); conn != nil {
		_ = conn.Close(context.Background()) // the server drops the lock with the session
	}
}

// Former is the target that a replay of the connector would give back to it: the one
// that stands, or that a replay that died had found. died says which.
func Former(ctx context.Context, q Querier, connector string) (state Target, died bool, err error) {
	err = q.QueryRow(ctx, `SELECT coalesce(d.former_state, t.state, 'RUNNING'), d.id IS NOT NULL
		FROM (SELECT max(state) AS state, max(reason) AS reason FROM backstitch.targets WHERE connector = $1) t
		LEFT JOIN LATERAL (SELECT id, former_state FROM backstitch.replays r
			WHERE r.connector = $1 AND r.ended_at IS NULL AND t.state = 'STOPPED' AND t.reason LIKE 'replay ' || r.id || ':%'
			ORDER BY id DESC LIMIT 1) d ON true`, connector).Scan(&state, &died)
	if err != nil {
		return "", false, fmt.Errorf("read the connector's target: %w", redact.SQLError(err))
	}
	return state, died, nil
}
