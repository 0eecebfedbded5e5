package discover

import (
	"fmt"
	"io"
	"strings"

	"github.com/backstitch/backstitch/consumers/stytch/hash"
)

// shown is how many candidates are told of.
const shown = 3

// Reasons writes what was found and why it was chosen. No value of a row is in it but
// the names of roles.
func (p *Proposal) Reasons(w io.Writer) error {
	r := &reasons{}
	r.say("Database %s: %s, read only. Why these tables:", oneLine(p.Database), plural(int64(len(p.catalogue.tables)), "table"))
	r.candidates("Tenants", p.Tenants)
	r.candidates("Users", p.Users)
	var memberships []Candidate
	for _, m := range p.Memberships {
		c := m.Candidate
		from := "a row of " + m.User.Table.SQLName
		if m.ToUser != nil {
			from = m.ToUser.Column.SQLName
		}
		c.Why = append([]string{fmt.Sprintf("from %s through %s to %s, with their scores %d", from, m.ToTenant.Column.SQLName, m.Tenant.Table.SQLName, m.total())}, c.Why...)
		memberships = append(memberships, c)
	}
	r.candidates("Memberships", memberships)
	if len(p.invitations) > 0 {
		names := make([]string, len(p.invitations))
		for i, t := range p.invitations {
			names[i] = t.SQLName
		}
		r.say("\nInvitations are not proposed: %s. Who has not accepted is no member yet.", strings.Join(names, ", "))
	}
	if len(p.views) > 0 {
		r.say("\nViews have no changes to stream; the tables behind them were looked at: %s.", strings.Join(p.views, ", "))
	}
	p.figures(r)
	if n := p.TODOs(); n > 0 {
		r.say("\nLeft to you: %s in the file. `backstitch check` names each with its line.", plural(int64(n), "TODO"))
	}
	_, err := io.WriteString(w, r.b.String())
	return err
}

type reasons struct{ b strings.Builder }

func (r *reasons) say(format string, args ...any) { fmt.Fprintf(&r.b, format+"\n", args...) }

func (r *reasons) candidates(role string, all []Candidate) {
	r.say("\n%s", role)
	if len(all) == 0 {
		r.say("  none found")
	}
	for i, c := range all[:min(shown, len(all))] {
		r.say("  %d. %s, score %d (%s)", i+1, c.Table.SQLName, c.Score, c.Table.size())
		if i > 0 {
			r.say("       %s", strings.Join(c.Why, ", "))
			continue
		}
		for _, why := range c.Why {
			r.say("       %s", why)
		}
	}
	if n := len(all) - shown; n > 0 {
		r.say("  and %d more", n)
	}
}

func (r *reasons) figure(what string, c *Count) {
	if c != nil {
		r.say("  %-46s %12s", what, c)
	}
}

func (p *Proposal) figures(r *reasons) {
	f := &p.Figures
	r.say("\nWhat decides the migration")
	r.figure("tenants", f.Tenants)
	r.figure("tenants without a name", f.Nameless)
	r.figure("users", f.Users)
	r.figure("memberships", f.Memberships)
	r.estimate(p)
	r.figure("memberships that exist twice", f.Doubled)
	r.figure("users without a tenant", f.NoTenant)
	r.figure("users without an e-mail address", f.NoEmail)
	r.figure("users whose address another user has", f.Shared)
	r.figure("users whose address differs in case only", f.Twins)
	r.figure("users with an unverified address", f.Unverified)
	r.figure("slugs that Stytch refuses", f.BadSlugs)
	r.figure("slugs that another tenant has", f.SharedSlugs)
	if len(f.Roles) > 0 || f.RolesUnknown != "" {
		r.say("%s", strings.TrimRight("  roles, and the memberships that have them  "+f.RolesUnknown, " "))
		for _, v := range f.Roles {
			rows := thousands(v.Rows)
			if f.RolesUnknown != "" { // an enumeration's labels, which stand in the catalogue
				rows = ""
			}
			r.say("%s", strings.TrimRight(fmt.Sprintf("    %-44s %12s", v.Name, rows), " "))
		}
	}
	if len(f.Hashes) > 0 || f.HashesUnknown != "" {
		r.say("%s", strings.TrimRight("  password hashes by format  "+f.HashesUnknown, " "))
		for _, h := range f.Hashes {
			fate := ""
			if !hash.Supported(h.Class) {
				fate = "  not taken by Stytch"
			}
			r.say("    %-44s %12s%s", h.Class, thousands(h.Rows), fate)
		}
	}
	for _, k := range f.Keyless {
		r.say("  no usable key: %s: %s. %s", k.Table, k.Reason, k.Fix)
	}
	for _, l := range f.Large {
		r.say("  large values: %s.%s, stored out of line: %s. If the mapping reads it: ALTER TABLE %s REPLICA IDENTITY FULL",
			l.Table.SQLName, l.Column.SQLName, l.Count, l.Table.SQL())
	}
}

// estimate helps where memberships were not counted in time.
func (r *reasons) estimate(p *Proposal) {
	if c := p.Figures.Memberships; c != nil && c.Unknown != "" && p.Memberships[0].Table.Rows >= 0 {
		r.say("    by the catalogue's estimate: %s", p.Memberships[0].Table.size())
	}
}

// Next writes the commands to go on with.
func (p *Proposal) Next(w io.Writer, setup string) error {
	_, err := fmt.Fprintf(w, `
Next, with this file as %[1]s.yaml:
  psql "$ADMIN_DATABASE_URL" -v ON_ERROR_STOP=1 -f %[2]s
  backstitch check -c %[1]s.yaml
  backstitch run -c %[1]s.yaml
It reads LEGACY_DATABASE_URL (role %[3]s, after \password %[3]s in psql), LEDGER_DATABASE_URL, KAFKA_BROKERS,
SCHEMA_REGISTRY_URL, STYTCH_PROJECT_ID and STYTCH_SECRET from the environment.
`, p.Name, setup, p.Role)
	return err
}
