package discover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

// memberSelect gathers what the members' SELECT needs.
type memberSelect struct {
	*mapping
	p      *Proposal
	m      *Membership
	user   *Table
	alias  string // of the table that has the tenant: m, or u for the user's own row
	table  *Table // that table
	roles  *roles
	secret *secret
}

func (p *Proposal) mapMembers(ctx context.Context, s *session) (*mapping, error) {
	m := &mapping{}
	user := p.user()
	if user == nil {
		m.todos = []string{"no table looks like users: none has an e-mail address. Name it, add it to source.tables, and write the SELECT"}
		return m, nil
	}
	p.reads(user)
	if len(p.Memberships) == 0 {
		p.sketch(m, user)
		m.todos = []string{fmt.Sprintf("nothing leads from %s to tenants: no table with a reference to both, no tenant's column on the users. Write the SELECT over the tables that say who belongs where", user.SQLName)}
		return m, nil
	}
	b := &memberSelect{mapping: m, p: p, m: &p.Memberships[0], user: user, alias: "m", table: p.Memberships[0].Table}
	if b.m.ToUser == nil {
		b.alias = "u"
	}
	if err := b.build(ctx, s); err != nil {
		return nil, err
	}
	m.sql = statement(b.fields, b.from, b.where)
	p.selected = b
	return m, nil
}

func (b *memberSelect) build(ctx context.Context, s *session) error {
	id := b.user.identity()
	b.fields = []field{{b.key(b.alias, b.m.ToTenant.Column), keyOrganization}, {b.key("u", id), keyMember}, {"u." + b.user.email().SQLName, "email_address"}}
	b.name()
	if b.alias == "m" {
		b.p.reads(b.table)
		b.from = []string{b.table.SQLName + " m", "JOIN " + b.user.SQLName + " u ON u." + id.SQLName + " = m." + b.m.ToUser.Column.SQLName}
		if !b.table.unique(b.m.ToTenant.Column.Name, b.m.ToUser.Column.Name) {
			b.notes = append(b.notes, fmt.Sprintf("Nothing keeps a user from being in an organization twice: add a unique index on %s (%s, %s), or GROUP BY; a doubled key is parked.",
				b.table.SQLName, b.m.ToTenant.Column.SQLName, b.m.ToUser.Column.SQLName))
		}
	} else {
		b.from = []string{b.user.SQLName + " u"}
	}
	if c := b.m.ToTenant.Column; !c.NotNull {
		b.where = append(b.where, filter{b.alias + "." + c.SQLName + " IS NOT NULL", "users without a tenant are left out"})
	}
	if b.alias == "m" {
		b.where = append(b.where, b.table.filters("m")...)
	}
	b.where = append(b.where, b.user.filters("u")...)
	if err := b.addRoles(ctx, s); err != nil {
		return err
	}
	b.addPassword()
	b.p.generated(b.mapping, b.user)
	b.suspended(b.user, "u")
	if b.alias == "m" {
		b.suspended(b.table, "m")
		if err := b.p.states(ctx, s, b.mapping, b.table, "m"); err != nil {
			return err
		}
	}
	return b.p.states(ctx, s, b.mapping, b.user, "u")
}

func (b *memberSelect) name() {
	switch names := b.user.name(); len(names) {
	case 1:
		b.fields = append(b.fields, field{names[0].asText("u." + names[0].SQLName), "name"})
	case 2:
		b.fields = append(b.fields, field{fmt.Sprintf("nullif(trim(concat_ws(' ', u.%s, u.%s)), '')", names[0].SQLName, names[1].SQLName), "name"})
	}
}

func (b *memberSelect) addRoles(ctx context.Context, s *session) error {
	r := b.table.roles()
	if r != nil && r.via != nil && r.via == b.m.ToTenant {
		r = nil // a role that is the tenant
	}
	if r == nil {
		b.notes = append(b.notes, "No column is a role: members get none but the one that everybody has in Stytch.")
		for _, t := range b.p.catalogue.tables {
			for _, ref := range t.Refs {
				if ref.To == b.table && b.alias == "m" && (t.roleColumn() != nil || last(t.words) == "role") {
					b.todos = append(b.todos, fmt.Sprintf("%s refers to %s and may hold its roles. Select them as a text[] called roles, or leave them out", t.SQLName, b.table.SQLName))
				}
			}
		}
		return nil
	}
	where := ""
	if b.alias == "m" {
		where = conditions(b.table.filters("m"))
	}
	if err := r.look(ctx, s, b.table, b.alias, where); err != nil {
		return err
	}
	b.roles = r
	if r.via != nil {
		b.p.reads(r.via.To)
		b.from = append(b.from, "LEFT JOIN "+r.via.To.SQLName+" r ON r."+r.via.Target.SQLName+" = "+b.alias+"."+r.via.Column.SQLName)
	}
	b.fields = append(b.fields, field{r.expression(b.alias), "roles"})
	b.p.Roles = r.ids()
	switch {
	case r.shape == number && len(r.Values) > 0:
		b.todos = append(b.todos, fmt.Sprintf("%s.%s holds %s. Name the Stytch role of each number in the CASE", b.table.SQLName, r.column.SQLName, listValues(r.Values)))
	case r.Unknown != "":
		b.notes = append(b.notes, fmt.Sprintf("Roles are the values of %s.%s (%s).", b.table.SQLName, r.column.SQLName, r.Unknown))
	}
	if len(b.p.Roles) > 0 {
		b.notes = append(b.notes, "Roles must be in the project's RBAC policy: "+strings.Join(b.p.Roles, ", ")+".")
	}
	return nil
}

func (b *memberSelect) addPassword() {
	verified := b.user.verified()
	b.secret = b.p.catalogue.passwords(b.user)
	if b.secret != nil {
		b.fields = append(b.fields, field{b.secret.sql(b.user), "password_hash"})
		if b.secret.via != nil {
			b.p.reads(b.secret.table)
			if join := b.secret.join(b.user); join != "" {
				b.from = append(b.from, join)
			}
		}
	}
	if verified != nil {
		b.fields = append(b.fields, field{verified.isTrue("u." + verified.SQLName), "email_verified"})
		return
	}
	if b.secret != nil {
		b.fields = append(b.fields, field{"false", "email_verified"})
		b.todos = append(b.todos, fmt.Sprintf("no column of %s says whether an address is verified, and Stytch marks it verified when it takes the hash. As written no hash is migrated; if every address was verified, put true in the place of false",
			b.user.SQLName))
	}
}

// sketch shows what the users' table gives to a SELECT that its author has to finish.
func (p *Proposal) sketch(m *mapping, user *Table) {
	if user.identity() == nil {
		return
	}
	b := &memberSelect{mapping: &mapping{}, p: p, user: user}
	b.fields = []field{{"…", keyOrganization}, {b.key("u", user.identity()), keyMember}, {"u." + user.email().SQLName, "email_address"}}
	b.name()
	b.addPassword()
	from := []string{"… m", "JOIN " + user.SQLName + " u ON u." + user.identity().SQLName + " = m.…"}
	m.sketch = statement(b.fields, append(from, b.from...), user.filters("u"))
}

// refusals are the tables whose changes cannot be captured, with the fix.
func (s *session) refusals(ctx context.Context, tables []*Table) ([]producers.Refusal, error) {
	names := make([]schemas.Table, len(tables))
	for i, t := range tables {
		names[i] = t.Table
	}
	_, err := producers.DescribeTables(ctx, s.conn, names)
	var refused *producers.Refused
	if !errors.As(err, &refused) {
		return nil, err
	}
	for i, r := range refused.Refusals {
		at := slices.IndexFunc(tables, func(t *Table) bool { return t.Table == r.Table })
		refused.Refusals[i].Fix = strings.Replace(r.Fix, "(…)", tables[at].possibleKey(), 1)
	}
	slices.SortFunc(refused.Refusals, func(a, b producers.Refusal) int { return strings.Compare(a.Table.String(), b.Table.String()) })
	return refused.Refusals, nil
}
