package discover

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/consumers/stytch"
	"github.com/backstitch/backstitch/consumers/stytch/hash"
	"github.com/backstitch/backstitch/producers"
)

// Figures are the counts that decide a migration. Deleted rows, as far as the
// proposed SELECTs leave them out, are not among them. A nil Count does not apply.
type Figures struct {
	Tenants, Users, Memberships *Count
	// Nameless are tenants without a name, which Stytch refuses.
	Nameless *Count
	// Doubled are pairs of tenant and user that several memberships have.
	Doubled *Count
	// NoTenant and NoEmail are users that cannot become members.
	NoTenant, NoEmail *Count
	// Shared are users with exactly the address of another, where it is not unique.
	Shared *Count
	// Twins are users whose address another user has in other case.
	Twins *Count
	// Unverified are users with an address that nobody verified.
	Unverified *Count
	// BadSlugs are refused by Stytch for their form, SharedSlugs because a tenant has
	// the same.
	BadSlugs, SharedSlugs *Count
	// Hashes counts password hashes by format.
	Hashes        []HashCount
	HashesUnknown string
	// Roles are the legacy roles.
	Roles        []Value
	RolesUnknown string
	// Keyless are candidates whose changes cannot be told apart.
	Keyless []producers.Refusal
	// Large are columns with values that are stored out of line.
	Large []Large
}

// HashCount is a class of password hashes.
type HashCount struct {
	Class hash.Class
	Rows  int64
}

// Large is a column with large values.
type Large struct {
	Table  *Table
	Column *Column
	Count  Count
}

// count fills the figures.
func (p *Proposal) count(ctx context.Context, s *session) error {
	f := &p.Figures
	var err error
	if t := p.tenant(); t != nil {
		p.figure(ctx, s, &err, &f.Tenants, "SELECT count(*) FROM "+t.SQL()+" t"+conditions(t.filters("t")))
		if n := t.name(); len(n) == 1 {
			nameless := filter{sql: "coalesce(trim(t." + n[0].SQLName + "::text), '') = ''"}
			p.figure(ctx, s, &err, &f.Nameless, "SELECT count(*) FROM "+t.SQL()+" t"+conditions(append(t.filters("t"), nameless)))
		}
		p.countSlugs(ctx, s, &err, t)
	}
	if u := p.user(); u != nil {
		p.countUsers(ctx, s, &err, u)
	}
	if len(p.Memberships) > 0 {
		p.countMemberships(ctx, s, &err, &p.Memberships[0])
	}
	if b := p.selected; b != nil && b.roles != nil {
		f.Roles, f.RolesUnknown = b.roles.Values, b.roles.Unknown
	}
	if err == nil {
		err = p.countHashes(ctx, s)
	}
	if err == nil {
		f.Keyless, err = s.refusals(ctx, p.candidates())
	}
	if err == nil {
		err = p.countLarge(ctx, s)
	}
	return err
}

// figure counts one of them, unless an earlier one failed.
func (p *Proposal) figure(ctx context.Context, s *session, err *error, into **Count, sql string) {
	if *err != nil {
		return
	}
	c, e := s.count(ctx, sql)
	*into, *err = &c, e
}

func (p *Proposal) countUsers(ctx context.Context, s *session, err *error, u *Table) {
	f := &p.Figures
	where := u.filters("u")
	from := " FROM " + u.SQL() + " u"
	p.figure(ctx, s, err, &f.Users, "SELECT count(*)"+from+conditions(where))
	email := "u." + u.email().SQLName + "::text"
	has := filter{sql: "coalesce(trim(" + email + "), '') <> ''"}
	p.figure(ctx, s, err, &f.NoEmail, "SELECT count(*)"+from+conditions(append(slices.Clone(where), filter{sql: "NOT (" + has.sql + ")"})))
	with := append(slices.Clone(where), has)
	p.figure(ctx, s, err, &f.Twins, "SELECT coalesce(sum(n), 0)::bigint FROM (SELECT count(*) AS n"+from+conditions(with)+
		" GROUP BY lower("+email+") HAVING count(DISTINCT "+email+") > 1) x")
	if !u.unique(u.email().Name) {
		p.figure(ctx, s, err, &f.Shared, "SELECT coalesce(sum(n), 0)::bigint FROM (SELECT count(*) AS n"+from+conditions(with)+
			" GROUP BY "+email+" HAVING count(*) > 1) x")
	}
	if v := u.verified(); v != nil {
		p.figure(ctx, s, err, &f.Unverified, "SELECT count(*)"+from+conditions(append(with, filter{sql: "NOT (" + v.isTrue("u."+v.SQLName) + ")"})))
	}
}

func (p *Proposal) countMemberships(ctx context.Context, s *session, err *error, m *Membership) {
	f := &p.Figures
	users := m.User.Table.filters("u")
	tenant := m.ToTenant.Column.SQLName
	if m.ToUser == nil {
		from := " FROM " + m.Table.SQL() + " u"
		p.figure(ctx, s, err, &f.Memberships, "SELECT count(*)"+from+conditions(append(slices.Clone(users), filter{sql: "u." + tenant + " IS NOT NULL"})))
		p.figure(ctx, s, err, &f.NoTenant, "SELECT count(*)"+from+conditions(append(users, filter{sql: "u." + tenant + " IS NULL"})))
		return
	}
	own := m.Table.filters("m")
	user := m.ToUser.Column.SQLName
	for _, c := range []*Column{m.ToTenant.Column, m.ToUser.Column} {
		if !c.NotNull { // an invitation without a user, a user without a tenant
			own = append(own, filter{sql: "m." + c.SQLName + " IS NOT NULL"})
		}
	}
	p.figure(ctx, s, err, &f.Memberships, "SELECT count(*) FROM "+m.Table.SQL()+" m"+conditions(own))
	belongs := filter{sql: "m." + user + " = u." + m.ToUser.Target.SQLName}
	p.figure(ctx, s, err, &f.NoTenant, "SELECT count(*) FROM "+m.User.Table.SQL()+" u"+conditions(append(users,
		filter{sql: "NOT EXISTS (SELECT 1 FROM " + m.Table.SQL() + " m" + conditions(append(slices.Clone(own), belongs)) + ")"})))
	if !m.Table.unique(m.ToTenant.Column.Name, m.ToUser.Column.Name) {
		p.figure(ctx, s, err, &f.Doubled, "SELECT count(*) FROM (SELECT 1 FROM "+m.Table.SQL()+" m"+conditions(own)+
			" GROUP BY m."+tenant+", m."+user+" HAVING count(*) > 1) x")
	}
}

// countSlugs counts by Stytch's rule, and those that are not unique in the project.
func (p *Proposal) countSlugs(ctx context.Context, s *session, err *error, t *Table) {
	slug := t.slug()
	if slug == nil {
		return
	}
	col := "t." + slug.SQLName + "::text"
	where := append(t.filters("t"), filter{sql: col + " IS NOT NULL"})
	bad := filter{sql: stytch.RefusedSlug(col)}
	p.figure(ctx, s, err, &p.Figures.BadSlugs, "SELECT count(*) FROM "+t.SQL()+" t"+conditions(append(slices.Clone(where), bad)))
	p.figure(ctx, s, err, &p.Figures.SharedSlugs, "SELECT coalesce(sum(n - 1), 0)::bigint FROM (SELECT count(*) AS n FROM "+t.SQL()+" t"+conditions(where)+
		" GROUP BY "+col+" HAVING count(*) > 1) x")
}

// countHashes looks at each hash's format and keeps none.
func (p *Proposal) countHashes(ctx context.Context, s *session) (err error) {
	u := p.user()
	if u == nil {
		return nil
	}
	secret := p.catalogue.passwords(u)
	if secret == nil {
		return nil
	}
	counts := map[hash.Class]int64{}
	p.Figures.HashesUnknown, err = s.try(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "SELECT coalesce("+secret.sql(u)+"::text, '') FROM "+u.SQL()+" u "+secret.join(u)+conditions(u.filters("u")))
		if err != nil {
			return err
		}
		var legacy string
		_, err = pgx.ForEachRow(rows, []any{&legacy}, func() error {
			counts[hash.ClassOf(legacy, hash.Options{})]++
			return nil
		})
		return err
	})
	if err != nil || p.Figures.HashesUnknown != "" {
		return err
	}
	for class, n := range counts {
		p.Figures.Hashes = append(p.Figures.Hashes, HashCount{class, n})
	}
	slices.SortFunc(p.Figures.Hashes, func(a, b HashCount) int { return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Class, b.Class)) })
	return nil
}

// candidates are the tables that the mapping reads and those that it might.
func (p *Proposal) candidates() []*Table {
	all := slices.Clone(p.Tables)
	add := func(t *Table) {
		if !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	for _, c := range append(slices.Clone(p.Tenants), p.Users...) {
		add(c.Table)
	}
	for _, m := range p.Memberships {
		add(m.Table)
	}
	return all
}

// large is the stored size in bytes from which a value is told of.
const large = 1000

func (p *Proposal) countLarge(ctx context.Context, s *session) error {
	for _, t := range p.Tables {
		if t.Toast == 0 {
			continue
		}
		var columns []*Column
		var counts []string
		for _, c := range t.Columns {
			if c.isText() || c.Elem != "" || slices.Contains([]string{"json", "jsonb", "bytea", "xml"}, c.Type) {
				columns = append(columns, c)
				counts = append(counts, fmt.Sprintf("count(*) FILTER (WHERE pg_column_size(t.%s) > %d)", c.SQLName, large))
			}
		}
		if len(columns) == 0 {
			continue
		}
		found := make([]int64, len(columns))
		into := make([]any, len(columns))
		for i := range found {
			into[i] = &found[i]
		}
		why, err := s.try(ctx, func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, "SELECT "+strings.Join(counts, ", ")+" FROM "+t.SQL()+" t").Scan(into...)
		})
		if err != nil {
			return err
		}
		for i, c := range columns {
			if why != "" || found[i] > 0 {
				p.Figures.Large = append(p.Figures.Large, Large{t, c, Count{found[i], why}})
			}
		}
	}
	return nil
}
