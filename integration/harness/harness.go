// Package harness runs the built binary against real servers, so that tests can
// kill it and compare what it left behind.
package harness

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/integration/testenv"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// Credentials of the simulator in tests.
const (
	ProjectID = "project-test-11111111-2222-4333-8444-555555555555"
	Secret    = "secret-test-harness"
)

var build struct {
	once sync.Once
	path string
	err  error
}

// Binary builds backstitch once per test process and returns its path.
func Binary(tb testing.TB) string {
	tb.Helper()
	build.once.Do(func() {
		dir, err := os.MkdirTemp("", "backstitch-test-")
		if err != nil {
			build.err = err
			return
		}
		build.path = filepath.Join(dir, "backstitch")
		out, err := exec.Command("go", "build", "-o", build.path, "github.com/backstitch/backstitch").CombinedOutput()
		if err != nil {
			build.err = fmt.Errorf("build backstitch: %w\n%s", err, out)
		}
	})
	if build.err != nil {
		tb.Fatal(build.err)
	}
	return build.path
}

// World is a legacy database, a ledger, a Kafka prefix and a simulator of a
// test's own, and the configuration that joins them.
type World struct {
	Legacy, Ledger string // URLs
	Prefix         string
	Simulator      *simulator.Simulator
	StytchURL      string
	Registry       string // URL
	Brokers        []string
	Config         string // path
	Pool           *pgxpool.Pool
	LedgerPool     *pgxpool.Pool
	options        Options
	dir            string
}

// Options of a World.
type Options struct {
	// Legacy and Ledger are the URLs of empty databases; "": on the shared server.
	Legacy, Ledger string
	// Registry and StytchURL are for Variant: a world makes its own.
	Registry, StytchURL string
	// Schema is the SQL that creates and seeds the legacy system.
	Schema string
	// Tables, Organizations and Members are the YAML of source.tables and of the two
	// mappings' bodies (indented by two).
	Tables, Organizations, Members string
	// More is YAML added at top level.
	More string
	// RateLimit of the pipeline, calls per second; 0: 2,000.
	RateLimit int
	// Simulator options; credentials are set.
	Simulator simulator.Options
	// Brokers; nil: testenv.Kafka.
	Brokers []string
	// Kafka is the YAML of kafka's value in place of brokers and registry, such as
	// " embedded"; Brokers are then none.
	Kafka string
	// ProjectID and Secret that the configuration names; "": the simulator's.
	ProjectID, Secret string
}

// New makes a world.
func New(tb testing.TB, o Options) *World {
	tb.Helper()
	ctx := context.Background()
	w := &World{Legacy: o.Legacy, Ledger: o.Ledger, Prefix: testenv.Name(tb)}
	for _, url := range []*string{&w.Legacy, &w.Ledger} {
		if *url == "" {
			*url = testenv.Postgres(tb)
		}
	}
	w.Pool, w.LedgerPool = pool(tb, w.Legacy), pool(tb, w.Ledger)
	if o.Schema != "" {
		if _, err := w.Pool.Exec(ctx, o.Schema); err != nil {
			tb.Fatalf("create the legacy schema: %v", err)
		}
	}
	if o.ProjectID == "" {
		o.ProjectID = ProjectID
	}
	if o.Secret == "" {
		o.Secret = Secret
	}
	if o.RateLimit == 0 {
		o.RateLimit = 2000
	}
	if w.Brokers = o.Brokers; w.Brokers == nil && o.Kafka == "" {
		w.Brokers = testenv.Kafka(tb)
	}
	w.Registry = testenv.Registry(tb)
	o.Simulator.ProjectID, o.Simulator.Secret = o.ProjectID, o.Secret
	if o.Simulator.Roles == nil {
		o.Simulator.Roles = []string{"admin", "member", "owner"}
	}
	w.Simulator = simulator.New(o.Simulator)
	server := httptest.NewServer(w.Simulator)
	tb.Cleanup(server.Close)
	w.StytchURL = server.URL
	w.options, w.dir = o, tb.TempDir()
	w.Config = w.Variant(tb, "pipeline", func(*Options) {})
	return w
}

// Variant writes another configuration of this world, with options changed, and
// returns its path. Only what stands in the file may be changed: the URLs, the YAML
// fields, RateLimit, ProjectID, Secret and Brokers.
func (w *World) Variant(tb testing.TB, name string, change func(*Options)) string {
	tb.Helper()
	o := w.options
	o.Legacy, o.Ledger, o.Registry, o.StytchURL, o.Brokers = w.Legacy, w.Ledger, w.Registry, w.StytchURL, w.Brokers
	change(&o)
	path := filepath.Join(w.dir, name+".yaml")
	if err := os.WriteFile(path, []byte(w.yaml(o)), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func pool(tb testing.TB, url string) *pgxpool.Pool {
	tb.Helper()
	p, err := pgxpool.New(context.Background(), url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	return p
}

func (w *World) yaml(o Options) string {
	kafka := o.Kafka
	if kafka == "" {
		kafka = fmt.Sprintf("\n  brokers: [%s]\n  registry: %s\n  topics: {prefix: %s, partitions: 3, replication_factor: 1}", strings.Join(o.Brokers, ", "), o.Registry, w.Prefix)
	}
	return fmt.Sprintf(`name: %[1]s
source:
  postgres: %[2]s
  tables: %[3]s
kafka:%[4]s
ledger: %[5]s
stytch: {base_url: %[6]q, project_id: %[7]s, secret: %[8]s, rate_limit: %[9]d/s}
admin: {listen: "127.0.0.1:0"}
organizations:
%[10]s
members:
%[11]s
%[12]s
`, w.Prefix, o.Legacy, o.Tables, kafka, o.Ledger, o.StytchURL, o.ProjectID, o.Secret, o.RateLimit,
		o.Organizations, o.Members, o.More)
}

// Eventually polls a condition until it holds or the limit passes.
func Eventually(tb testing.TB, limit time.Duration, what string, holds func() bool) {
	tb.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			tb.Fatalf("not within %s: %s", limit, what)
		case <-tick.C:
		}
	}
}

// Exec runs SQL on the legacy system.
func (w *World) Exec(tb testing.TB, sql string, args ...any) {
	tb.Helper()
	if _, err := w.Pool.Exec(context.Background(), sql, args...); err != nil {
		tb.Fatalf("legacy system: %v", err)
	}
}

// Tx runs statements in one transaction on the legacy system.
func (w *World) Tx(tb testing.TB, statements ...string) {
	tb.Helper()
	err := pgx.BeginFunc(context.Background(), w.Pool, func(tx pgx.Tx) error {
		for _, sql := range statements {
			if _, err := tx.Exec(context.Background(), sql); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatalf("legacy system: %v", err)
	}
}

// Database is the legacy database's name.
func (w *World) Database() string { return w.Pool.Config().ConnConfig.Database }
