package config

import (
	"errors"
	"strings"
	"testing"
)

// TestRefuses: every mistake is named with its line, all of them at once, and no
// message shows a value.
func TestRefuses(t *testing.T) {
	t.Parallel()
	change := func(old, new string) string {
		if !strings.Contains(minimal, old) {
			t.Fatalf("%q is not in the configuration", old)
		}
		return strings.Replace(minimal, old, new, 1)
	}
	for _, tt := range []struct{ name, yaml, want string }{
		{"empty", "# nothing\n", "acme.yaml:1: the file is empty"},
		{"list", "- a\n", "acme.yaml:1: the file is not a mapping of keys"},
		{"second document", minimal + "---\nname: other\n", "acme.yaml:12: a second document begins here"},
		{"duplicate", minimal + "name: other\n", `acme.yaml:12: not valid YAML: mapping key "name" already defined at [1:1]`},
		{"not YAML", "name: [a\n", "acme.yaml:1: not valid YAML"},
		{"unknown", minimal + "orgs: {}\n", "acme.yaml:12: unknown key orgs"},
		{"unknown inside", change("registry:", "registri:"), "acme.yaml:7: unknown key kafka.registri. Did you mean registry?"},
		{"missing", change("ledger: ${LEDGER}\n", ""), "acme.yaml:1: ledger is missing"},
		{"missing inside", change("  registry: http://localhost:8081\n", ""), "kafka.registry is missing"},
		{"no value", change("${LEDGER}", ""), "acme.yaml:8: ledger has no value"},
		{"number for text", change("name: acme", "name: 7"), "acme.yaml:1: name wants text"},
		{"text for number", minimal + "backfill: {workers: hidden}\n", "acme.yaml:12: backfill.workers wants a whole number from 1 to 4"},
		{"too much", minimal + "backfill: {workers: 5}\n", "acme.yaml:12: backfill.workers wants a whole number from 1 to 4"},
		{"too little", minimal + "sweep: 1ms\n", "acme.yaml:12: sweep wants a duration such as 30s or 15m, 1s or more"},
		{"not a duration", minimal + "sweep: 15\n", "acme.yaml:12: sweep wants a duration"},
		{"not true or false", minimal + "members: {select: SELECT 1, assume_emails_verified: hidden}\n", "acme.yaml:12: members.assume_emails_verified wants true or false"},
		{"not a mode", minimal + "deletes: {members: hidden}\n", "acme.yaml:12: deletes.members wants apply or hold"},
		{"not a rate", change(`"${SECRET}"`, `"${SECRET}", rate_limit: 60`), "acme.yaml:9: stytch.rate_limit wants requests per second"},
		{"not keys", change("kafka:\n  brokers: [localhost:9092]\n  registry: http://localhost:8081\n", "kafka: hidden\n"), "acme.yaml:5: kafka wants keys under it"},
		{"not a list", change("[localhost:9092]", "localhost:9092"), "acme.yaml:6: kafka.brokers wants a list"},
		{"keys for text", change("name: acme", "name: {a: b}"), "acme.yaml:1: name wants text, not a list or keys"},
		{"alias", change("name: acme", "name: &a acme"), "acme.yaml:1: anchors, aliases and tags are not taken here"},
		{"merge key", minimal + "<<: {name: x}\n", "acme.yaml:12: merge keys are not taken here"},
		{"unset variable", change("${LEDGER}", "${NOWHERE}"), "acme.yaml:8: ledger: the environment variable NOWHERE is not set"},
		{"no variable", change("${LEDGER}", "${a b}"), "acme.yaml:8: ledger: a reference is neither"},
		{"open reference", change("${LEDGER}", "${LEDGER"), "acme.yaml:8: ledger: a reference ${ is not closed"},
		{"missing file", change("${LEDGER}", "${file:/nowhere/x}"), "open /nowhere/x"},
		{"bad table", change("public.users", "a.b.c"), "acme.yaml:4: source.tables: table a.b.c: want schema.table"},
		{"table twice", change("public.users", "public.teams"), "acme.yaml:4: source.tables names public.teams twice"},
		{"no tables", change("[teams, public.users, 'app.\"TeamMember\"']", "[]"), "acme.yaml:4: source.tables is empty"},
		{"bad name", change("name: acme", "name: Acme"), "acme.yaml:1: name cannot be part of topic"},
		{"bad prefix", change("8081\n", "8081\n  topics: {prefix: a-b}\n"), "acme.yaml:8: kafka.topics.prefix cannot be part"},
		{"bad slot", change("  postgres", "  slot: A\n  postgres"), "acme.yaml:3: source.slot is no name"},
		{"bad URL", change("${LEGACY}", "postgres://u:hidden@h:port/x"), "acme.yaml:3: source.postgres is not a connection URL"},
		{"same database", change("${LEDGER}", "${LEGACY}"), "acme.yaml:8: ledger is the legacy database itself"},
		{"bad broker", change("[localhost:9092]", "[localhost]"), "acme.yaml:6: a broker of kafka.brokers is not host:port"},
		{"bad registry", change("http://localhost:8081", "localhost"), "acme.yaml:7: kafka.registry is not an http or https URL"},
		{"not a project", change("project-test-1", "hidden"), "acme.yaml:9: stytch.project_id is not a Stytch project id"},
		{"live", change("project-test-1", "project-live-1"), "acme.yaml:9: stytch.project_id is a live project, and live: true is not set"},
		{"live on a domain", change("project-test-1", "project-live-1, base_url: 'https://login.example.com'"), "live: true is not set"},
		{"bad id prefix", minimal + "external_id_prefix: {members: a/b}\n", "acme.yaml:12: external_id_prefix.members has characters"},
		{"bad listen", minimal + "admin: {listen: nowhere}\n", "acme.yaml:12: admin.listen is not host:port"},
		{"empty select", change("SELECT id AS organization_external_id FROM teams", "' '"), "acme.yaml:11: organizations.select is empty"},
		{"members without select", minimal + "members: {routes: {}}\n", "acme.yaml:12: members.select is missing"},
		{"route of a table that is not captured", minimal + "  routes: {roles: {a: b}}\n", "acme.yaml:12: organizations.routes has a route for public.roles, which is not captured"},
		{"route twice", minimal + "  routes: {teams: {a: b}, public.teams: {a: b}}\n", "acme.yaml:12: organizations.routes names public.teams twice"},
		{"empty route", minimal + "  routes: {teams: {}}\n", "acme.yaml:12: organizations.routes.teams names no column"},
		{"bad route table", minimal + "  routes: {a.b.c: {a: b}}\n", "want schema.table"},
		{"routes as text", minimal + "  routes: hidden\n", "acme.yaml:12: organizations.routes wants a table's name and its route under it"},
		{"derived routes", minimal + "  routes: auto\n", "acme.yaml:12: organizations.routes needs no auto: routes that are left out are derived. Leave the key out"},
		{"open decision", minimal + "  TODO: which roles\n", "acme.yaml:12: organizations.TODO: to be decided: which roles. Decide"},
		{"open decisions", minimal + "  TODO:\n    - which roles\n    - which states.\n", "acme.yaml:14: organizations.TODO: to be decided: which states. Decide"},
		{"open select", change("SELECT id AS organization_external_id FROM teams", "'TODO: hidden'"), "acme.yaml:11: organizations.select is to be decided"},
		{"open tables", change("[teams, public.users, 'app.\"TeamMember\"']", "'TODO: hidden'"), "acme.yaml:4: source.tables is to be decided"},
		{"not yet: totp", minimal + "totp: {}\n", "acme.yaml:12: not yet: TOTP secrets"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := parse(tt.yaml)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an Error", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if strings.Contains(err.Error(), "hidden") {
				t.Errorf("the error shows a value (invariant 8): %v", err)
			}
		})
	}
}

func TestAllAtOnce(t *testing.T) {
	t.Parallel()
	_, err := parse("nam: x\nsource: {tables: 7}\nledger: ${NOWHERE}\nstytch: {live: maybe}\n")
	var e *Error
	if !errors.As(err, &e) || len(e.Problems) < 8 {
		t.Fatalf("got %v", err)
	}
	for i, p := range e.Problems[1:] {
		if p.Where < e.Problems[i].Where {
			t.Errorf("problems are not in the file's order: %v", err)
		}
	}
}

func TestLiveOverPlainHTTPIsTheSimulator(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"project-live-1, base_url: 'http://127.0.0.1:8711'",
		"project-live-1, live: true",
		"anything, base_url: 'http://127.0.0.1:8711'",
	} {
		if _, err := parse(strings.Replace(minimal, "project-test-1", s, 1)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
}
