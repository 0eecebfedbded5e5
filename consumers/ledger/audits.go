package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
)

// auditLock is the advisory lock of whoever compares the mirror with the source: two
// would load the source twice.
const auditLock = 0x6175646974 // "audit"

// keptAudits is how many comparisons that have ended stay, for who looks back.
const keptAudits = 20

// ErrAuditing says that another process compares the mirror with the source just now.
var ErrAuditing = errors.New("the mirror is being compared with the source by another process")

// AskAudit asks the transform's owner, whoever that is or will be, to compare the whole
// mapping with the ledger.
func AskAudit(ctx context.Context, q Querier, by string) (id int64, err error) {
	err = q.QueryRow(ctx, "INSERT INTO backstitch.audit_requests (asked_by) VALUES ($1) RETURNING id", by).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("ask for an audit: %w", redact.SQLError(err))
	}
	return id, nil
}

// WithdrawAudit takes a request back that nobody waits for any more. One that is being
// answered stays.
func WithdrawAudit(ctx context.Context, q Querier, id int64) error {
	if _, err := q.Exec(ctx, "DELETE FROM backstitch.audit_requests WHERE id = $1 AND pass IS NULL", id); err != nil {
		return fmt.Errorf("withdraw the request for an audit: %w", redact.SQLError(err))
	}
	return nil
}

// AuditRequest is what has become of a request.
type AuditRequest struct {
	// Pass is the audit that looks for it; 0: none has begun.
	Pass int64
	Done bool
}

// ReadAuditRequest reads a request's state.
func ReadAuditRequest(ctx context.Context, q Querier, id int64) (r AuditRequest, err error) {
	err = q.QueryRow(ctx, "SELECT coalesce(pass, 0), done_at IS NOT NULL FROM backstitch.audit_requests WHERE id = $1", id).Scan(&r.Pass, &r.Done)
	if err != nil {
		return r, fmt.Errorf("read the request for an audit: %w", redact.SQLError(err))
	}
	return r, nil
}

// MirrorAudit is a comparison of the mirror with the source.
type MirrorAudit struct {
	ID        int64
	StartedAt time.Time
	StartedBy string
	EndedAt   *time.Time
	Verdict   string
	Report    json.RawMessage
}

// BeginMirrorAudit records a comparison that begins. conn holds the lock until it is
// closed; the error is ErrAuditing while another session does.
func BeginMirrorAudit(ctx context.Context, conn *pgx.Conn, by string) (*MirrorAudit, error) {
	var free bool
	err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(auditLock)).Scan(&free)
	if err == nil && !free {
		return nil, ErrAuditing
	}
	a := &MirrorAudit{StartedBy: by}
	if err == nil { // those of the dead, and old ones
		_, err = conn.Exec(ctx, `DELETE FROM backstitch.mirror_audits WHERE ended_at IS NULL
			OR id <= (SELECT max(id) - $1 FROM backstitch.mirror_audits)`, keptAudits)
	}
	if err == nil {
		err = conn.QueryRow(ctx, "INSERT INTO backstitch.mirror_audits (started_by) VALUES ($1) RETURNING id, started_at", by).Scan(&a.ID, &a.StartedAt)
	}
	if err != nil {
		return nil, fmt.Errorf("begin to compare the mirror: %w", redact.SQLError(err))
	}
	return a, nil
}

// End records what came of it.
func (a *MirrorAudit) End(ctx context.Context, q Querier, verdict string, report any) error {
	raw, err := json.Marshal(report)
	if err == nil {
		err = q.QueryRow(ctx, "UPDATE backstitch.mirror_audits SET ended_at = now(), verdict = $2, report = $3 WHERE id = $1 RETURNING ended_at",
			a.ID, verdict, raw).Scan(&a.EndedAt)
	}
	if err != nil {
		return fmt.Errorf("record the comparison of the mirror: %w", redact.SQLError(err))
	}
	a.Verdict, a.Report = verdict, raw
	return nil
}

// LastMirrorAudit is the comparison that ended last; nil without one.
func LastMirrorAudit(ctx context.Context, q Querier) (*MirrorAudit, error) {
	a := &MirrorAudit{}
	err := q.QueryRow(ctx, `SELECT id, started_at, started_by, ended_at, verdict, report FROM backstitch.mirror_audits
		WHERE ended_at IS NOT NULL ORDER BY id DESC LIMIT 1`).Scan(&a.ID, &a.StartedAt, &a.StartedBy, &a.EndedAt, &a.Verdict, &a.Report)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the last comparison of the mirror: %w", redact.SQLError(err))
	}
	return a, nil
}
