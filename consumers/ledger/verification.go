package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// verifyLock is the advisory lock of whoever verifies: one at a time, because
// Stytch's searches are few.
const verifyLock = 0x7665726966 // "verif"

// keptVerifications is how many runs that have ended stay, for the metric and for
// who looks back.
const keptVerifications = 20

// ErrVerifying says that another process verifies just now.
var ErrVerifying = errors.New("another verification is going on")

// The phases of a verification.
const (
	VerifyOrganizations = "organizations" // they are read
	VerifyMembers       = "members"       // they are read and compared, some organizations at a time
	VerifySettle        = "settle"        // what differs, or is on its way, is looked at again
	VerifyDone          = "done"
)

// Tally counts what leaves no finding.
type Tally struct {
	Classes map[string]int64 `json:"classes,omitempty"`
	Losses  map[string]int64 `json:"losses,omitempty"`
	Kinds   map[string]int64 `json:"kinds,omitempty"` // entities compared, by kind
	// Foreign objects that others made, where they may.
	Foreign  int64 `json:"foreign,omitempty"`
	Searches int64 `json:"searches"`
	Reads    int64 `json:"reads"`
}

// VerificationRow is a run as the ledger keeps it.
type VerificationRow struct {
	ID       int64
	Started  time.Time
	Finished *time.Time
	// LSN: what the source had committed up to here was evaluated when the run began.
	LSN     schemas.LSN
	Phase   string
	Cursor  string
	Batch   []string
	After   string
	Tally   Tally
	Classes map[string]int64
	Verdict string
}

// Verification is a run of a person or an instance that holds the lock.
type Verification struct {
	VerificationRow
	// Resumed: an interrupted run goes on.
	Resumed bool

	pool *pgxpool.Pool
	lock *pgxpool.Conn
}

// BeginVerification takes the lock and goes on with the run that was interrupted
// within the last day, or starts one. The error is ErrVerifying beside another one.
func BeginVerification(ctx context.Context, pool *pgxpool.Pool, by string, anew bool) (*Verification, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("begin a verification: %w", redact.SQLError(err))
	}
	v := &Verification{pool: pool, lock: conn}
	if err := v.begin(ctx, by, anew); err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

func (v *Verification) begin(ctx context.Context, by string, anew bool) error {
	if err := v.takeLock(ctx); err != nil {
		return err
	}
	evaluated, err := ReadEvaluated(ctx, v.pool)
	if err != nil {
		return err
	}
	if evaluated == (Evaluated{}) {
		return errors.New("verify: nothing was evaluated yet, so there is nothing to compare with: let `backstitch run` catch up first")
	}
	if !anew {
		err = v.read(ctx, `finished_at IS NULL AND started_at > now() - interval '1 day' ORDER BY id DESC LIMIT 1`)
		if err == nil {
			v.Resumed = true
			return nil
		}
	}
	if anew || errors.Is(err, pgx.ErrNoRows) {
		err = v.start(ctx, by, max(evaluated.CommitLSN, evaluated.EndLSN))
	}
	if err != nil {
		return fmt.Errorf("begin a verification: %w", redact.SQLError(err))
	}
	return nil
}

// takeLock waits for the server to notice that a verification which died has left,
// and for no other.
func (v *Verification) takeLock(ctx context.Context) error {
	died := time.NewTimer(diedPatience)
	defer died.Stop()
	tick := time.NewTicker(diedPatience / 20)
	defer tick.Stop()
	for {
		var free bool
		if err := v.lock.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(verifyLock)).Scan(&free); err != nil {
			return fmt.Errorf("begin a verification: %w", redact.SQLError(err))
		}
		if free {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-died.C:
			return ErrVerifying
		case <-tick.C:
		}
	}
}

// start also removes runs that nobody will end, and old ones.
func (v *Verification) start(ctx context.Context, by string, lsn schemas.LSN) error {
	_, err := v.pool.Exec(ctx, `DELETE FROM backstitch.verifications WHERE finished_at IS NULL
		OR id <= (SELECT max(id) - $1 FROM backstitch.verifications)`, keptVerifications)
	if err != nil {
		return err
	}
	var id int64
	err = v.pool.QueryRow(ctx, `INSERT INTO backstitch.verifications (asked_by, commit_lsn) VALUES ($1, $2) RETURNING id`, by, int64(lsn)).Scan(&id)
	if err != nil {
		return err
	}
	return v.read(ctx, "id = $1", id)
}

func (v *Verification) read(ctx context.Context, where string, args ...any) error {
	row, err := readVerification(ctx, v.pool, where, args...)
	v.VerificationRow = row
	return err
}

func readVerification(ctx context.Context, q Querier, where string, args ...any) (r VerificationRow, err error) {
	var tally, classes []byte
	var lsn int64
	err = q.QueryRow(ctx, `SELECT id, started_at, finished_at, commit_lsn, phase, cursor, batch, after_key, tally, classes, coalesce(verdict, '')
		FROM backstitch.verifications WHERE `+where, args...).
		Scan(&r.ID, &r.Started, &r.Finished, &lsn, &r.Phase, &r.Cursor, &r.Batch, &r.After, &tally, &classes, &r.Verdict)
	if err == nil {
		err = errors.Join(json.Unmarshal(tally, &r.Tally), json.Unmarshal(classes, &r.Classes))
	}
	r.LSN = schemas.LSN(lsn)
	for _, m := range []*map[string]int64{&r.Tally.Classes, &r.Tally.Losses, &r.Tally.Kinds} {
		if *m == nil {
			*m = map[string]int64{}
		}
	}
	return r, err
}

// LastVerification is the run that ended last; nil without one.
func LastVerification(ctx context.Context, q Querier) (*VerificationRow, error) {
	r, err := readVerification(ctx, q, "finished_at IS NOT NULL ORDER BY id DESC LIMIT 1")
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the last verification: %w", redact.SQLError(err))
	}
	return &r, nil
}

// save writes the run's progress, in the transaction of what it counts.
func (v *Verification) save(ctx context.Context, q Querier) error {
	tally, err := json.Marshal(v.Tally)
	if err != nil {
		return err
	}
	_, err = q.Exec(ctx, `UPDATE backstitch.verifications SET phase = $2, cursor = $3, batch = $4, after_key = $5, tally = $6 WHERE id = $1`,
		v.ID, v.Phase, v.Cursor, append([]string{}, v.Batch...), v.After, tally)
	return err
}

// Save writes the run's progress on its own.
func (v *Verification) Save(ctx context.Context) error {
	if err := v.save(ctx, v.pool); err != nil {
		return fmt.Errorf("note the progress of a verification: %w", redact.SQLError(err))
	}
	return nil
}

// Finish ends the run and forgets what was seen; its findings stay until it is one
// of the old runs.
func (v *Verification) Finish(ctx context.Context, classes map[string]int64, verdict string) error {
	raw, err := json.Marshal(classes)
	if err == nil {
		err = pgx.BeginFunc(ctx, v.pool, func(tx pgx.Tx) error {
			v.Phase = VerifyDone
			if err := v.save(ctx, tx); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `DELETE FROM backstitch.verification_seen WHERE run = $1`, v.ID); err != nil {
				return err
			}
			return tx.QueryRow(ctx, `UPDATE backstitch.verifications SET finished_at = now(), classes = $2, verdict = $3 WHERE id = $1
				RETURNING finished_at`, v.ID, raw, verdict).Scan(&v.Finished)
		})
	}
	if err != nil {
		return fmt.Errorf("end a verification: %w", redact.SQLError(err))
	}
	v.Classes, v.Verdict = classes, verdict
	return nil
}

// Close ends the session, and the lock with it. A run that is not finished goes on
// in the next verification.
func (v *Verification) Close() {
	if conn := v.lock.Hijack(); conn != nil {
		_ = conn.Close(context.Background()) // nothing in it is kept
	}
}
