package ledger

import (
	"context"
	"fmt"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Selection is a set of entities that a replay is about, whatever their number: it
// stands in a temporary table of a session of its own (invariant 9).
type Selection struct{ conn *pgxpool.Conn }

// Selected counts a Selection's entities by what a replay would do with them.
type Selected struct {
	// Entities of them are known to the ledger; Unknown are not.
	Entities int64 `json:"entities"`
	Unknown  int64 `json:"unknown"`
	// Differ: their desired state is not applied, and they are tried.
	Differ int64 `json:"differ"`
	// Waiting for a person: parked, dropped, blocked, awaiting consent, or released. A
	// replay without fresh reads leaves them alone.
	Waiting int64 `json:"waiting_for_a_person"`
	// Readable exist in Stytch, or should: fresh reads are one call for each.
	Readable int64 `json:"readable"`
}

// NewSelection makes an empty one. Close it.
func NewSelection(ctx context.Context, pool *pgxpool.Pool) (*Selection, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("choose entities: %w", redact.SQLError(err))
	}
	s := &Selection{conn}
	if _, err := conn.Exec(ctx, "CREATE TEMP TABLE selected_records (kind text NOT NULL, org_key text NOT NULL, key text NOT NULL)"); err != nil {
		s.Close()
		return nil, fmt.Errorf("choose entities: %w", redact.SQLError(err))
	}
	return s, nil
}

// Add adds entities; one that was added before is no other.
func (s *Selection) Add(ctx context.Context, keys []consumers.Key) error {
	_, err := s.conn.CopyFrom(ctx, pgx.Identifier{"selected_records"}, []string{"kind", "org_key", "key"},
		pgx.CopyFromSlice(len(keys), func(i int) ([]any, error) {
			return []any{string(keys[i].Kind), keys[i].Organization, keys[i].Entity}, nil
		}))
	if err != nil {
		return fmt.Errorf("choose entities: %w", redact.SQLError(err))
	}
	return nil
}

// readable is the condition of entities e that a fresh read is worth.
const readable = "(e.desired IS NOT NULL OR e.stytch_id IS NOT NULL) AND e.released_at IS NULL AND e.status <> 'dropped'"

// Count ends the adding and counts.
func (s *Selection) Count(ctx context.Context) (Selected, error) {
	var c Selected
	_, err := s.conn.Exec(ctx, `CREATE TEMP TABLE selected AS SELECT DISTINCT kind, org_key, key FROM selected_records`)
	if err == nil {
		_, err = s.conn.Exec(ctx, "ANALYZE selected")
	}
	if err == nil {
		err = s.conn.QueryRow(ctx, `SELECT count(e.key), count(*) - count(e.key),
				count(*) FILTER (WHERE e.status IN ('pending', 'deferred')),
				count(*) FILTER (WHERE e.status NOT IN ('current', 'pending', 'deferred')),
				count(*) FILTER (WHERE `+readable+`)
			FROM selected LEFT JOIN backstitch.entities e USING (kind, org_key, key)`).
			Scan(&c.Entities, &c.Unknown, &c.Differ, &c.Waiting, &c.Readable)
	}
	if err != nil {
		return Selected{}, fmt.Errorf("count the chosen entities: %w", redact.SQLError(err))
	}
	return c, nil
}

// Differing are the keys of at most limit entities that differ and are tried.
func (s *Selection) Differing(ctx context.Context, limit int) ([]consumers.Key, error) {
	rows, err := s.conn.Query(ctx, `SELECT kind, org_key, key FROM selected JOIN backstitch.entities e USING (kind, org_key, key)
		WHERE e.status IN ('pending', 'deferred') LIMIT $1`, limit)
	if err == nil {
		var keys []consumers.Key
		if keys, err = pgx.CollectRows(rows, pgx.RowToStructByPos[consumers.Key]); err == nil {
			return keys, nil
		}
	}
	return nil, fmt.Errorf("list the chosen entities: %w", redact.SQLError(err))
}

// WantReads makes the next turn of every chosen entity that exists in Stytch, or
// should, plan from a fresh read (replay --force), and returns how many. With due
// that turn is now, without a wake-up.
func (s *Selection) WantReads(ctx context.Context, due bool) (int64, error) {
	tag, err := s.conn.Exec(ctx, `UPDATE backstitch.entities e SET read_wanted = true, due_at = CASE WHEN $1 THEN now() ELSE e.due_at END
		FROM selected s WHERE (e.kind, e.org_key, e.key) = (s.kind, s.org_key, s.key) AND `+readable, due)
	if err != nil {
		return 0, fmt.Errorf("ask for fresh reads: %w", redact.SQLError(err))
	}
	return tag.RowsAffected(), nil
}

// MakeDue gives every chosen entity that does not wait for a person a turn now, and
// returns how many.
func (s *Selection) MakeDue(ctx context.Context) (int64, error) {
	tag, err := s.conn.Exec(ctx, `UPDATE backstitch.entities e SET due_at = now() FROM selected s
		WHERE (e.kind, e.org_key, e.key) = (s.kind, s.org_key, s.key) AND e.status IN ('current', 'pending', 'deferred')`)
	if err != nil {
		return 0, fmt.Errorf("make entities due: %w", redact.SQLError(err))
	}
	return tag.RowsAffected(), nil
}

// Close ends the session, and the table with it.
func (s *Selection) Close() {
	if conn := s.conn.Hijack(); conn != nil {
		_ = conn.Close(context.Background()) // nothing in it is kept
	}
}

// WakeSkipped makes entities of partitions due that a wake-up was to wake: after
// offsets were moved ahead, nothing is lost with the records between (invariant 6).
func WakeSkipped(ctx context.Context, q Querier, partitions []int32) (int64, error) {
	tag, err := q.Exec(ctx, `UPDATE backstitch.entities SET due_at = now()
		WHERE partition = ANY($1) AND status = 'pending' AND due_at IS NULL`, partitions)
	if err != nil {
		return 0, fmt.Errorf("make skipped entities due: %w", redact.SQLError(err))
	}
	return tag.RowsAffected(), nil
}
