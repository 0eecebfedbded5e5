package discover

// secret is where a user's password hash stands.
type secret struct {
	column *Column
	// via is the reference to the user, where another table holds the hash; nil for the
	// user's own row.
	via   *Ref
	table *Table
	// alone: the other table has at most one row a user.
	alone bool
}

// passwords finds the column of the password hash: the user's own, or that of a table
// that refers to the users.
func (c *catalogue) passwords(users *Table) *secret {
	if p := users.password(); p != nil {
		return &secret{column: p, table: users}
	}
	var best *secret
	for _, t := range c.tables {
		p := t.password()
		if p == nil || t == users {
			continue
		}
		for _, r := range t.Refs {
			if r.To != users || r.Target != users.identity() {
				continue
			}
			s := &secret{p, r, t, t.unique(r.Column.Name)}
			if best == nil || s.alone && !best.alone {
				best = s
			}
		}
	}
	return best
}

// sql is the hash in the members' SELECT.
func (s *secret) sql(user *Table) string {
	switch {
	case s.via == nil:
		return "u." + s.column.SQLName
	case s.alone:
		return "p." + s.column.SQLName
	}
	return "(SELECT max(p." + s.column.SQLName + ") FROM " + s.table.SQLName + " p WHERE p." + s.via.Column.SQLName + " = u." + user.identity().SQLName + ")"
}

// join is what the SELECT joins for it.
func (s *secret) join(user *Table) string {
	if s.via == nil || !s.alone {
		return ""
	}
	return "LEFT JOIN " + s.table.SQLName + " p ON p." + s.via.Column.SQLName + " = u." + user.identity().SQLName
}
