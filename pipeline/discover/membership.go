package discover

import (
	"cmp"
	"slices"
	"strings"
)

// Membership is a way from users to tenants: a table between them, or a column of the
// users' own table.
type Membership struct {
	Candidate
	Tenant, User Candidate
	// ToTenant and ToUser are the references. ToUser is nil when the user's own row
	// names its tenant.
	ToTenant, ToUser *Ref
}

// total weighs what a membership connects beside how it does.
func (m *Membership) total() int { return m.Score + m.Tenant.Score + m.User.Score }

// memberships lists the ways from users to tenants, best first.
func (c *catalogue) memberships(tenants, users []Candidate) []Membership {
	var out []Membership
	for _, t := range c.tables {
		for _, toTenant := range t.Refs {
			tenant := candidate(tenants, toTenant.To)
			if tenant == nil || toTenant.Target != tenant.Table.identity() || toTenant.To == t {
				continue
			}
			if user := candidate(users, t); user != nil && t.identity() != nil {
				out = append(out, direct(*user, *tenant, toTenant))
				continue
			}
			for _, toUser := range t.Refs {
				user := candidate(users, toUser.To)
				if user != nil && toUser != toTenant && toUser.To != toTenant.To && toUser.Target == user.Table.identity() {
					out = append(out, between(t, *user, *tenant, toTenant, toUser))
				}
			}
		}
	}
	out = slices.DeleteFunc(out, func(m Membership) bool { return m.Score <= 0 })
	slices.SortStableFunc(out, func(a, b Membership) int { return cmp.Compare(b.total(), a.total()) })
	return out
}

func candidate(all []Candidate, t *Table) *Candidate {
	i := slices.IndexFunc(all, func(c Candidate) bool { return c.Table == t })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// aside are words of references that say who did something, or what is chosen now, and
// not who belongs.
var aside = []string{"current", "default", "last", "active", "selected", "primary", "by", "creator", "inviter", "invited", "owner", "author", "parent", "approver", "deprecated"}

func (m *Membership) reference(r *Ref) {
	if r.Declared {
		m.add(20, "%s refers to %s", r.Column.SQLName, r.To.SQLName)
	} else {
		m.add(10, "%s refers to %s by its name, without a foreign key", r.Column.SQLName, r.To.SQLName)
	}
	for _, w := range aside {
		if r.Column.has(w) {
			m.add(-30, "%s says %s", r.Column.SQLName, w)
			return
		}
	}
}

// between is a table with two references.
func between(t *Table, user, tenant Candidate, toTenant, toUser *Ref) Membership {
	m := Membership{Candidate: Candidate{Table: t}, Tenant: tenant, User: user, ToTenant: toTenant, ToUser: toUser}
	m.reference(toTenant)
	m.reference(toUser)
	if t.unique(toTenant.Column.Name, toUser.Column.Name) {
		m.add(25, "the pair (%s, %s) is unique", toTenant.Column.SQLName, toUser.Column.SQLName)
	}
	if roles := t.roleColumns(); len(roles) > 0 {
		m.add(15, "has a role (%s)", list(roles))
	}
	name := strings.Join(t.words, " ")
	switch {
	case last(t.words) == "membership" || last(t.words) == "member":
		m.add(20, "called %s", last(t.words))
	case endsWith(t.words, append(slices.Clone(user.Table.words), tenant.Table.words...)), endsWith(t.words, append(slices.Clone(tenant.Table.words), user.Table.words...)),
		strings.Contains(name, last(user.Table.words)) && strings.Contains(name, last(tenant.Table.words)):
		m.add(15, "named after both")
	}
	m.surrounds()
	m.rows()
	return m
}

// direct is a user's row that names its tenant.
func direct(user, tenant Candidate, toTenant *Ref) Membership {
	m := Membership{Candidate: Candidate{Table: user.Table}, Tenant: tenant, User: user, ToTenant: toTenant}
	m.reference(toTenant)
	if toTenant.Column.NotNull {
		m.add(15, "%s is never NULL", toTenant.Column.SQLName)
	}
	if len(user.Table.roleColumns()) > 0 {
		m.add(10, "has a role (%s)", list(user.Table.roleColumns()))
	}
	return m
}
