package discover_test

import (
	"bytes"
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
	"github.com/backstitch/backstitch/pipeline/discover"
	"github.com/backstitch/backstitch/pipeline/preflight"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
	"github.com/backstitch/backstitch/schemas/registry"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) { testenv.Main(m) }

// bundle is a legacy database with a schema of testdata, and what is proposed for it.
type bundle struct {
	*testing.T
	source string // URL of a superuser
	admin  *pgx.Conn
	role   string
	*discover.Proposal
	yaml, reasons, setup string
}

func newBundle(t *testing.T, schema string) *bundle {
	t.Helper()
	b := &bundle{T: t, source: testenv.Postgres(t), role: testenv.Name(t)}
	b.admin = connect(t, b.source)
	b.exec(schema)
	b.exec("ANALYZE")
	return b
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

func read(t *testing.T, name string) string {
	t.Helper()
	sql, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(sql)
}

func (b *bundle) exec(sql string) {
	b.Helper()
	if _, err := b.admin.PgConn().Exec(context.Background(), sql).ReadAll(); err != nil {
		b.Fatal(err)
	}
}

// until waits until a query answers true.
func (b *bundle) until(sql string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for ok := false; !ok; {
		if err := b.admin.QueryRow(ctx, sql).Scan(&ok); err != nil {
			b.Fatal(err)
		}
	}
}

// discover runs it, as the superuser or as who is given.
func (b *bundle) discover(source string, o discover.Options) {
	b.Helper()
	config, err := pgx.ParseConfig(source)
	if err != nil {
		b.Fatal(err)
	}
	o.Name, o.Role = "acme", b.role
	b.Proposal, err = discover.Discover(context.Background(), config, o)
	if err != nil {
		b.Fatal(err)
	}
	var yaml, reasons, setup bytes.Buffer
	for _, err := range []error{b.YAML(&yaml), b.Reasons(&reasons), b.Next(&reasons, "setup.sql"), b.Setup(&setup)} {
		if err != nil {
			b.Fatal(err)
		}
	}
	b.yaml, b.reasons, b.setup = yaml.String(), reasons.String(), setup.String()
}

// normalise replaces what differs from run to run.
func (b *bundle) normalise(s string) string {
	s = strings.ReplaceAll(s, b.role, "backstitch")
	return strings.ReplaceAll(s, b.Database, "legacy")
}

func (b *bundle) golden(name, got string) {
	b.Helper()
	got = b.normalise(got)
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	if want := read(b.T, name); got != want {
		b.Errorf("%s differs (go test ./pipeline/discover -update writes it):\n%s", path, got)
	}
}

// runSetup makes the role and the publication, as setup.sql does.
func (b *bundle) runSetup() {
	b.Helper()
	b.exec(b.setup)
	b.exec("ALTER ROLE " + b.role + " PASSWORD 'hidden'")
	b.Cleanup(func() { b.exec("DROP OWNED BY " + b.role + "; DROP ROLE " + b.role) })
}

// as is the source's URL for the role of setup.sql.
func (b *bundle) as() string {
	b.Helper()
	u, err := url.Parse(b.source)
	if err != nil {
		b.Fatal(err)
	}
	u.User = url.UserPassword(b.role, "hidden")
	return u.String()
}

// parse reads a proposed file as every command does, in an environment that has what
// it names: a Kafka, a registry, a ledger and a Stytch project with the roles.
func (b *bundle) parse(yaml string) (*config.Config, error) {
	b.Helper()
	server := httptest.NewServer(simulator.New(simulator.Options{ProjectID: "project-test-1", Secret: "secret-1", Roles: b.Roles}))
	b.Cleanup(server.Close)
	environment := map[string]string{
		"LEGACY_DATABASE_URL": b.as(), "LEDGER_DATABASE_URL": testenv.Postgres(b.T), "KAFKA_BROKERS": strings.Join(testenv.EmbeddedKafka(b.T), ","),
		"SCHEMA_REGISTRY_URL": testenv.Registry(b.T), "STYTCH_PROJECT_ID": "project-test-1", "STYTCH_SECRET": "secret-1",
	}
	for old, new := range map[string]string{ // one broker, and a simulator
		"# topics: {partitions: 12, replication_factor: 3}": "topics: {partitions: 2, replication_factor: 1, prefix: " + b.role + "}",
		"  rate_limit: 60/s": "  rate_limit: 60/s\n  base_url: " + server.URL,
	} {
		if !strings.Contains(yaml, old) {
			b.Fatalf("the file lacks %q", old)
		}
		yaml = strings.Replace(yaml, old, new, 1)
	}
	yaml = strings.Replace(yaml, "  create_publication:", "  publication: backstitch_acme\n  create_publication:", 1)
	return config.Parse("acme.yaml", []byte(yaml), func(name string) (string, bool) { v, ok := environment[name]; return v, ok })
}

// check is the pre-flight of a configuration.
func (b *bundle) check(cfg *config.Config) *preflight.Report {
	b.Helper()
	source, err := pgx.ParseConfig(cfg.Source.Postgres.Reveal())
	if err != nil {
		b.Fatal(err)
	}
	led, err := ledger.ConnConfig(cfg.Ledger.Reveal(), cfg.Name)
	if err != nil {
		b.Fatal(err)
	}
	reg, err := registry.New(cfg.Kafka.Registry)
	if err != nil {
		b.Fatal(err)
	}
	client := stytch.New(stytch.Options{BaseURL: cfg.Stytch.BaseURL, ProjectID: cfg.Stytch.ProjectID, Secret: cfg.Stytch.Secret.Reveal()})
	b.Cleanup(client.Close)
	return preflight.Check(context.Background(), cfg, preflight.Deps{
		Source: source, Ledger: led, Registry: reg, Stytch: client, Patience: 30 * time.Second,
		Kafka: []kgo.Opt{kgo.SeedBrokers(cfg.Kafka.Brokers...)},
	})
}
