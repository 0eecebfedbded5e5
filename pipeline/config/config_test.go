package config

import (
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/schemas"
)

var update = flag.Bool("update", false, "write the golden files")

// minimal has the required keys only.
const minimal = `name: acme
source:
  postgres: ${LEGACY}
  tables: [teams, public.users, 'app."TeamMember"']
kafka:
  brokers: [localhost:9092]
  registry: http://localhost:8081
ledger: ${LEDGER}
stytch: {project_id: project-test-1, secret: "${SECRET}"}
organizations:
  select: SELECT id AS organization_external_id FROM teams
`

var environment = map[string]string{
	"LEGACY": "postgres://u:hidden-pw@legacy/app", "LEDGER": "postgres://u:hidden-pw@ledger/backstitch", "SECRET": "hidden-secret",
	"PARTITIONS": "7", "LIVE": "true",
	"LEGACY_DATABASE_URL": "postgres://legacy/app", "LEDGER_DATABASE_URL": "postgres://ledger/backstitch",
	"STYTCH_PROJECT_ID": "project-test-1", "STYTCH_SECRET": "hidden-secret",
}

func lookup(name string) (string, bool) {
	v, ok := environment[name]
	return v, ok
}

func parse(s string) (*Config, error) { return Parse("acme.yaml", []byte(s), lookup) }

func TestDefaults(t *testing.T) {
	t.Parallel()
	c, err := parse(minimal)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Name: "acme",
		Source: Source{
			Postgres: "postgres://u:hidden-pw@legacy/app",
			Tables:   []schemas.Table{{Schema: "public", Name: "teams"}, {Schema: "public", Name: "users"}, {Schema: "app", Name: "TeamMember"}},
			Slot:     "backstitch_acme", SlotOnExceed: "alert", Publication: "backstitch_acme", CreatePublication: true, Heartbeat: 10 * time.Second,
		},
		Kafka:         Kafka{Brokers: []string{"localhost:9092"}, Registry: "http://localhost:8081", Topics: Topics{"acme", 12, 3, true}, RegistryListen: "127.0.0.1:0", Memory: 512 << 20},
		Ledger:        "postgres://u:hidden-pw@ledger/backstitch",
		Stytch:        Stytch{ProjectID: "project-test-1", Secret: "hidden-secret", RateLimit: 60},
		Organizations: Mapping{Select: "SELECT id AS organization_external_id FROM teams"},
		Deletes:       Deletes{Members: consumers.DeleteApply, Organizations: consumers.DeleteHold, MaxPerHour: 500},
		Backfill:      Backfill{Workers: 2, MaxPause: 10 * time.Second},
		Sweep:         15 * time.Minute, Audit: 24 * time.Hour, Verify: Verify{Share: 10},
		Admin: Admin{Listen: "127.0.0.1:8710"},
		file:  "acme.yaml", lines: c.lines,
	}
	if !reflect.DeepEqual(*c, want) {
		t.Errorf("got  %#v\nwant %#v", *c, want)
	}
	if m := c.Mappings(); len(m) != 1 || m[0].Kind != consumers.Organization {
		t.Errorf("mappings without members: %+v", m)
	}
}

// TestExample: the example is valid, names every key, and shows the defaults that
// the tags say.
func TestExample(t *testing.T) {
	t.Parallel()
	c, err := parse(Example())
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Mappings()) != 2 {
		t.Errorf("mappings: %+v", c.Mappings())
	}
	all(reflect.ValueOf(c).Elem(), "", func(f field) {
		line := regexp.MustCompile(`(?m)^[ #]*` + f.key[strings.LastIndexByte(f.key, '.')+1:] + `:(.*)$`)
		var shown bool
		for _, m := range line.FindAllStringSubmatch(Example(), -1) {
			value, _, _ := strings.Cut(strings.TrimSpace(m[1]), " ")
			d := f.tag.Get("default")
			shown = shown || d == "" || value == d
		}
		if !shown {
			t.Errorf("the example does not show %s with its default %q", f.path, f.tag.Get("default"))
		}
		if f.tag.Get("doc") == "" {
			t.Errorf("%s is not documented", f.path)
		}
	})
}

func all(v reflect.Value, path string, each func(field)) {
	for _, f := range fields(v, path) {
		each(f)
		if f.value.Kind() == reflect.Struct {
			all(f.value, f.path, each)
		}
	}
}

func TestReferences(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := parse(minimal + "backfill: {workers: \"2\"}\n")
	if err == nil || !strings.Contains(err.Error(), "backfill.workers wants a whole number") {
		t.Errorf("a quoted number: got %v", err)
	}
	c, err := parse(strings.Replace(strings.Replace(minimal, "${SECRET}", "a-${file:"+path+"}-$${x}", 1), "8081\n", "8081\n  topics: {partitions: \"${PARTITIONS}\", create: \"${LIVE}\"}\n", 1) +
		"  routes: {teams: 'SELECT ${x} FROM changed', users: {organization_external_id: team_id}}\n")
	if err != nil {
		t.Fatal(err)
	}
	if c.Stytch.Secret.Reveal() != "a-from-a-file-${x}" || c.Kafka.Topics.Partitions != 7 {
		t.Errorf("got %q, %d", c.Stytch.Secret.Reveal(), c.Kafka.Topics.Partitions)
	}
	if r := c.Organizations.Routes[schemas.Table{Schema: "public", Name: "teams"}]; r.Select != "SELECT ${x} FROM changed" {
		t.Errorf("SQL must stay as written, got %q", r.Select)
	}
	if r := c.Organizations.Routes[schemas.Table{Schema: "public", Name: "users"}]; r.Columns["organization_external_id"] != "team_id" {
		t.Errorf("a route by columns: %+v", r)
	}
}

// TestSecretsStaySecret: invariant 8.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	c, err := parse(minimal)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", c.Stytch.Secret, "config", c.Stytch)
	b, err := json.Marshal(c.Stytch)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{log.String(), string(b), fmt.Sprintf("%v %+v %#v %s", c, c, c, c.Ledger)} {
		if strings.Contains(s, "hidden") {
			t.Errorf("a secret shows: %s", s)
		}
	}
}

func TestWhere(t *testing.T) {
	t.Parallel()
	c, err := parse(minimal + `  routes:
    public."teams": {organization_external_id: id}
`)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"name": "acme.yaml:1", "source.tables": "acme.yaml:4", "source.slot": "acme.yaml:2", "organizations.select": "acme.yaml:11",
		"organizations.routes.teams": "acme.yaml:13", "organizations.routes.public.teams": "acme.yaml:13",
		"organizations.routes.users": "acme.yaml:12", "members.select": "acme.yaml", "stytch.secret": "acme.yaml:9",
	} {
		if got := c.Where(path); got != want {
			t.Errorf("Where(%s) = %s, want %s", path, got, want)
		}
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	base := minimal + "members:\n  select: SELECT 1\n  routes: {users: {external_id: id}, teams: SELECT 2}\n"
	digest := func(s string) string {
		c, err := parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return c.Digest()
	}
	want := digest(base)
	for name, same := range map[string]string{
		"again":              base,
		"semicolon":          strings.Replace(base, "SELECT 1\n", "SELECT 1;\n", 1),
		"order of routes":    strings.Replace(base, "{users: {external_id: id}, teams: SELECT 2}", "{teams: SELECT 2, public.users: {external_id: id}}", 1),
		"order of tables":    strings.Replace(base, "[teams, public.users,", "[users, public.teams,", 1),
		"rate":               strings.Replace(base, `"${SECRET}"`, `"${SECRET}", rate_limit: 5/s`, 1),
		"another credential": strings.Replace(base, "${LEDGER}", "postgres://other/x", 1),
		"brake":              base + "deletes: {max_per_hour: 9}\n",
	} {
		if digest(same) != want {
			t.Errorf("%s changes the digest", name)
		}
	}
	for name, other := range map[string]string{
		"select":       strings.Replace(base, "SELECT 1", "SELECT 3", 1),
		"route":        strings.Replace(base, "SELECT 2", "SELECT 3", 1),
		"swept":        strings.Replace(base, "SELECT 2", "sweep", 1),
		"route column": strings.Replace(base, "external_id: id}", "external_id: pk}", 1),
		"tables":       strings.Replace(base, "teams, public.users,", "teams, public.users, more,", 1),
		"verified":     base + "  assume_emails_verified: true\n",
		"prefix":       base + "external_id_prefix: {members: u_}\n",
		"deletes":      base + "deletes: {organizations: apply}\n",
	} {
		if digest(other) == want {
			t.Errorf("%s does not change the digest (hazard C23)", name)
		}
	}
}

// TestDocumented: the documents that are made from the tags are up to date.
func TestDocumented(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"config.schema.json": string(Schema()), "configuration.md": Reference()} {
		path := filepath.Join("..", "..", "docs", name)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("docs/%s is not the format's (%v): go test ./pipeline/config -update", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(minimal)
	f.Add(Example())
	f.Fuzz(func(_ *testing.T, s string) { _, _ = parse(s) })
}
