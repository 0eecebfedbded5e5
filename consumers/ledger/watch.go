package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
)

// ConsentIncident asks whether apply may go on after Stytch refused too many calls
// with one error, which is the subject (hazard A13). While one is open no instance
// calls Stytch.
const ConsentIncident = "incident"

// Watched is what an instance of apply must know again and again.
type Watched struct {
	// Incident is the open question about one; 0: none.
	Incident int64
	Question string
	Subject  string
	// Lost are partitions whose lease has another term.
	Lost []int32
}

// Watch reads, in one statement, whether an incident is open and which of the
// leases are lost.
func (a *Applier) Watch(ctx context.Context, terms map[int32]int64) (w Watched, err error) {
	var partitions []int32
	var owned []int64
	for p, t := range terms {
		partitions, owned = append(partitions, p), append(owned, t)
	}
	err = a.pool.QueryRow(ctx, `SELECT coalesce(c.id, 0), coalesce(c.question, ''), coalesce(c.subject, ''),
			ARRAY(SELECT o.partition FROM unnest($2::int[], $3::bigint[]) AS o(partition, term)
			      WHERE NOT EXISTS (SELECT FROM backstitch.leases l WHERE (l.partition, l.term) = (o.partition, o.term)))
		FROM (SELECT) one LEFT JOIN LATERAL (SELECT id, question, subject FROM backstitch.consents
			WHERE kind = $1 AND approved_at IS NULL AND done_at IS NULL ORDER BY id LIMIT 1) c ON true`,
		ConsentIncident, partitions, owned).Scan(&w.Incident, &w.Question, &w.Subject, &w.Lost)
	if err != nil {
		return Watched{}, fmt.Errorf("watch leases and incidents: %w", redact.SQLError(err))
	}
	return w, nil
}

// EndIncidents closes approved incidents and makes what was parked for their error
// due again, in one statement.
func (a *Applier) EndIncidents(ctx context.Context) error {
	_, err := a.pool.Exec(ctx, `WITH ended AS (
			UPDATE backstitch.consents SET done_at = now() WHERE kind = $1 AND approved_at IS NOT NULL AND done_at IS NULL RETURNING subject)
		UPDATE backstitch.entities e SET due_at = now() FROM ended WHERE e.status = 'parked' AND e.detail = ended.subject`, ConsentIncident)
	if err != nil {
		return fmt.Errorf("end incidents: %w", redact.SQLError(err))
	}
	return nil
}

// takeLeases compares the digest before it locks the leases (hazard C23).
func takeLeases(ctx context.Context, tx pgx.Tx, owner, digest string, partitions []int32) ([]Lease, error) {
	if err := SameDigest(ctx, tx, digest); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `INSERT INTO backstitch.leases AS l (partition, owner, term)
		SELECT p, $1, 1 FROM unnest($2::int[]) p ORDER BY p
		ON CONFLICT (partition) DO UPDATE SET owner = excluded.owner, term = l.term + 1, taken_at = now()
		RETURNING partition, term`, owner, partitions)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Lease])
}

// asDigest keeps a *DigestError as it is.
func asDigest(err error) error {
	var d *DigestError
	if errors.As(err, &d) {
		return d
	}
	return redact.SQLError(err)
}
