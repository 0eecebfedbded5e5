package integration_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/backstitch/backstitch/consumers/stytch"
	"github.com/backstitch/backstitch/consumers/verify"
	"github.com/backstitch/backstitch/integration/harness"
)

// victim is an entity of the ledger, with its ids in Stytch.
type victim struct{ kind, org, key, id, orgID, password string }

// finding is how a fault must show.
type finding struct {
	class  verify.Class
	fields []string
}

// wrongWorld is a world whose Stytch is made wrong behind our back.
type wrongWorld struct {
	t       *testing.T
	w       *harness.World
	members []victim // with a password of ours, none used yet
	client  *stytch.Client
}

func (f *wrongWorld) sql(query string, args ...any) {
	f.t.Helper()
	if _, err := f.w.LedgerPool.Exec(context.Background(), query, args...); err != nil {
		f.t.Fatal(err)
	}
}

func (f *wrongWorld) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// member is one that no fault had yet.
func (f *wrongWorld) member() victim {
	f.t.Helper()
	if len(f.members) == 0 {
		f.t.Fatal("the world is too small for the faults")
	}
	m := f.members[0]
	f.members = f.members[1:]
	return m
}

// memberOutside is a member whose person is in no way in another organization.
func (f *wrongWorld) memberOutside(org string) victim {
	f.t.Helper()
	for {
		m := f.member()
		var there bool
		f.must(f.w.LedgerPool.QueryRow(context.Background(),
			`SELECT EXISTS (SELECT FROM backstitch.entities WHERE kind = 'member' AND org_key = $1 AND key = $2)`, org, m.key).Scan(&there))
		if !there {
			return m
		}
	}
}

func (f *wrongWorld) organization(key string) victim {
	f.t.Helper()
	v := victim{kind: "organization", org: key, key: key}
	f.must(f.w.LedgerPool.QueryRow(context.Background(), `SELECT stytch_id FROM backstitch.entities WHERE kind = 'organization' AND key = $1`, key).Scan(&v.id))
	return v
}

func (f *wrongWorld) update(m victim, fields map[string]any) victim {
	f.t.Helper()
	_, err := f.w.Simulator.Behind().UpdateMember(m.id, fields)
	f.must(err)
	return m
}

func (f *wrongWorld) create(org string, fields map[string]any) string {
	f.t.Helper()
	m, err := f.w.Simulator.Behind().CreateMember(org, fields)
	f.must(err)
	return m.MemberID
}

// mistake makes one thing wrong and says of which entity, and how it must show.
type mistake struct {
	name string
	show finding
	seed func(f *wrongWorld) victim
}

// seeded are the faults of docs/verify.md: its table must list each with its class.
var seeded = []mistake{
	{"lost event: an update", finding{verify.Different, []string{"name"}}, func(f *wrongWorld) victim {
		return f.update(f.member(), map[string]any{"name": "The Former Name"})
	}},
	{"lost event: a creation", finding{verify.Missing, nil}, func(f *wrongWorld) victim {
		m := f.member()
		f.must(f.w.Simulator.Behind().DeleteMember(m.id))
		return m
	}},
	{"swapped events: an older update came last", finding{verify.Different, []string{"trusted_metadata"}}, func(f *wrongWorld) victim {
		o := f.organization("6")
		_, err := f.w.Simulator.Behind().UpdateOrganization(o.id, map[string]any{"trusted_metadata": map[string]any{"plan": "former"}})
		f.must(err)
		return o
	}},
	{"stale write: a former address", finding{verify.ForeignChange, []string{"email_address", "password"}}, func(f *wrongWorld) victim {
		m := f.member()
		return f.update(m, map[string]any{"email_address": "former" + m.key + "@corp.example"})
	}},
	{"wrong organization", finding{verify.Extra, nil}, func(f *wrongWorld) victim {
		m := f.memberOutside("5")
		f.must(f.w.Simulator.Behind().DeleteMember(m.id))
		wrong := f.organization("5")
		return victim{kind: "member", org: "5", id: f.create(wrong.id, map[string]any{"email_address": "user" + m.key + "@corp.example", "external_id": m.key})}
	}},
	{"extra role", finding{verify.Different, []string{"roles"}}, func(f *wrongWorld) victim {
		return f.update(f.member(), map[string]any{"roles": []string{"admin", "member", "owner"}})
	}},
	{"lost delete", finding{verify.Extra, nil}, func(f *wrongWorld) victim {
		m := victim{kind: "member"}
		f.must(f.w.LedgerPool.QueryRow(context.Background(), `SELECT e.org_key, e.key, o.stytch_id FROM backstitch.entities e
			JOIN backstitch.entities o ON o.kind = 'organization' AND o.key = e.org_key
			WHERE e.kind = 'member' AND e.desired IS NULL AND o.desired IS NOT NULL LIMIT 1`).Scan(&m.org, &m.key, &m.orgID))
		m.id = f.create(m.orgID, map[string]any{"email_address": "user" + m.key + "@corp.example", "external_id": m.key})
		return m
	}},
	{"wrong password: somebody set another", finding{verify.ForeignChange, []string{"password"}}, func(f *wrongWorld) victim {
		m := f.member()
		f.must(f.w.Simulator.Behind().SetPassword(m.id, "another password altogether"))
		return m
	}},
	{"wrong password: removed", finding{verify.Different, []string{"password"}}, func(f *wrongWorld) victim {
		m := f.member()
		f.must(f.client.DeletePassword(context.Background(), m.orgID, m.password))
		return m
	}},
	{"wrong password: a hash converted wrongly, found by a canary", finding{verify.Different, []string{"password"}}, func(f *wrongWorld) victim {
		m := f.member()
		hash, err := bcrypt.GenerateFromPassword([]byte("not the legacy one"), bcrypt.MinCost)
		f.must(err)
		ctx := context.Background()
		f.must(f.client.DeletePassword(ctx, m.orgID, m.password))
		migrated, err := f.client.MigratePassword(ctx, stytch.Fields{
			"organization_id": m.orgID, "email_address": "user" + m.key + "@corp.example", "hash": string(hash), "hash_type": "bcrypt",
		})
		f.must(err)
		f.sql(`UPDATE backstitch.entities SET password_id = $3 WHERE kind = 'member' AND org_key = $1 AND key = $2`, m.org, m.key, migrated.Member.PasswordID)
		return m
	}},
	{"lost release: a slug that was given up", finding{verify.Different, []string{"organization_slug"}}, func(f *wrongWorld) victim {
		o := f.organization("5")
		_, err := f.w.Simulator.Behind().UpdateOrganization(o.id, map[string]any{"organization_slug": "former-slug"})
		f.must(err)
		return o
	}},
	{"lost release: the application goes on after a cut-over that the ledger does not know", finding{verify.Different, []string{"organization_name"}}, func(f *wrongWorld) victim {
		o := f.organization("4")
		_, err := f.w.Simulator.Behind().UpdateOrganization(o.id, map[string]any{"organization_name": "Renamed After The Cut-Over"})
		f.must(err)
		return o
	}},
	{"lost organization", finding{verify.Missing, nil}, func(f *wrongWorld) victim {
		o := f.organization("7")
		f.must(f.w.Simulator.Behind().DeleteOrganization(o.id))
		return o
	}},
	{"made twice", finding{verify.Duplicate, nil}, func(f *wrongWorld) victim {
		m := f.member()
		m.id = f.create(m.orgID, map[string]any{"email_address": "twice" + m.key + "@corp.example", "external_id": stytch.Generation(m.key, 1)})
		return m
	}},
	{"made again by others", finding{verify.ForeignChange, []string{"member_id"}}, func(f *wrongWorld) victim {
		m := f.member()
		f.must(f.w.Simulator.Behind().DeleteMember(m.id))
		m.id = f.create(m.orgID, map[string]any{"email_address": "user" + m.key + "@corp.example", "external_id": m.key})
		return m
	}},
	{"made by others", finding{verify.Extra, nil}, func(f *wrongWorld) victim {
		o := f.organization("2")
		return victim{kind: "member", org: "2", id: f.create(o.id, map[string]any{"email_address": "guest@corp.example"})}
	}},
}

func newWrongWorld(t *testing.T, w *harness.World) *wrongWorld {
	t.Helper()
	f := &wrongWorld{t: t, w: w, client: stytch.New(stytch.Options{BaseURL: w.StytchURL, ProjectID: harness.ProjectID, Secret: harness.Secret})}
	t.Cleanup(f.client.Close)
	rows, err := w.LedgerPool.Query(context.Background(), `SELECT e.org_key, e.key, e.stytch_id, e.org_stytch_id, e.password_id FROM backstitch.entities e
		WHERE e.kind = 'member' AND e.desired IS NOT NULL AND e.password_id IS NOT NULL AND e.org_key IN ('1', '2', '3', '4', '5')
		  AND e.losses = '{}' ORDER BY e.org_key, e.key`)
	f.must(err)
	for rows.Next() {
		m := victim{kind: "member"}
		f.must(rows.Scan(&m.org, &m.key, &m.id, &m.orgID, &m.password))
		f.members = append(f.members, m)
	}
	f.must(rows.Err())
	return f
}

// shown says whether a report has the finding on an entity.
func shown(r *verify.Report, v victim, want finding) bool {
	return slices.ContainsFunc(r.Findings, func(g verify.Finding) bool {
		return g.Kind == v.kind && (g.Organization == v.org || v.kind == "organization" && g.Organization == v.key) && g.Entity == v.key &&
			(v.key != "" || g.StytchID == v.id) && g.Class == want.class && slices.Equal(g.Fields, want.fields) && g.Confirmed
	})
}

// Each seeded fault is caught, by its class and fields, on the very entity; nothing
// else is found; the table in the docs lists each.
func TestVerifyCatchesSeededFaults(t *testing.T) {
	w := faultyWorld(t)
	f := newWrongWorld(t, w)
	good, bad := f.members[0], victim{}
	f.members = f.members[1:]
	victims := map[string]victim{}
	for _, s := range seeded {
		victims[s.name] = s.seed(f)
		if strings.Contains(s.name, "canary") {
			bad = victims[s.name]
		}
	}
	// What happens after a cut-over is the application's.
	cut := f.organization("8")
	_, err := w.Simulator.Behind().UpdateOrganization(cut.id, map[string]any{"organization_name": "Theirs Now"})
	f.must(err)
	f.sql(`UPDATE backstitch.entities SET released_at = now() WHERE kind = 'organization' AND key = '8'`)
	canaries := filepath.Join(t.TempDir(), "canaries.yaml")
	text := ""
	for _, m := range []victim{good, bad} {
		text += fmt.Sprintf("- {organization: %q, member: %q, password_env: CANARY}\n", m.org, m.key)
	}
	f.must(os.WriteFile(canaries, []byte(text), 0o600))
	t.Setenv("CANARY", canaryPassword)

	r := verified(t, w, 3, "--canaries", canaries)
	for name, v := range victims {
		s := seeded[slices.IndexFunc(seeded, func(s mistake) bool { return s.name == name })]
		if !shown(r, v, s.show) {
			t.Errorf("%s: not found as %v on %+v", name, s.show, v)
		}
	}
	if r.Classes[verify.Released] < 2 {
		t.Errorf("%d released: the organization and its members are the application's", r.Classes[verify.Released])
	}
	if len(r.Canaries) != 2 || r.Canaries[0].Outcome != "authenticated" || r.Canaries[1].Outcome != "refused" {
		t.Errorf("canaries: %+v", r.Canaries)
	}
	// Beside them: the members of the lost organization, and the one that went astray.
	var gone int64
	f.must(w.LedgerPool.QueryRow(context.Background(), `SELECT count(*) FROM backstitch.entities WHERE kind = 'member' AND org_key = '7' AND desired IS NOT NULL`).Scan(&gone))
	if want := int64(len(seeded)) + gone + 1; int64(len(r.Findings))+r.LeftOut != want {
		t.Errorf("%d findings, want %d", int64(len(r.Findings))+r.LeftOut, want)
	}
	if t.Failed() {
		for _, g := range r.Findings {
			t.Logf("%+v", g)
		}
	}
	listed(t)
}

// listed: the docs' table of faults is this test's.
func listed(t *testing.T) {
	t.Helper()
	page, err := os.ReadFile("../docs/verify.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range seeded {
		fields := "-"
		if len(s.show.fields) > 0 {
			fields = strings.Join(s.show.fields, ", ")
		}
		if row := fmt.Sprintf("| %s | `%s` | %s |", s.name, s.show.class, fields); !strings.Contains(string(page), row) {
			t.Errorf("docs/verify.md lacks the row\n%s", row)
		}
	}
}

// canaryPassword is behind every hash of faultyWorld.
const canaryPassword = "correct horse battery staple"

// faultyWorld has caught up, has a member whose delete was applied, and knows the
// passwords behind its hashes.
func faultyWorld(t *testing.T) *harness.World {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(canaryPassword), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	o := harness.Example()
	o.Schema += harness.ExampleRows(8) + fmt.Sprintf("\nUPDATE users SET password = '%s' WHERE password LIKE '$2a$%%';", hash)
	w := harness.New(t, o)
	untilCaughtUp(t, w, 0)
	w.Exec(t, "DELETE FROM team_members WHERE id = (SELECT min(id) FROM team_members WHERE team_id = 3)")
	untilCaughtUp(t, w, 0)
	return w
}
