package ledger

import (
	"context"
	"fmt"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Incarnation is an embedded broker and all that ends with it: topics, checkpoints,
// offsets, wake-ups. The ledger outlives it.
type Incarnation struct {
	Number int64 // from 1
	// Epoch is the first of the source in this incarnation, above all before.
	Epoch uint32
}

// BeginIncarnation makes the ledger ready for topics that are empty. end is the end of
// the source's log. What the former incarnation's process still does is fenced.
//
//   - A higher epoch has the source read again into a mirror beside the old one, and the
//     difference evaluated; what only the old one had waits for consent (invariant 7).
//     Rows that were filled before the first checkpoint was reached are of an epoch too.
//   - Wake-ups that nobody acted on are gone: they are announced again (hazard A22).
//   - What a control record would have emptied is found by that comparison, and nobody
//     has to answer its question any more.
//   - A source that was restored to an earlier time has not been evaluated up to where
//     the former one was.
func BeginIncarnation(ctx context.Context, pool *pgxpool.Pool, prefix string, end schemas.LSN) (Incarnation, error) {
	var i Incarnation
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO backstitch.transform (prefix) VALUES ($1) ON CONFLICT DO NOTHING", prefix); err != nil {
			return err
		}
		// FOR UPDATE waits for the key share locks of transactions under the former term
		err := tx.QueryRow(ctx, `SELECT incarnation + 1, 1 + CASE WHEN epoch = 0 AND EXISTS (SELECT FROM backstitch.offsets WHERE prefix = $1) THEN 1 ELSE epoch END
			FROM backstitch.transform WHERE prefix = $1 FOR UPDATE`, prefix).Scan(&i.Number, &i.Epoch)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE backstitch.transform SET term = term + 1, incarnation = $2, epoch = $3,
				evaluated_commit_lsn = least(evaluated_commit_lsn, $4), evaluated_end_lsn = least(evaluated_end_lsn, $4)
			WHERE prefix = $1`, prefix, i.Number, i.Epoch-1, int64(end))
		if err != nil {
			return err
		}
		for _, sql := range []string{
			`UPDATE backstitch.consents SET done_at = now() WHERE done_at IS NULL
				AND id IN (SELECT consent_id FROM backstitch.controls WHERE prefix = $1 AND done_at IS NULL)`,
			"DELETE FROM backstitch.controls WHERE prefix = $1 AND done_at IS NULL",
			"UPDATE backstitch.entities SET announced = 0 WHERE status = 'pending' AND announced > 0 AND $1 <> ''",
		} {
			if _, err := tx.Exec(ctx, sql, prefix); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return i, fmt.Errorf("begin with an empty broker: %w", redact.SQLError(err))
	}
	return i, nil
}

// SameIncarnation fails unless the ledger's offsets are of this incarnation; 0 is a
// Kafka that outlives processes. Within a transaction that has locked the transform's
// row it stays so (invariant 10).
func SameIncarnation(ctx context.Context, q Querier, prefix string, number int64) error {
	var now int64
	err := q.QueryRow(ctx, "SELECT coalesce(max(incarnation), 0) FROM backstitch.transform WHERE prefix = $1", prefix).Scan(&now)
	if err != nil {
		return fmt.Errorf("read which broker the ledger follows: %w", redact.SQLError(err))
	}
	if now != number {
		return stage.Hold("Stop this process: the other one has read everything since",
			"another process began with a broker of its own (number %d, this one's is %d): what the topics here say is behind what the ledger has", now, number)
	}
	return nil
}
