package rehearsal

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/stytch/hash"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/pipeline/rehearsal/report"
)

// gatherer reads the ledger of a rehearsal, an entity at a time.
type gatherer struct {
	cfg    *config.Config
	roles  *Roles
	report *report.Report
	tally  *report.Tally
	hashes map[string]*report.HashCount
	given  map[string]int64 // members by role
	saved  int64            // entities whose row names a Stytch id
}

// Gather counts every entity of a ledger into a report, and its state into states
// (nil: none is kept). cfg is the configuration of the run itself, whose lines the
// findings name.
func Gather(ctx context.Context, cfg *config.Config, pool *pgxpool.Pool, roles *Roles, r *report.Report, states *report.States) error {
	g := &gatherer{
		cfg: cfg, roles: roles, report: r, tally: report.NewTally(r, states),
		hashes: map[string]*report.HashCount{}, given: map[string]int64{},
	}
	if err := g.entities(ctx, pool); err != nil {
		return err
	}
	for _, h := range g.hashes {
		r.Hashes = append(r.Hashes, *h)
	}
	for role, n := range g.given {
		r.Roles = append(r.Roles, report.Role{Role: role, Members: n, Known: roles.Has(role)})
	}
	if g.saved > 0 {
		r.Run.Notices = append(r.Run.Notices, fmt.Sprintf("%d rows name the Stytch id of an object that is there already. The simulated project is empty, so these were created; a run adopts them, with up to two calls more for each.", g.saved))
	}
	for i := range r.Findings {
		r.Findings[i].Where = cmp.Or(r.Findings[i].Where, g.where(&r.Findings[i]))
	}
	return nil
}

// where is the line of the SELECT whose entities a finding is about.
func (g *gatherer) where(f *report.Finding) string {
	switch f.Kind {
	case consumers.Organization:
		return g.cfg.Where("organizations.select")
	case consumers.Member:
		return g.cfg.Where("members.select")
	}
	return ""
}

// entitiesSQL lists what the mapping returns, in the order of its keys, each with the
// entity that holds a value which it waits for.
const entitiesSQL = `
	SELECT e.kind, e.org_key, e.key, e.status, coalesce(e.reason, ''), coalesce(e.detail, ''), e.losses, e.adopted, e.desired,
	       coalesce(w.field, ''), coalesce(w.holder, '')
	FROM backstitch.entities e
	LEFT JOIN (
		SELECT DISTINCT ON (w.kind, w.org_key, w.key) w.kind, w.org_key, w.key, w.field, c.key AS holder
		FROM backstitch.waiters w LEFT JOIN backstitch.claims c USING (scope, field, value_digest)
		ORDER BY w.kind, w.org_key, w.key, w.field
	) w USING (kind, org_key, key)
	WHERE e.desired IS NOT NULL OR e.status <> 'current'
	ORDER BY e.kind DESC, e.org_key, e.key`

// row is an entity of the ledger.
type row struct {
	key                   consumers.Key
	status                consumers.Status
	reason                consumers.Reason
	detail, field, holder string
	losses                []consumers.Loss
	adopted               bool
	desired               []byte
	roles                 []string
	hash                  string // class of its password hash, "" without one
}

func (g *gatherer) entities(ctx context.Context, pool *pgxpool.Pool) error {
	rows, err := pool.Query(ctx, entitiesSQL)
	if err != nil {
		return fmt.Errorf("read the rehearsal's ledger: %w", redact.SQLError(err))
	}
	var e row
	_, err = pgx.ForEachRow(rows, []any{
		&e.key.Kind, &e.key.Organization, &e.key.Entity, &e.status, &e.reason, &e.detail, &e.losses, &e.adopted, &e.desired, &e.field, &e.holder,
	}, func() error {
		if err := g.read(&e); err != nil {
			return err
		}
		return g.tally.Add(g.entity(&e))
	})
	if err != nil {
		return fmt.Errorf("read the rehearsal's ledger: %w", redact.SQLError(err))
	}
	return nil
}

// read counts what a member is to have, whatever became of it.
func (g *gatherer) read(e *row) error {
	e.roles, e.hash = nil, ""
	if e.desired == nil {
		return nil
	}
	var desired struct {
		Roles        []string `json:"roles"`
		Hash         *string  `json:"password_hash"`
		Organization string   `json:"organization_id"`
		Member       string   `json:"member_id"`
	}
	if json.Unmarshal(e.desired, &desired) != nil { // invariant 8: the error may quote a value
		return fmt.Errorf("the desired state of a %s has roles, a password hash or a Stytch id of another type", e.key.Kind)
	}
	if desired.Organization+desired.Member != "" {
		g.saved++
	}
	if e.key.Kind != consumers.Member {
		return nil
	}
	e.roles = desired.Roles
	for _, r := range slices.Compact(slices.Sorted(slices.Values(desired.Roles))) {
		g.given[r]++
	}
	if desired.Hash != nil {
		e.hash = g.class(*desired.Hash)
	}
	return nil
}

// class counts a hash by its format.
func (g *gatherer) class(legacy string) string {
	class := hash.ClassOf(legacy, hash.Options{})
	taken := hash.Supported(class)
	name := string(class)
	if _, err := hash.Convert(legacy, hash.Options{}); err != nil && taken && class != hash.NoPassword {
		name, taken = name+", damaged", false
	}
	if g.hashes[name] == nil {
		g.hashes[name] = &report.HashCount{Class: name, Taken: taken}
	}
	g.hashes[name].Count++
	return name
}

// outcomes are those of the ledger's states, but for current.
var outcomes = map[consumers.Status]report.Outcome{
	consumers.Parked: report.Parked, consumers.Blocked: report.Blocked, consumers.Deferred: report.Waiting,
	consumers.AwaitingConsent: report.Consent, consumers.Pending: report.Pending,
}

func (g *gatherer) entity(e *row) report.Entity {
	out := report.Entity{Key: e.key, Losses: e.losses, Detail: e.detail, Other: e.holder, Desired: e.desired}
	out.Outcome = outcomes[e.status]
	switch {
	case out.Outcome != "":
		out.Losses = nil
		if e.status != consumers.Pending {
			out.Class = report.Class(e.reason)
		}
	case len(e.losses) > 0:
		out.Outcome = report.WithLoss
		if slices.Contains(e.losses, consumers.LossHashFormat) {
			out.Detail = e.hash
		}
	case e.adopted:
		out.Outcome = report.Updated
	default:
		out.Outcome = report.Created
	}
	g.explain(e, &out)
	return out
}

// explain tells causes apart that the ledger has one reason for, and says what the
// report may tell of them.
func (g *gatherer) explain(e *row, out *report.Entity) {
	switch e.reason { //nolint:exhaustive // the others say all
	case consumers.ReasonDuplicate:
		out.Class, out.Detail = collision(e), ""
	case consumers.ReasonDuplicateKey: // behind the number, the rows' digests tell nobody anything
		out.Detail, _, _ = strings.Cut(e.detail, ":")
	case consumers.ReasonRefused:
		if strings.Contains(e.detail, "domain") {
			out.Class = report.RefusedDomain
		}
	case consumers.ReasonInvalidRole:
		out.Detail = strings.Join(slices.DeleteFunc(slices.Clone(e.roles), g.roles.Has), ", ")
	}
}

// collision names the value that two entities share.
func collision(e *row) report.Class {
	switch {
	case e.field == "organization_slug" || strings.Contains(e.detail, "slug"):
		return report.DuplicateSlug
	case e.field == "email_address" || strings.Contains(e.detail, "email"):
		return report.DuplicateEmail
	case e.field == "mfa_phone_number" || strings.Contains(e.detail, "phone"):
		return report.DuplicatePhone
	case strings.Contains(e.detail, "external_id"):
		return report.DuplicateExternalID
	}
	return report.Class(consumers.ReasonDuplicate)
}
