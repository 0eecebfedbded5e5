package preflight

import (
	"cmp"
	"context"
	"flag"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/stytch"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/pipeline/config"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
	"github.com/backstitch/backstitch/schemas/registry"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) { testenv.Main(m) }

const legacySchema = `
CREATE TABLE teams (id int PRIMARY KEY, name text NOT NULL, slug text, deleted_at timestamptz);
CREATE TABLE users (id int PRIMARY KEY, email text, name text, password text, verified boolean NOT NULL DEFAULT true, bio text);
CREATE TABLE members (team_id int, user_id int, role text NOT NULL, PRIMARY KEY (team_id, user_id));
INSERT INTO teams VALUES (1, 'One', 'one', NULL), (2, 'Two', 'two', NULL), (3, 'Gone', 'gone', now());
INSERT INTO users VALUES
  (1, 'ann@example.com', 'Ann', '$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e'),
  (2, 'bob@example.com', 'Bob', NULL), (3, 'eve@example.com', 'Eve', NULL);
INSERT INTO members VALUES (1, 1, 'admin'), (1, 2, 'member'), (2, 1, 'member');
`

const template = `name: acme
source:
  postgres: ${SOURCE}
  tables: [teams, users, members]
kafka:
  brokers: ["${BROKERS}"]
  registry: ${REGISTRY}
  topics: {prefix: "${PREFIX}", partitions: 3, replication_factor: 1}
ledger: ${LEDGER}
stytch: {base_url: "${STYTCH}", project_id: project-test-1, secret: secret-1, rate_limit: 60/s}
organizations:
  select: SELECT id AS organization_external_id, name AS organization_name, slug AS organization_slug FROM teams WHERE deleted_at IS NULL
  routes:
    teams: {organization_external_id: id}
members:
  select: |
    SELECT m.team_id AS organization_external_id, u.id AS external_id, u.email AS email_address, u.name,
           ARRAY[m.role] AS roles, u.password AS password_hash, u.verified AS email_verified
    FROM members m JOIN users u ON u.id = m.user_id -- a comment at the end
  routes:
    users: {external_id: id}
    members: {organization_external_id: team_id, external_id: user_id}
`

// bundle is a legacy system, a ledger and everything else that a check looks at.
type bundle struct {
	*testing.T
	environment map[string]string
	admin       *pgx.Conn // on the legacy database
	yaml        string
	deps        Deps
}

func newBundle(t *testing.T) *bundle { return newBundleOn(t, testenv.Postgres(t), testenv.Postgres(t)) }

func newBundleOn(t *testing.T, source, ledgerURL string) *bundle {
	t.Helper()
	server := httptest.NewServer(simulator.New(simulator.Options{ProjectID: "project-test-1", Secret: "secret-1", Roles: []string{"admin", "member"}}))
	t.Cleanup(server.Close)
	b := &bundle{T: t, yaml: template, environment: map[string]string{
		"SOURCE": source, "LEDGER": ledgerURL, "BROKERS": strings.Join(testenv.EmbeddedKafka(t), ","),
		"REGISTRY": testenv.Registry(t), "STYTCH": server.URL, "PREFIX": testenv.Name(t),
	}}
	b.admin = connect(t, source)
	b.exec(legacySchema)
	return b
}

// as makes the check connect to the source, or the ledger, as a role of its own
// that may log in and nothing else.
func (b *bundle) as(name string) string {
	b.Helper()
	role := testenv.Name(b)
	b.exec("CREATE ROLE " + role + " LOGIN PASSWORD 'hidden'")
	b.Cleanup(func() {
		for _, sql := range []string{"DROP OWNED BY " + role, "DROP ROLE " + role} {
			if _, err := b.admin.Exec(context.Background(), sql); err != nil {
				b.Log(err)
			}
		}
	})
	u, err := url.Parse(b.environment[name])
	if err != nil {
		b.Fatal(err)
	}
	u.User = url.UserPassword(role, "hidden")
	b.environment[name] = u.String()
	return role
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func (b *bundle) exec(sql string, args ...any) {
	b.Helper()
	if _, err := b.admin.Exec(context.Background(), sql, args...); err != nil {
		b.Fatal(err)
	}
}

// replace changes the configuration.
func (b *bundle) replace(old, new string) {
	b.Helper()
	if !strings.Contains(b.yaml, old) {
		b.Fatalf("the configuration has no %q", old)
	}
	b.yaml = strings.Replace(b.yaml, old, new, 1)
}

func (b *bundle) config() *config.Config {
	b.Helper()
	cfg, err := config.Parse("acme.yaml", []byte(b.yaml), func(name string) (string, bool) {
		v, ok := b.environment[name]
		return v, ok
	})
	if err != nil {
		b.Fatal(err)
	}
	return cfg
}

func (b *bundle) check() *Report {
	b.Helper()
	cfg := b.config()
	source, err := pgx.ParseConfig(cfg.Source.Postgres.Reveal())
	if err != nil {
		b.Fatal(err)
	}
	led, err := ledger.ConnConfig(cfg.Ledger.Reveal(), cfg.Name)
	if err != nil {
		b.Fatal(err)
	}
	reg, err := registry.New(cmp.Or(cfg.Kafka.Registry, b.environment["REGISTRY"])) // none with the embedded broker
	if err != nil {
		b.Fatal(err)
	}
	client := stytch.New(stytch.Options{BaseURL: cfg.Stytch.BaseURL, ProjectID: cfg.Stytch.ProjectID, Secret: cfg.Stytch.Secret.Reveal()})
	b.Cleanup(client.Close)
	deps := b.deps
	deps.Source, deps.Ledger, deps.Registry, deps.Stytch = source, led, reg, client
	deps.Kafka = []kgo.Opt{kgo.SeedBrokers(strings.Split(b.environment["BROKERS"], ",")...)}
	if deps.Patience == 0 {
		deps.Patience = 5 * time.Second
	}
	return Check(context.Background(), cfg, deps)
}

// found returns the findings of a code.
func (r *Report) found(code string) []Finding {
	var out []Finding
	for _, f := range r.Findings {
		if f.Code == code {
			out = append(out, f)
		}
	}
	return out
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test ./pipeline/preflight -update writes it):\n%s", path, got)
	}
}
