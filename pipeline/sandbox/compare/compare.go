// Package compare judges a migration: it evaluates the mapping over the legacy
// database itself, not over the mirror, and compares every organization and member
// with the Stytch simulator field by field.
//
// It shares no code with the applier's planner: what the two agree on is true, not
// just consistent.
package compare

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/stytch"
	"github.com/backstitch/backstitch/internal/redact"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// Subjects are the two sides and the ledger between them.
type Subjects struct {
	Legacy    *pgx.Conn
	Ledger    *pgxpool.Pool
	Simulator *simulator.Simulator
	Mappings  []consumers.Mapping
	// OrganizationPrefix and MemberPrefix of external ids.
	OrganizationPrefix, MemberPrefix string
}

// Result counts entities by what was found. Parked, blocked and awaiting entities
// are judged by nothing but their state: they are not among the differences.
type Result struct {
	Match, Missing, Extra, Different int
	// Fields counts differences by kind and field.
	Fields map[string]int
	// Losses counts named losses among the matching members.
	Losses map[consumers.Loss]int
	// Parked, Blocked and Awaiting hold the reasons by key.
	Parked, Blocked, Awaiting map[consumers.Key]consumers.Reason
	// Samples are the digests of a few differing keys, with what differs.
	Samples []string
}

// Clean reports whether both sides say the same of every entity that is not parked,
// blocked or awaiting consent.
func (r *Result) Clean() bool { return r.Missing == 0 && r.Extra == 0 && r.Different == 0 }

const maxSamples = 10

func (r *Result) sample(key consumers.Key, what string) {
	if len(r.Samples) < maxSamples {
		r.Samples = append(r.Samples, fmt.Sprintf("%s %s: %s", key.Kind, redact.Key(key.Organization, key.Entity), what))
	}
}

// Run compares. The legacy system should be at rest and the pipeline caught up.
func Run(ctx context.Context, s Subjects) (*Result, error) {
	r := &Result{
		Fields: map[string]int{}, Losses: map[consumers.Loss]int{},
		Parked: map[consumers.Key]consumers.Reason{}, Blocked: map[consumers.Key]consumers.Reason{}, Awaiting: map[consumers.Key]consumers.Reason{},
	}
	expected, err := evaluate(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := r.readLedger(ctx, s.Ledger); err != nil {
		return nil, err
	}
	actual := observe(s.Simulator)
	for key, want := range expected {
		if r.aside(key) {
			delete(actual, s.external(key))
			continue
		}
		got, found := actual[s.external(key)]
		delete(actual, s.external(key))
		if !found {
			r.Missing++
			r.sample(key, "missing")
			continue
		}
		r.judge(key, differences(want, got))
	}
	r.judgeExtra(s, actual)
	return r, nil
}

// judgeExtra: what is left has no row. A delete that is parked or awaits consent
// explains it.
func (r *Result) judgeExtra(s Subjects, actual map[external]map[string]any) {
	for _, aside := range []map[consumers.Key]consumers.Reason{r.Parked, r.Blocked, r.Awaiting} {
		for key := range aside {
			delete(actual, s.external(key))
		}
	}
	for id := range actual {
		r.Extra++
		r.sample(consumers.Key{Kind: id.kind, Organization: id.organization, Entity: id.entity}, "extra")
	}
}

func (r *Result) judge(key consumers.Key, fields []string) {
	if len(fields) == 0 {
		r.Match++
		return
	}
	r.Different++
	r.sample(key, fmt.Sprintf("differs in %v", fields))
	for _, f := range fields {
		r.Fields[string(key.Kind)+"."+f]++
	}
}

func (r *Result) aside(key consumers.Key) bool {
	for _, m := range []map[consumers.Key]consumers.Reason{r.Parked, r.Blocked, r.Awaiting} {
		if _, ok := m[key]; ok {
			return true
		}
	}
	return false
}

// external identifies an entity in Stytch.
type external struct {
	kind                 consumers.Kind
	organization, entity string
}

func (s Subjects) external(k consumers.Key) external {
	e := external{kind: k.Kind, organization: stytch.ExternalID(s.OrganizationPrefix, k.Organization)}
	if k.Kind == consumers.Member {
		e.entity = stytch.ExternalID(s.MemberPrefix, k.Entity)
	}
	return e
}

func (r *Result) readLedger(ctx context.Context, pool *pgxpool.Pool) error {
	rows, err := pool.Query(ctx, `SELECT kind, org_key, key, status, coalesce(reason, ''), losses
		FROM backstitch.entities WHERE status IN ('parked', 'blocked', 'awaiting_consent') OR losses <> '{}' AND desired IS NOT NULL`)
	if err != nil {
		return fmt.Errorf("read the ledger: %w", redact.SQLError(err))
	}
	var (
		key    consumers.Key
		status consumers.Status
		reason consumers.Reason
		losses []consumers.Loss
	)
	_, err = pgx.ForEachRow(rows, []any{&key.Kind, &key.Organization, &key.Entity, &status, &reason, &losses}, func() error {
		switch status {
		case consumers.Parked:
			r.Parked[key] = reason
		case consumers.Blocked:
			r.Blocked[key] = reason
		case consumers.AwaitingConsent:
			r.Awaiting[key] = reason
		default:
			for _, l := range losses {
				r.Losses[l]++
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the ledger: %w", redact.SQLError(err))
	}
	return nil
}
