package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Identity is what a ledger was built from and for. An empty field is one that the
// caller does not know yet: it is neither compared nor stored.
type Identity struct {
	Name            string            // the pipeline's name
	SystemID        string            // of the source cluster (IDENTIFY_SYSTEM)
	Database        string            // of the source
	ClusterID       string            // of Kafka
	Prefix          string            // of the topics
	TopicIDs        map[string]string // by topic name, those that must not be recreated
	ProjectID       string            // of Stytch
	Digest          string            // of mapping and policies
	ApplyPartitions int               // over which organizations are partitioned
}

// DigestError says that mapping or policies are not those that the ledger was
// built with (hazard C23). Whoever meets it stands by while an owner lives, and
// otherwise asks a person (`run --accept-mapping`).
type DigestError struct{ Accepted, Offered string }

func (e *DigestError) Error() string {
	return fmt.Sprintf("mapping or policies changed: the ledger accepted digest %.12s, this configuration has %.12s; "+
		"start with --accept-mapping to evaluate everything again with the new one", e.Accepted, e.Offered)
}

// CheckIdentity compares id with what the ledger recorded and records what it did
// not know yet. Another pipeline, source, cluster, prefix or project is refused
// with a stage.Held that names both values and the choices (hazard C22); another
// digest is a *DigestError.
func CheckIdentity(ctx context.Context, pool *pgxpool.Pool, id Identity) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		// one at a time, the first included
		if _, err := tx.Exec(ctx, "LOCK TABLE backstitch.identity IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return fmt.Errorf("check the ledger's identity: %w", redact.SQLError(err))
		}
		stored, found, err := readIdentity(ctx, tx)
		if err != nil {
			return err
		}
		if found {
			if err := compareIdentity(stored, id); err != nil {
				return err
			}
		}
		return writeIdentity(ctx, tx, id)
	})
}

// Recorded is the identity that the ledger has, and whether it has one.
func Recorded(ctx context.Context, q Querier) (Identity, bool, error) { return readIdentity(ctx, q) }

// Accept records digest as the one that this ledger follows from now on. The terms
// of the transform and of every apply lease grow with it, in one transaction: an
// owner that works with the former digest writes nothing after it (hazard C23,
// invariant 10). What such an owner has open is waited for, and ended when it takes
// longer than acceptPatience.
func Accept(ctx context.Context, pool *pgxpool.Pool, digest string) error {
	return acceptAfter(ctx, pool, digest, func(pgx.Tx) error { return nil })
}

// acceptAfter is Accept unless first, in the same transaction, fails.
func acceptAfter(ctx context.Context, pool *pgxpool.Pool, digest string, first func(pgx.Tx) error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("accept the mapping: %w", redact.SQLError(err))
	}
	defer conn.Release()
	evicting, stop := context.WithCancel(ctx)
	evicted := make(chan error, 1)
	go func() {
		_, err := Evict(evicting, pool, conn.Conn().PgConn().PID(), acceptPatience)
		evicted <- err
	}()
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := first(tx); err != nil {
			return err
		}
		return accept(ctx, tx, digest)
	})
	stop()
	if refused := <-evicted; err != nil {
		return errors.Join(fmt.Errorf("accept the mapping: %w", redact.SQLError(err)), refused)
	}
	return nil
}

// acceptPatience is how long what an owner has open may take until it is ended.
const acceptPatience = 2 * time.Second

func accept(ctx context.Context, tx pgx.Tx, digest string) error {
	// the identity's lock first, as everybody who takes something over (SameDigest)
	tag, err := tx.Exec(ctx, "UPDATE backstitch.identity SET digest = $1, accepted_at = now()", digest)
	if err != nil {
		return err
	}
	if tag.RowsAffected() != 1 {
		return errors.New("this ledger belongs to no pipeline yet; start `run` once without --accept-mapping")
	}
	for _, sql := range []string{
		// FOR UPDATE waits for the key share locks of transactions under the former term
		"SELECT FROM backstitch.transform ORDER BY prefix FOR UPDATE",
		"UPDATE backstitch.transform SET term = term + 1",
		"SELECT FROM backstitch.leases ORDER BY partition FOR UPDATE",
		"UPDATE backstitch.leases SET term = term + 1",
	} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// SameDigest fails with a *DigestError unless digest is that of the mapping and
// policies that this ledger follows. Within a transaction it stays so until that
// ends: whoever takes something over asks first, before it locks anything else
// (hazard C23). A ledger without a digest, and "" as one, are the same as any.
func SameDigest(ctx context.Context, q Querier, digest string) error {
	if digest == "" {
		return nil
	}
	var accepted string
	err := q.QueryRow(ctx, "SELECT coalesce(digest, '') FROM backstitch.identity ORDER BY created_at LIMIT 1 FOR SHARE").Scan(&accepted)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("read the accepted digest: %w", redact.SQLError(err))
	}
	if accepted != "" && accepted != digest {
		return &DigestError{Accepted: accepted, Offered: digest}
	}
	return nil
}

func readIdentity(ctx context.Context, q Querier) (Identity, bool, error) {
	var id Identity
	var topics []byte
	err := q.QueryRow(ctx, `
		SELECT name, coalesce(system_id, ''), coalesce(database, ''), coalesce(cluster_id, ''), prefix, topic_ids,
		       coalesce(project_id, ''), coalesce(digest, ''), coalesce(apply_partitions, 0)
		FROM backstitch.identity ORDER BY created_at LIMIT 1`).
		Scan(&id.Name, &id.SystemID, &id.Database, &id.ClusterID, &id.Prefix, &topics, &id.ProjectID, &id.Digest, &id.ApplyPartitions)
	if errors.Is(err, pgx.ErrNoRows) {
		return Identity{}, false, nil
	}
	if err != nil {
		return Identity{}, false, fmt.Errorf("read the ledger's identity: %w", redact.SQLError(err))
	}
	if err := json.Unmarshal(topics, &id.TopicIDs); err != nil {
		return Identity{}, false, fmt.Errorf("read the ledger's topic ids: %w", err)
	}
	return id, true, nil
}

// compareIdentity refuses what makes the ledger's statements untrue (hazard C22).
func compareIdentity(stored, id Identity) error {
	const (
		another  = "Point the configuration at a ledger database of its own for this pipeline, or back at what this ledger was built for"
		rebuild  = "If the source was restored or replaced on purpose, `backstitch backfill --all` starts a new epoch; else point the configuration back at the old one, or use another ledger database"
		recreate = "Use another ledger database for another cluster; if the topics were recreated on purpose, `backstitch backfill --all` reads the source again"
	)
	type field struct{ what, was, is, fix string }
	fields := []field{
		{"the pipeline's name", stored.Name, id.Name, another},
		{"the source's system identifier", stored.SystemID, id.SystemID, rebuild},
		{"the source database", stored.Database, id.Database, rebuild},
		{"the Kafka cluster", stored.ClusterID, id.ClusterID, recreate},
		{"the topics' prefix", stored.Prefix, id.Prefix, another},
		{"the Stytch project", stored.ProjectID, id.ProjectID, another},
	}
	for _, topic := range slices.Sorted(maps.Keys(id.TopicIDs)) {
		fields = append(fields, field{"the id of topic " + topic, stored.TopicIDs[topic], id.TopicIDs[topic], recreate})
	}
	if stored.ApplyPartitions != 0 && id.ApplyPartitions != 0 {
		fields = append(fields, field{
			"the number of apply partitions", fmt.Sprint(stored.ApplyPartitions), fmt.Sprint(id.ApplyPartitions),
			"Entities are partitioned over the recorded number: set it back, or use another ledger database",
		})
	}
	for _, f := range fields {
		if f.was != "" && f.is != "" && f.was != f.is {
			return stage.Hold(f.fix, "this ledger was built for another pipeline: %s is recorded as %q and configured as %q; "+
				"what it says to be applied would not be true there", f.what, f.was, f.is)
		}
	}
	if stored.Digest != "" && id.Digest != "" && stored.Digest != id.Digest {
		return &DigestError{Accepted: stored.Digest, Offered: id.Digest} // hazard C23
	}
	return nil
}

func writeIdentity(ctx context.Context, tx pgx.Tx, id Identity) error {
	topics, err := json.Marshal(id.TopicIDs)
	if err != nil {
		return fmt.Errorf("record the topic ids: %w", err)
	}
	if id.TopicIDs == nil {
		topics = []byte("{}")
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO backstitch.identity AS i (name, system_id, database, cluster_id, prefix, topic_ids, project_id, digest, apply_partitions, accepted_at)
		VALUES ($1, nullif($2, ''), nullif($3, ''), nullif($4, ''), $5, $6, nullif($7, ''), nullif($8, ''), nullif($9, 0), $10)
		ON CONFLICT (name) DO UPDATE SET
			system_id = coalesce(i.system_id, excluded.system_id), database = coalesce(i.database, excluded.database),
			cluster_id = coalesce(i.cluster_id, excluded.cluster_id), topic_ids = excluded.topic_ids || i.topic_ids,
			project_id = coalesce(i.project_id, excluded.project_id), digest = coalesce(i.digest, excluded.digest),
			accepted_at = coalesce(i.accepted_at, excluded.accepted_at),
			apply_partitions = coalesce(i.apply_partitions, excluded.apply_partitions)`,
		id.Name, id.SystemID, id.Database, id.ClusterID, id.Prefix, topics, id.ProjectID, id.Digest, id.ApplyPartitions, time.Now())
	if err != nil {
		return fmt.Errorf("record the ledger's identity: %w", redact.SQLError(err))
	}
	return nil
}
