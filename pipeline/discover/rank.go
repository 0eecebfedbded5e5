package discover

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Candidate is a table with what speaks for and against a role.
type Candidate struct {
	Table *Table
	Score int
	// Why lists the reasons with their points.
	Why []string
}

func (c *Candidate) add(points int, why string, args ...any) {
	c.Score += points
	c.Why = append(c.Why, fmt.Sprintf("%+d "+why, append([]any{points}, args...)...))
}

// rows speak for a table, a little: an empty one is rarely what people use.
func (c *Candidate) rows() {
	if n := c.Table.Rows; n > 0 {
		c.add(1+min(9, int(math.Log10(float64(n)))), "%s", c.Table.size())
	}
}

// threshold is the score below which a table is no candidate.
const threshold = 40

// beside are last words, or words anywhere, of tables that only surround the one that
// is looked for.
var beside = []string{
	"invite", "invitation", "token", "session", "log", "history", "audit", "event", "secondary", "verification", "password", "setting",
	"notification", "preference", "subscription", "request", "credential", "device", "key", "backup", "temp", "import", "archive", "migration", "permission",
}

func (c *Candidate) surrounds() {
	for _, w := range beside {
		if slices.Contains(c.Table.words, w) {
			c.add(-40, "its name says %s", w)
			return
		}
	}
}

var userNames = map[string]int{
	"user": 40, "person": 30, "member": 15, "account": 20, "login": 20, "customer": 15, "employee": 25, "identity": 10, "profile": 10, "contact": 5,
}

func (c *catalogue) users() []Candidate {
	return c.rank(func(r *Candidate) {
		t := r.Table
		if points := userNames[last(t.words)]; points > 0 {
			r.add(points, "called %s", last(t.words))
		}
		email := t.email()
		if email == nil {
			r.Score = 0 // without an address it is no table of people who sign in
			return
		}
		r.add(25, "has an e-mail address (%s)", email.SQLName)
		if t.unique(email.Name) {
			r.add(15, "%s is unique", email.SQLName)
		} else if slices.ContainsFunc(t.Expressions, func(def string) bool { return strings.Contains(def, email.SQLName) }) {
			r.add(15, "%s is unique by an expression or under a condition", email.SQLName)
		}
		if p := t.password(); p != nil {
			r.add(15, "has a password hash (%s)", p.SQLName)
		}
		if v := t.verified(); v != nil {
			r.add(5, "says whether the address is verified (%s)", v.SQLName)
		}
		if n := t.referrers; n > 0 {
			r.add(min(20, 4*n), "%s to it", plural(int64(n), "reference"))
		}
		r.surrounds()
		r.rows()
	})
}

var tenantNames = map[string]int{
	"organization": 40, "organisation": 40, "org": 40, "tenant": 40, "workspace": 35, "company": 35, "team": 30, "account": 30, "realm": 25,
	"customer": 20, "business": 20, "client": 15, "group": 15, "site": 10, "project": 10,
}

func (c *catalogue) tenants() []Candidate {
	return c.rank(func(r *Candidate) {
		t := r.Table
		if points := tenantNames[last(t.words)]; points > 0 {
			r.add(points, "called %s", last(t.words))
		}
		if n := t.name(); len(n) == 1 {
			r.add(10, "has a name (%s)", n[0].SQLName)
		}
		if s := t.slug(); s != nil {
			r.add(10, "has a slug (%s)", s.SQLName)
		}
		if n := t.referrers; n > 0 {
			r.add(min(20, 4*n), "%s to it", plural(int64(n), "reference"))
		}
		if t.password() != nil {
			r.add(-40, "has password hashes")
		}
		if t.identity() == nil {
			r.add(-20, "no single column identifies its rows")
		}
		for _, ref := range t.Refs {
			if ref.To != t && tenantNames[last(ref.To.words)] > 0 && tenantNames[last(t.words)] > 0 {
				r.add(-20, "stands below %s (%s)", ref.To.SQLName, ref.Column.SQLName)
				break
			}
		}
		r.surrounds()
		r.rows()
	})
}

// rank scores every table and keeps the candidates, best first.
func (c *catalogue) rank(score func(*Candidate)) []Candidate {
	var out []Candidate
	for _, t := range c.tables {
		r := Candidate{Table: t}
		if score(&r); r.Score >= threshold {
			out = append(out, r)
		}
	}
	sortCandidates(out)
	return out
}

func sortCandidates(all []Candidate) {
	slices.SortStableFunc(all, func(a, b Candidate) int { return cmp.Compare(b.Score, a.Score) })
}
