package transform

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// errFenced ends a former owner: another instance took the transform over.
var errFenced = errors.New("another instance has taken the transform over")

// The phases of a transform.
const (
	phaseLoading    = "loading"    // fills only, until the first backfill is complete
	phaseFollowing  = "following"  // evaluates what is touched
	phaseRebuilding = "rebuilding" // fills a mirror beside the old one (hazard C10)
)

// topicPartition names one partition of a source topic.
type topicPartition struct {
	topic     string
	partition int32
}

// state is what the ledger says of the transform when its owner takes it over.
type state struct {
	term      int64
	phase     string
	epoch     uint32
	digest    string
	filledAge time.Duration // since something was last filled, by the ledger's clock
	evaluated Position
	next      map[topicPartition]int64 // the offset to fill next
	topicIDs  map[string]string
}

// takeOver makes cfg.Owner the transform's owner under a new term and reads where it
// stands. Every transaction of a former owner has ended by then, and none of its
// next ones passes the fence (invariant 10, hazard C13). With a digest that is not
// the accepted one it fails with a *ledger.DigestError (hazard C23).
func takeOver(ctx context.Context, conn *pgx.Conn, cfg *Config) (*state, error) {
	s := &state{next: map[topicPartition]int64{}, topicIDs: map[string]string{}}
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := ledger.SameDigest(ctx, tx, cfg.Digest); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "INSERT INTO backstitch.transform (prefix) VALUES ($1) ON CONFLICT DO NOTHING", cfg.Prefix); err != nil {
			return err
		}
		// FOR UPDATE waits for the key share locks of fence
		var commit, end int64
		var at *time.Time
		err := tx.QueryRow(ctx, `SELECT term + 1, phase, epoch, digest, extract(epoch FROM now() - filled_at) * 1e9,
				evaluated_epoch, evaluated_commit_lsn, evaluated_end_lsn, evaluated_commit_at
			FROM backstitch.transform WHERE prefix = $1 FOR UPDATE`, cfg.Prefix).
			Scan(&s.term, &s.phase, &s.epoch, &s.digest, &s.filledAge, &s.evaluated.Epoch, &commit, &end, &at)
		if err != nil {
			return err
		}
		if err := ledger.SameIncarnation(ctx, tx, cfg.Prefix, cfg.Incarnation); err != nil {
			return err
		}
		s.evaluated.CommitLSN, s.evaluated.EndLSN = schemas.LSN(commit), schemas.LSN(end)
		if at != nil {
			s.evaluated.CommitTime = *at
		}
		if _, err := tx.Exec(ctx, "UPDATE backstitch.transform SET term = $2, owner = $3, taken_at = now() WHERE prefix = $1", cfg.Prefix, s.term, cfg.Owner); err != nil {
			return err
		}
		return s.readOffsets(ctx, tx, cfg.Prefix)
	})
	if err != nil {
		return nil, fmt.Errorf("take over the transform: %w", redact.SQLError(err))
	}
	return s, nil
}

func (s *state) readOffsets(ctx context.Context, tx pgx.Tx, prefix string) error {
	rows, err := tx.Query(ctx, "SELECT topic, partition, next_offset, topic_id FROM backstitch.offsets WHERE prefix = $1", prefix)
	if err != nil {
		return err
	}
	var tp topicPartition
	var next int64
	var id string
	_, err = pgx.ForEachRow(rows, []any{&tp.topic, &tp.partition, &next, &id}, func() error {
		s.next[tp], s.topicIDs[tp.topic] = next, id
		return nil
	})
	return err
}

// fence fails with errFenced in a transaction of a former owner, and otherwise
// keeps a successor waiting until the transaction has ended (invariant 10, hazard
// C13). It does not conflict with other transactions of the same owner.
func fence(ctx context.Context, tx pgx.Tx, term int64) error {
	var mine bool
	err := tx.QueryRow(ctx, "SELECT true FROM backstitch.transform WHERE term = $1 FOR KEY SHARE", term).Scan(&mine)
	if errors.Is(err, pgx.ErrNoRows) {
		return errFenced
	}
	if err != nil {
		return fmt.Errorf("check the transform's term: %w", redact.SQLError(err))
	}
	return nil
}

// storeOffsets moves the offsets of the partitions that a fill moved, in its
// transaction (invariant 10).
func storeOffsets(ctx context.Context, tx pgx.Tx, prefix string, next map[topicPartition]int64, ids map[string]string) error {
	topics, partitions, offsets, topicIDs := make([]string, 0, len(next)), make([]int32, 0, len(next)), make([]int64, 0, len(next)), make([]string, 0, len(next))
	for tp, offset := range next {
		topics, partitions = append(topics, tp.topic), append(partitions, tp.partition)
		offsets, topicIDs = append(offsets, offset), append(topicIDs, ids[tp.topic])
	}
	_, err := tx.Exec(ctx, `INSERT INTO backstitch.offsets AS o (prefix, topic, partition, next_offset, topic_id)
		SELECT $1, * FROM unnest($2::text[], $3::int[], $4::bigint[], $5::text[])
		ON CONFLICT (prefix, topic, partition) DO UPDATE SET next_offset = excluded.next_offset, topic_id = excluded.topic_id
		WHERE o.next_offset <> excluded.next_offset OR o.topic_id <> excluded.topic_id`,
		prefix, topics, partitions, offsets, topicIDs)
	if err != nil {
		return fmt.Errorf("store offsets: %w", redact.SQLError(err))
	}
	return nil
}
