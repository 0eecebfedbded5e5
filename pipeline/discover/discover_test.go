package discover_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/pipeline/discover"
	"github.com/backstitch/backstitch/pipeline/preflight"
	"github.com/backstitch/backstitch/schemas"
)

// legacies are the legacy schemas of testdata, with the tables that must come first,
// as schema.table; "" where there is none.
var legacies = []struct {
	name, tenant, user, membership string
	// key completes the fix of a table without a usable key, where setup.sql cannot.
	key string
	// unmapped: the file cannot be accepted before a SELECT is written.
	unmapped bool
}{
	{name: "boxyhq", tenant: "public.Team", user: "public.User", membership: "public.TeamMember"},
	{name: "calcom", tenant: "public.Team", user: "public.users", membership: "public.Membership"},
	{name: "posthog", tenant: "public.posthog_organization", user: "public.posthog_user", membership: "public.posthog_organizationmembership"},
	{name: "mattermost", tenant: "public.teams", user: "public.users", membership: "public.teammembers"},
	{name: "supabase", user: "auth.users", unmapped: true},
	{name: "supabase_memberships", tenant: "public.organizations", user: "auth.users", membership: "public.memberships"},
	{name: "betterauth", tenant: "public.organization", user: "public.user", membership: "public.member"},
	{name: "odd_names", tenant: "My App.Company", user: "My App.User", membership: "My App.Company Users", key: `ADD COLUMN id serial PRIMARY KEY`},
	{name: "odd_direct", tenant: "public.tenants", user: "public.users", membership: "public.users"},
	{name: "odd_grants", tenant: "public.workspaces", user: "public.people", membership: "public.workspace_memberships"},
	{name: "odd_keyless", tenant: "public.account", user: "public.app_user", membership: "public.app_user", key: "ADD PRIMARY KEY (id)"},
	{name: "odd_schemas", tenant: "crm.tenants", user: "crm.users", membership: "crm.tenant_users"},
	{name: "empty", unmapped: true},
}

// TestSchemas: each schema's right tables come first, the proposal is as recorded, and
// the pre-flight accepts it, or refuses its TODOs and nothing else.
func TestSchemas(t *testing.T) {
	t.Parallel()
	for _, s := range legacies {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t, read(t, s.name+".sql"))
			b.discover(b.source, discover.Options{})
			var tenant, user, membership string
			if len(b.Tenants) > 0 {
				tenant = b.Tenants[0].Table.String()
			}
			if len(b.Users) > 0 {
				user = b.Users[0].Table.String()
			}
			if len(b.Memberships) > 0 {
				membership = b.Memberships[0].Table.String()
			}
			if tenant != s.tenant || user != s.user || membership != s.membership {
				t.Errorf("first come %q, %q and %q, want %q, %q and %q", tenant, user, membership, s.tenant, s.user, s.membership)
			}
			b.golden(s.name+".yaml", b.yaml)
			b.golden(s.name+".txt", b.reasons)
			b.golden(s.name+"-setup.sql", b.setup)
			if strings.Contains(strings.ToLower(b.yaml+b.reasons+b.setup), "canary") {
				t.Error("a value of a row is shown (invariant 8)")
			}
			b.runSetup()
			b.applicationLives()
			b.refusesTODOs()
			if s.unmapped {
				return
			}
			for _, line := range afterwards.FindAllStringSubmatch(b.setup, -1) {
				b.exec(strings.Replace(line[1], "ADD PRIMARY KEY (…)", s.key, 1))
			}
			b.accepted(b.yaml)
		})
	}
}

// afterwards are the statements of setup.sql that wait for a person.
var afterwards = regexp.MustCompile(`(?m)^--   (ALTER .*;)$`)

// applicationLives: once the tables are published, the legacy application still
// updates and deletes its rows (hazard S21).
func (b *bundle) applicationLives() {
	b.Helper()
	for _, t := range b.Tables {
		c := schemas.QuoteIdent(t.Columns[len(t.Columns)-1].Name)
		b.exec("BEGIN; UPDATE " + t.SQL() + " SET " + c + " = " + c + "; ROLLBACK")
	}
}

// refusesTODOs: the file is refused at the lines of its TODOs, and nowhere else.
func (b *bundle) refusesTODOs() {
	b.Helper()
	var want []string
	for i, line := range strings.Split(b.yaml, "\n") {
		if decision(line) || strings.Contains(line, ": 'TODO: ") {
			want = append(want, fmt.Sprintf("acme.yaml:%d", i+1+shift(b.yaml, i)))
		}
	}
	if len(want) != b.TODOs() {
		b.Errorf("%d TODOs in the file, %d are told of", len(want), b.TODOs())
	}
	_, err := b.parse(b.yaml)
	var refused *config.Error
	if err != nil && !errors.As(err, &refused) {
		b.Fatal(err)
	}
	var got []string
	if refused != nil {
		for _, p := range refused.Problems {
			got = append(got, p.Where)
		}
	}
	if !slices.Equal(got, want) {
		b.Errorf("refused at %v, want %v: %v", got, want, err)
	}
}

// decision is a line under a key TODO.
func decision(line string) bool { return strings.HasPrefix(line, "    - '") }

// shift is how many lines the test's own changes put before a line.
func shift(yaml string, i int) int {
	n := 0
	for _, added := range []string{"  create_publication:", "  rate_limit:"} {
		at := strings.Count(yaml[:strings.Index(yaml, added)], "\n")
		if i > at || i == at && added == "  create_publication:" {
			n++
		}
	}
	return n
}

// accepted: once the TODOs are taken out, the pre-flight finds no error, as the role
// that setup.sql made.
func (b *bundle) accepted(yaml string) {
	b.Helper()
	cfg, err := b.parse(undecided(yaml))
	if err != nil {
		b.Fatal(err)
	}
	report := b.check(cfg)
	for _, f := range report.Findings {
		if f.Severity == preflight.Error && f.Code != "source.long_transaction" {
			b.Errorf("not accepted: %s at %s (%s): %s. %s", f.Code, f.Where, f.Key, f.What, f.Fix)
		}
	}
	for _, r := range report.Routes {
		if r.Swept != "" {
			b.Errorf("no route to %ss is derived for %s: %s", r.Kind, r.Table, r.Swept)
		}
	}
	if len(report.Routes) == 0 || strings.Contains(yaml, "routes:") {
		b.Errorf("the file writes routes, or needs none: %v", report.Routes)
	}
	if report.Backfill == nil || report.Backfill.Members == 0 || report.Backfill.Organizations == 0 {
		b.Errorf("the mapping yields nothing: %+v\n%s", report.Backfill, report.Text())
	}
}

// undecided is the file without its TODOs.
func undecided(yaml string) string {
	var kept []string
	for line := range strings.SplitSeq(yaml, "\n") {
		if !decision(line) && line != "  TODO:" {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}
