package discover

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/producers"
)

// Options say how to look, and what the proposal is called.
type Options struct {
	// Name of the pipeline; "" makes one of the database's name.
	Name string
	// Role is the PostgreSQL role that the pipeline will use; "" means backstitch.
	Role string
	// Timeout ends each statement; 0 means 10 s.
	Timeout time.Duration
	// CatalogueOnly: no query reads rows. Nothing is counted, and roles that only rows
	// name are not known.
	CatalogueOnly bool
}

// Proposal is a first configuration with its reasons.
type Proposal struct {
	Name, Role, Database string
	// Tenants, Users and Memberships are the candidates, best first.
	Tenants, Users []Candidate
	Memberships    []Membership
	// Tables are those that the mappings read.
	Tables []*Table
	// Roles are the Stytch roles that the mapping returns, as far as they are known.
	Roles []string
	// Figures decide a migration.
	Figures Figures

	organizations, members *mapping
	todos                  []string // about the source's tables
	refused                []producers.Refusal
	views                  []string      // as SQL writes them
	selected               *memberSelect // nil without a members' SELECT
	invitations            []*Table
	catalogue              *catalogue
}

// Discover looks at a legacy database and proposes a configuration. It changes nothing.
// Its errors carry no value of a row.
func Discover(ctx context.Context, source *pgx.ConnConfig, o Options) (*Proposal, error) {
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	s, err := open(ctx, source, o)
	if err != nil {
		return nil, err
	}
	defer s.close(ctx)
	c, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	p := &Proposal{Name: o.Name, Role: o.Role, Database: c.database, catalogue: c}
	if p.Name == "" {
		p.Name = nameOf(c.database)
	}
	if p.Role == "" {
		p.Role = "backstitch"
	}
	p.choose()
	if err := p.propose(ctx, s); err != nil {
		return nil, fmt.Errorf("look at the rows: %w", err)
	}
	if err := p.count(ctx, s); err != nil {
		return nil, fmt.Errorf("count rows: %w", err)
	}
	return p, nil
}

var notName = regexp.MustCompile(`[^a-z0-9_]+`)

// nameOf makes a pipeline's name of a database's.
func nameOf(database string) string {
	n := strings.Trim(notName.ReplaceAllString(strings.ToLower(database), "_"), "_0123456789")
	if n == "" {
		return "legacy"
	}
	return n[:min(len(n), 40)]
}

// choose ranks the candidates: first each table alone, then how they are connected.
func (p *Proposal) choose() {
	c := p.catalogue
	p.Tenants, p.Users = c.tenants(), c.users()
	p.Memberships = c.memberships(p.Tenants, p.Users)
	if len(p.Memberships) > 0 { // what is connected goes first
		best := p.Memberships[0]
		front(p.Tenants, best.Tenant.Table, "%s leads there from users", best.Table.SQLName)
		front(p.Users, best.User.Table, "%s leads from there to tenants", best.Table.SQLName)
		for i := range p.Memberships {
			p.Memberships[i].Tenant = *candidate(p.Tenants, p.Memberships[i].Tenant.Table)
			p.Memberships[i].User = *candidate(p.Users, p.Memberships[i].User.Table)
		}
	}
	for _, t := range c.tables {
		if slices.ContainsFunc(t.words, func(w string) bool { return w == "invite" || w == "invitation" }) {
			p.invitations = append(p.invitations, t)
		}
	}
	for _, v := range c.views {
		w := words(v)
		if userNames[last(w)] > 0 || tenantNames[last(w)] > 0 || last(w) == "membership" {
			p.views = append(p.views, v)
		}
	}
}

// front gives the table of the best membership its points and sorts again.
func front(all []Candidate, t *Table, why string, args ...any) {
	candidate(all, t).add(30, why, args...)
	sortCandidates(all)
	i := slices.IndexFunc(all, func(c Candidate) bool { return c.Table == t })
	chosen := all[i]
	copy(all[1:i+1], all[:i])
	all[0] = chosen
}

// tenant is the table that organizations are proposed from, or nil.
func (p *Proposal) tenant() *Table {
	switch {
	case len(p.Memberships) > 0:
		return p.Memberships[0].Tenant.Table
	case len(p.Tenants) > 0 && p.Tenants[0].Table.identity() != nil && p.Tenants[0].Table != p.user():
		return p.Tenants[0].Table
	}
	return nil
}

// user is the table that members are proposed from, or nil.
func (p *Proposal) user() *Table {
	switch {
	case len(p.Memberships) > 0:
		return p.Memberships[0].User.Table
	case len(p.Users) > 0:
		return p.Users[0].Table
	}
	return nil
}

func (p *Proposal) reads(t *Table) {
	if t != nil && !slices.Contains(p.Tables, t) {
		p.Tables = append(p.Tables, t)
	}
}
