package discover

import (
	"fmt"
	"slices"
)

// hierarchy asks what a tenant below another is, and writes the other answer beside
// the first: only the top ones are organizations, and who belongs to one below belongs
// to the top one, with the roles that are nearest to it.
func (p *Proposal) hierarchy(b *memberSelect) {
	t := p.tenant()
	if t == nil {
		return
	}
	parent := t.parent()
	if parent == nil {
		return
	}
	orgs := p.organizations
	orgs.todos = append(orgs.todos, fmt.Sprintf("rows of %s stand below others through %s. As written each is an organization of its own; if only the top ones are, take the SELECTs in the comments",
		t.SQLName, parent.SQLName))
	orgs.alternative = &mapping{
		sql: statement(orgs.fields, orgs.from, append(slices.Clone(orgs.where), filter{"t." + parent.SQLName + " IS NULL", "only the top ones"})),
	}
	if b == nil || b.alias != "m" || !parent.fitsKey() {
		return
	}
	id := t.identity()
	top := &mapping{}
	fields := slices.Clone(b.fields)
	fields[0].sql = "coalesce(t." + parent.SQLName + ", t." + id.SQLName + ")"
	from := append(slices.Clone(b.from), "JOIN "+t.SQLName+" t ON t."+b.m.ToTenant.Target.SQLName+" = m."+b.m.ToTenant.Column.SQLName)
	top.sql = "SELECT DISTINCT ON (1, 2) " + statement(fields, from, append(slices.Clone(b.where), t.filters("t")...))[len("SELECT "):] +
		"\nORDER BY 1, 2, t." + parent.SQLName + " NULLS FIRST, t." + id.SQLName
	b.alternative = top
}
