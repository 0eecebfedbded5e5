package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/producers/checksum"
)

// auditShare of the time is what a comparison that nobody asked for may take.
const auditShare = 0.25

// auditAgain compares the mirror with the source whenever the last comparison, of any
// instance or person, is older than the configuration says. The mapping's audits are
// the transform's own affair.
func (p *Pipeline) auditAgain(ctx context.Context, stopping <-chan struct{}) error {
	return p.again(ctx, stopping, p.cfg.Audit, "the mirror could not be compared with the source", p.auditIfDue)
}

// auditIfDue waits from the first load on: that one was just read.
func (p *Pipeline) auditIfDue(ctx context.Context) error {
	if p.state() != instanceRunning {
		return nil
	}
	var due bool
	err := p.pool.QueryRow(ctx, `SELECT coalesce(greatest(
			(SELECT max(ended_at) FROM backstitch.mirror_audits),
			(SELECT max(ended_at) FROM backstitch.passes WHERE cause IN ('load', 'rebuild'))) <= now() - $1::interval, false)`, p.cfg.Audit).Scan(&due)
	if err != nil || !due {
		return redact.SQLError(err)
	}
	// connections of its own: the connectors' are few
	pool, err := ledger.Open(ctx, p.cfg.Ledger.Reveal(), p.cfg.Name+"-audit")
	if err != nil {
		return err
	}
	defer pool.Close()
	r, err := Audit(ctx, p.cfg, p.clients, pool, AuditOptions{By: p.instance.ID, Only: AuditMirror, Share: auditShare})
	if errors.Is(err, ledger.ErrAuditing) {
		return nil
	}
	if err != nil {
		return err
	}
	level := p.log.InfoContext
	if r.Verdict != checksum.Clean {
		level = p.log.WarnContext
	}
	level(ctx, "the mirror was compared with the source; `backstitch audit` lists what differs", "verdict", r.Verdict,
		"from_lsn", r.Mirror.FirstLSN, "to_lsn", r.Mirror.LastLSN, "why", r.Mirror.Why)
	return nil
}

// lastMirrorAudit sums up the last comparison of the mirror; nil without one.
func lastMirrorAudit(ctx context.Context, pool *pgxpool.Pool) (*admin.MirrorAudit, error) {
	last, err := ledger.LastMirrorAudit(ctx, pool)
	if err != nil || last == nil {
		return nil, err
	}
	c := MirrorComparison{}
	if err := json.Unmarshal(last.Report, &c); err != nil {
		return nil, fmt.Errorf("read the last comparison of the mirror: %w", err)
	}
	m := &admin.MirrorAudit{
		Verdict: last.Verdict, FirstLSN: c.FirstLSN, LastLSN: c.LastLSN, Why: c.Why, Tables: []string{}, StartedAt: last.StartedAt, EndedAt: *last.EndedAt,
	}
	for _, t := range c.Tables {
		m.Rows += t.Rows
		m.Missing += t.Missing.Count
		m.Extra += t.Extra.Count
		m.Different += t.Different.Count
		m.Incomplete += t.Incomplete
		m.Unsettled += t.Unsettled
		if t.Verdict != checksum.Clean {
			m.Tables = append(m.Tables, t.Table)
		}
	}
	return m, nil
}
