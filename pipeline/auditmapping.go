package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/producers/checksum"
)

// Who evaluated an audit's mapping.
const (
	auditByOwner   = "the running pipeline"
	auditByCommand = "this command"
)

// auditBegins bounds the wait for the transform to begin an audit: it does at its next
// evaluated position.
const auditBegins = 2 * time.Minute

// MappingAudit is a full evaluation of the mapping compared with the ledger.
type MappingAudit struct {
	Verdict     string `json:"verdict"`
	EvaluatedBy string `json:"evaluated_by"`
	// CommitLSN is of the state that was evaluated.
	CommitLSN string `json:"commit_lsn,omitempty"`
	// Entities were looked at, Different of them were not as the mapping says. Missed of
	// these no route had touched: the route of one of the Suspects misses changes.
	Entities  int64    `json:"entities"`
	Different int64    `json:"different"`
	Missed    int64    `json:"missed"`
	Suspects  []string `json:"suspects,omitempty"`
	// NullKeys are rows without a whole key: nothing comes of them.
	NullKeys int64 `json:"null_keys"`
	// Repaired: what differs was given to the transform, which evaluates it again.
	Repaired bool `json:"repaired"`
	// Kinds say what differs how, where this command evaluated.
	Kinds []transform.ForeseenKind `json:"kinds,omitempty"`
	Why   string                   `json:"why,omitempty"`
	Fix   string                   `json:"fix,omitempty"`
}

// mapping has the owner of the transform audit, or evaluates itself where there is none.
// An owner stores what it finds, and is not asked while the mirror is wrong.
func (a *auditor) mapping(ctx context.Context, wrong bool) (*MappingAudit, error) {
	runs, err := a.transformRuns(ctx)
	switch {
	case err != nil:
		return nil, err
	case !runs:
		return a.foresee(ctx, wrong)
	case wrong: // hazard C39
		return &MappingAudit{
			Verdict: checksum.Unknown, EvaluatedBy: auditByOwner,
			Why: "the mirror differs from the source, and the pipeline would store what the mapping says over it",
			Fix: "Mend the mirror, and audit again; or `--only mapping`",
		}, nil
	}
	a.o.Progress("the running pipeline evaluates the whole mapping")
	id, err := ledger.AskAudit(ctx, a.pool, a.o.By)
	if err != nil {
		return nil, err
	}
	m := &MappingAudit{Verdict: checksum.Unknown, EvaluatedBy: auditByOwner}
	var request ledger.AuditRequest
	asked := time.Now()
	done, err := a.await(ctx, a.o.Timeout, func(ctx context.Context) (bool, error) {
		if request, err = ledger.ReadAuditRequest(ctx, a.pool, id); err != nil || request.Done {
			return request.Done, err
		}
		if request.Pass == 0 && time.Since(asked) > auditBegins {
			return true, nil
		}
		runs, err := a.transformRuns(ctx)
		return !runs, err
	})
	if err != nil {
		return nil, errors.Join(err, ledger.WithdrawAudit(context.WithoutCancel(ctx), a.pool, id))
	}
	switch {
	case request.Done:
		return m, m.read(ctx, a, request.Pass)
	case !done:
		m.Why = fmt.Sprintf("the audit did not end within %s", a.o.Timeout)
		m.Fix = "It goes on by itself: `backstitch status` shows what comes of it"
	case request.Pass == 0 && time.Since(asked) > auditBegins:
		m.Why = fmt.Sprintf("the transform has not evaluated anything for %s, and an audit begins where it has", auditBegins)
		m.Fix = "`backstitch status` says what it waits for"
	default:
		m.Why = "the transform stopped before the audit ended"
		m.Fix = "Start the pipeline; it audits as soon as it follows"
	}
	return m, nil
}

// read takes over what an audit found.
func (m *MappingAudit) read(ctx context.Context, a *auditor, pass int64) error {
	p, err := transform.PassOf(ctx, a.pool, pass)
	if err != nil {
		return err
	}
	if p == nil {
		m.Why, m.Fix = "the audit's result is not in the ledger any more", "Audit again"
		return nil
	}
	m.Verdict, m.CommitLSN = checksum.Clean, p.CommitLSN.String()
	m.Entities, m.Different, m.Missed, m.Suspects, m.NullKeys = p.Entities, p.Changed, p.Missed, p.Suspects, p.NullKeys
	if m.Different > 0 {
		m.Verdict, m.Repaired = checksum.Drift, true
		m.Fix = "They are evaluated again by themselves; deletes among them wait for `backstitch approve`"
	}
	if m.Missed > 0 {
		m.Fix += ". Mend the routes of " + strings.Join(m.Suspects, ", ") + ": one of them misses changes, unless somebody changed the ledger"
	}
	return nil
}

// foresee evaluates beside a ledger that nobody moves, and stores nothing. What differs
// is left to the next pipeline that runs, which is asked to audit, unless the mirror is wrong.
func (a *auditor) foresee(ctx context.Context, wrong bool) (*MappingAudit, error) {
	m := &MappingAudit{Verdict: checksum.Unknown, EvaluatedBy: auditByCommand}
	a.o.Progress("no pipeline runs: the whole mapping is evaluated here")
	deps, err := replayDeps(ctx, a.cfg, a.clients, a.pool)
	if err != nil {
		return nil, err
	}
	f, err := transform.Foresee(ctx, transform.ForeseeDeps{
		Ledger: a.pool, Plan: deps.Plan, Prefix: a.cfg.Kafka.Topics.Prefix, Partitions: a.cfg.Kafka.Topics.Partitions,
		Logger: slog.New(slog.DiscardHandler), Samples: planSamples,
	})
	if errors.Is(err, transform.ErrNotFollowing) {
		m.Why, m.Fix = err.Error(), "Let `backstitch run` load everything first"
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	hideKeys(f.Kinds)
	m.CommitLSN, m.Kinds = f.CommitLSN.String(), f.Kinds
	for _, k := range f.Kinds {
		m.Entities += k.Entities
		m.Different += k.Create.Count + k.Update.Count + k.Rename.Count + k.Delete.Count + k.Failed.Count
	}
	switch {
	case m.Different == 0:
		m.Verdict = checksum.Clean
	case !f.Quiet:
		m.Why = "changes in the mirror wait to be evaluated, and what differs for them is counted too"
		m.Fix = "Start the pipeline, and audit beside it"
	case wrong:
		m.Verdict = checksum.Drift
		m.Fix = "Mend the mirror first: what the mapping says over it may be wrong"
	default:
		m.Verdict = checksum.Drift
		m.Fix = "Start the pipeline: it audits as soon as it follows, and evaluates what differs again; deletes among it wait for `backstitch approve`"
		_, err = ledger.AskAudit(ctx, a.pool, a.o.By)
	}
	return m, err
}
