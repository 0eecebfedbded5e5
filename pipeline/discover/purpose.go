package discover

import (
	"slices"
	"strings"
)

// The columns' purposes, told by their names and types. Generated columns have none:
// logical replication does not send them.

// first is the first column that fits one of the tests, tried in their order.
func (t *Table) first(fits func(*Column) bool, phrases ...string) *Column {
	for _, p := range phrases {
		for _, c := range t.Columns {
			if !c.Generated && c.is(p) && fits(c) {
				return c
			}
		}
	}
	return nil
}

func (t *Table) email() *Column {
	return t.first((*Column).isText, "email", "email address", "e mail", "user email", "primary email", "login email", "mail", "emailaddress")
}

func (t *Table) password() *Column {
	phrases := []string{"password hash", "encrypted password", "hashed password", "password digest", "password", "pass hash", "passwd", "passwordhash", "pwd hash", "pwd"}
	if slices.Contains(t.words, "password") || slices.Contains(t.words, "credential") {
		phrases = append(phrases, "hash", "digest", "value")
	}
	return t.first((*Column).isText, phrases...)
}

func (t *Table) verified() *Column {
	fits := func(c *Column) bool { return c.isBool() || c.isTime() || c.isInt() }
	return t.first(fits, "email verified", "is email verified", "email is verified", "email verified at", "email confirmed at", "email confirmed",
		"is email confirmed", "email verification date", "confirmed at", "verified at", "is verified", "verified", "confirmed")
}

// name is how the table names a row to people: an expression's columns, one or two.
func (t *Table) name() []*Column {
	if c := t.first((*Column).isText, "display name", "displayname", "full name", "fullname", "organization name", "organisation name", "company name",
		"team name", "tenant name", "workspace name", "account name"); c != nil {
		return []*Column{c}
	}
	if c := t.first((*Column).isText, "name", "title"); c != nil {
		return []*Column{c}
	}
	first := t.first((*Column).isText, "first name", "given name", "forename")
	family := t.first((*Column).isText, "last name", "family name", "surname")
	if first != nil && family != nil {
		return []*Column{first, family}
	}
	if c := t.first((*Column).isText, "nickname", "nick name", "company", "label"); c != nil {
		return []*Column{c}
	}
	return nil
}

// slug is the tenant's name in addresses: a column called so, or a unique name beside
// a display name.
func (t *Table) slug() *Column {
	if c := t.first((*Column).isText, "slug", "subdomain", "sub domain", "url slug", "url key", "handle", "short name"); c != nil {
		return c
	}
	names := t.name()
	if c := t.first((*Column).isText, "name", "key", "code"); c != nil && t.unique(c.Name) && !slices.Contains(names, c) {
		return c
	}
	return nil
}

// sideways are words of references to the same table that say something else than what
// a row belongs to.
var sideways = []string{"created", "moved", "merged", "copied", "cloned", "template", "previous", "next", "replaced", "referrer", "referred", "by"}

// parent is the column by which the table's rows stand below others of the same table.
func (t *Table) parent() *Column {
	for _, r := range t.Refs {
		otherwise := slices.ContainsFunc(r.Column.words, func(w string) bool { return slices.Contains(sideways, w) })
		if r.To == t && r.Target == t.identity() && !otherwise {
			return r.Column
		}
	}
	id := t.identity()
	return t.first(func(c *Column) bool { return id != nil && c.family() == id.family() }, "parent id", "parent", "parent "+last(t.words)+" id")
}

// filter is a condition that keeps rows which count, and the reason in words.
type filter struct{ sql, why string }

// filters are the conditions that the table's own columns suggest.
func (t *Table) filters(alias string) []filter {
	var out []filter
	for _, c := range t.Columns {
		if f, ok := c.filter(alias + "." + c.SQLName); ok && !c.Generated {
			out = append(out, f)
		}
	}
	return out
}

func (c *Column) filter(sql string) (filter, bool) {
	never := "false"
	if c.isBool() && !c.NotNull {
		never = "NOT TRUE" // NULL counts as no
	}
	switch {
	case c.isBool() && c.is("deleted", "is deleted", "removed", "is removed", "archived", "is archived"):
		return filter{not(sql, never), "deleted rows are left out"}, true
	case c.is("deleted at", "delete at", "removed at", "archived at", "deleted on", "date deleted", "deletedat") && c.isTime():
		return filter{sql + " IS NULL", "deleted rows are left out"}, true
	case c.is("deleted at", "delete at", "removed at", "archived at", "deleted on") && c.isInt():
		if !c.NotNull {
			sql = "coalesce(" + sql + ", 0)"
		}
		return filter{sql + " = 0", "deleted rows are left out"}, true
	case c.isBool() && c.is("is active", "active", "is enabled", "enabled"):
		if !c.NotNull {
			sql += " IS NOT FALSE"
		}
		return filter{sql, "inactive rows are left out"}, true
	case c.isBool() && c.is("is bot", "bot", "is anonymous", "anonymous", "is service account", "service account", "is system", "system user", "is system user"):
		return filter{not(sql, never), "accounts that no person uses are left out"}, true
	case c.isBool() && c.is("accepted", "is accepted"):
		if !c.NotNull {
			sql += " IS TRUE"
		}
		return filter{sql, "invitations that wait for an answer are left out"}, true
	case c.isTime() && c.is("accepted at"):
		return filter{sql + " IS NOT NULL", "invitations that wait for an answer are left out"}, true
	}
	return filter{}, false
}

func not(sql, never string) string {
	if never == "false" {
		return "NOT " + sql
	}
	return sql + " IS " + never
}

// suspended are columns that say that an account is locked: whether such a person is a
// member in Stytch is for the mapping's author to say.
func (t *Table) suspended() []*Column {
	var out []*Column
	for _, c := range t.Columns {
		if c.is("locked", "is locked", "locked at", "banned until", "banned", "is banned", "banned at", "suspended", "is suspended", "suspended at",
			"disabled", "is disabled", "disabled at", "blocked", "is blocked", "blocked at") {
			out = append(out, c)
		}
	}
	return out
}

// status is a column whose values say which rows count, in words of the application's.
func (t *Table) status() *Column {
	return t.first(func(c *Column) bool { return c.isText() || len(c.Labels) > 0 && c.Elem == "" }, "status", "state", "membership status", "member status", last(t.words)+" status")
}

// isTrue is an SQL condition: the column says yes, by its value or by having one.
func (c *Column) isTrue(sql string) string {
	switch {
	case c.isBool() && c.NotNull:
		return sql
	case c.isBool():
		return "coalesce(" + sql + ", false)"
	case c.isInt():
		return "coalesce(" + sql + ", 0) > 0"
	}
	return sql + " IS NOT NULL"
}

// asText is the column in SQL, as text where its type is none that a text field takes.
func (c *Column) asText(sql string) string {
	if c.isText() || c.fitsKey() || len(c.Labels) > 0 && c.Elem == "" {
		return sql
	}
	return sql + "::text"
}

func list(columns []*Column) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.SQLName
	}
	return strings.Join(names, ", ")
}
