package discover

import (
	"context"
	"fmt"
	"strings"
)

// mapping is a proposed SELECT with what has to be said about it.
type mapping struct {
	// sql is "" when there is nothing to select from: then todo says so.
	sql    string
	notes  []string // comments
	sketch string   // what to start from, where sql is ""
	todos  []string // decisions that only a person can take
	// alternative is the other answer to a decision.
	alternative *mapping

	fields []field
	from   []string
	where  []filter
}

// field is a column of a SELECT.
type field struct{ sql, name string }

// statement writes a SELECT.
func statement(fields []field, from []string, where []filter) string {
	var b strings.Builder
	b.WriteString("SELECT ")
	for i, f := range fields {
		if i > 0 {
			b.WriteString(",\n       ")
		}
		b.WriteString(f.sql)
		if !strings.HasSuffix(f.sql, "."+f.name) {
			b.WriteString(" AS " + f.name)
		}
	}
	b.WriteString("\nFROM " + strings.Join(from, "\n  "))
	for i, f := range where {
		word := "\n  AND "
		if i == 0 {
			word = "\nWHERE "
		}
		b.WriteString(word + f.sql)
		if f.why != "" {
			b.WriteString(" -- " + f.why)
		}
	}
	return b.String()
}

// conditions are filters as one SQL text, "" for none.
func conditions(where []filter) string {
	parts := make([]string, len(where))
	for i, f := range where {
		parts[i] = f.sql
	}
	if len(parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(parts, " AND ")
}

// key is a key column in SQL.
func (m *mapping) key(alias string, c *Column) string {
	if c.fitsKey() {
		return alias + "." + c.SQLName
	}
	m.notes = append(m.notes, fmt.Sprintf("%s.%s is %s, whose values do not compare like their text: the key is its text, and PostgreSQL cannot look it up by an index on the column.", alias, c.SQLName, c.Type))
	return alias + "." + c.SQLName + "::text"
}

const (
	keyOrganization = "organization_external_id"
	keyMember       = "external_id"
)

// propose makes the mappings of the chosen tables.
func (p *Proposal) propose(ctx context.Context, s *session) error {
	var err error
	if p.organizations, err = p.mapTenants(ctx, s); err != nil {
		return err
	}
	if p.members, err = p.mapMembers(ctx, s); err != nil {
		return err
	}
	p.hierarchy(p.selected)
	return p.unusable(ctx, s)
}

func (p *Proposal) mapTenants(ctx context.Context, s *session) (*mapping, error) {
	m := &mapping{}
	t := p.tenant()
	if t == nil {
		m.todos = []string{"no table looks like tenants. Name the one that a user's organization comes from, add it to source.tables, and write the SELECT"}
		return m, nil
	}
	p.reads(t)
	id := t.identity()
	fields := []field{{m.key("t", id), keyOrganization}}
	switch names := t.name(); len(names) {
	case 1:
		fields = append(fields, field{"t." + names[0].SQLName, "organization_name"})
	default:
		fields = append(fields, field{"t." + id.SQLName + "::text", "organization_name"})
		m.todos = append(m.todos, fmt.Sprintf("no column of %s is a name: the organization is called by its key. Say what names it", t.SQLName))
	}
	if slug := t.slug(); slug != nil {
		fields = append(fields, field{"t." + slug.SQLName, "organization_slug"})
	} else {
		m.notes = append(m.notes, "No column is a slug: Stytch makes one of the name.")
	}
	where := t.filters("t")
	p.generated(m, t)
	if err := p.states(ctx, s, m, t, "t"); err != nil {
		return nil, err
	}
	m.suspended(t, "t")
	m.fields, m.from, m.where = fields, []string{t.SQLName + " t"}, where
	m.sql = statement(fields, m.from, where)
	return m, nil
}

// generated says which columns cannot be read.
func (p *Proposal) generated(m *mapping, t *Table) {
	for _, c := range t.Columns {
		if c.Generated && (c.has("email") || c.has("slug") || c.has("name")) {
			m.notes = append(m.notes, fmt.Sprintf("%s.%s is a generated column, which logical replication does not send: write its expression instead where you need it.", t.SQLName, c.SQLName))
		}
	}
}

// states asks what a state means, where rows have several.
func (p *Proposal) states(ctx context.Context, s *session, m *mapping, t *Table, alias string) error {
	c := t.status()
	if c == nil {
		return nil
	}
	values, unknown, err := s.values(ctx, "SELECT "+c.SQLName+"::text AS v FROM "+t.SQL(), c.Labels)
	if err != nil || unknown == "" && len(values) < 2 {
		return err
	}
	holds := listValues(values)
	if unknown != "" {
		holds = "values that were " + unknown
	}
	m.todos = append(m.todos, fmt.Sprintf("%s.%s holds %s. As written every row counts; add to the SELECT's WHERE which of them do", t.SQLName, c.SQLName, holds))
	m.notes = append(m.notes, fmt.Sprintf("For example: WHERE %s.%s = '…'", alias, c.SQLName))
	return nil
}

func (m *mapping) suspended(t *Table, alias string) {
	for _, c := range t.suspended() {
		m.notes = append(m.notes, fmt.Sprintf("Suspended rows (%s.%s) are kept: a condition on it in the SELECT's WHERE leaves them out.", alias, c.SQLName))
	}
}

func listValues(values []Value) string {
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = fmt.Sprintf("%s (%s)", v.Name, thousands(v.Rows))
	}
	return strings.Join(parts, ", ")
}

// unusable asks for keys where a table's changes cannot be told apart.
func (p *Proposal) unusable(ctx context.Context, s *session) (err error) {
	if p.refused, err = s.refusals(ctx, p.Tables); err != nil {
		return err
	}
	for _, r := range p.refused {
		p.todos = append(p.todos, fmt.Sprintf("%s cannot be captured: %s. Run %s, and add it to the publication (setup.sql)", r.Table, r.Reason, r.Fix))
	}
	return nil
}
