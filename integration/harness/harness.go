// Package harness runs the built binary against real servers, so that tests can
// kill it and compare what it left behind.
package harness

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
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
	Config         string // path
	Pool           *pgxpool.Pool
	LedgerPool     *pgxpool.Pool
}

// Options of a World.
type Options struct {
	// Legacy is the URL of an empty database; "": one on the shared server.
	Legacy string
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
}

// New makes a world.
func New(tb testing.TB, o Options) *World {
	tb.Helper()
	ctx := context.Background()
	w := &World{Legacy: o.Legacy, Ledger: testenv.Postgres(tb), Prefix: testenv.Name(tb)}
	if w.Legacy == "" {
		w.Legacy = testenv.Postgres(tb)
	}
	w.Pool, w.LedgerPool = pool(tb, w.Legacy), pool(tb, w.Ledger)
	if o.Schema != "" {
		if _, err := w.Pool.Exec(ctx, o.Schema); err != nil {
			tb.Fatalf("create the legacy schema: %v", err)
		}
	}
	o.Simulator.ProjectID, o.Simulator.Secret = ProjectID, Secret
	if o.Simulator.Roles == nil {
		o.Simulator.Roles = []string{"admin", "member", "owner"}
	}
	w.Simulator = simulator.New(o.Simulator)
	server := httptest.NewServer(w.Simulator)
	tb.Cleanup(server.Close)
	w.StytchURL = server.URL
	w.Config = filepath.Join(tb.TempDir(), "pipeline.yaml")
	if err := os.WriteFile(w.Config, []byte(w.yaml(tb, o)), 0o600); err != nil {
		tb.Fatal(err)
	}
	return w
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

func (w *World) yaml(tb testing.TB, o Options) string {
	rate := o.RateLimit
	if rate == 0 {
		rate = 2000
	}
	brokers := o.Brokers
	if brokers == nil {
		brokers = testenv.Kafka(tb)
	}
	return fmt.Sprintf(`name: %[1]s
source:
  postgres: %[2]s
  tables: %[3]s
kafka:
  brokers: [%[4]s]
  registry: %[5]s
  topics: {prefix: %[1]s, partitions: 3, replication_factor: 1}
ledger: %[6]s
stytch: {base_url: %[7]q, project_id: %[8]s, secret: %[9]s, rate_limit: %[10]d/s}
admin: {listen: "127.0.0.1:0"}
organizations:
%[11]s
members:
%[12]s
%[13]s
`, w.Prefix, w.Legacy, o.Tables, strings.Join(brokers, ", "), testenv.Registry(tb), w.Ledger, w.StytchURL, ProjectID, Secret, rate,
		o.Organizations, o.Members, o.More)
}

// Process is a running backstitch.
type Process struct {
	cmd  *exec.Cmd
	log  *lockedBuffer
	done chan struct{}
	err  error
}

// Start runs the binary with arguments, in a process that the test can kill.
func (w *World) Start(tb testing.TB, args ...string) *Process {
	tb.Helper()
	p := &Process{cmd: exec.Command(Binary(tb), args...), log: &lockedBuffer{}, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	tb.Cleanup(func() {
		p.Signal(syscall.SIGKILL)
		<-p.done
		if tb.Failed() {
			tb.Logf("backstitch %s:\n%s", strings.Join(args, " "), p.log.Tail(8000))
		}
	})
	return p
}

// Run starts `backstitch run` on the world's configuration.
func (w *World) Run(tb testing.TB, more ...string) *Process {
	tb.Helper()
	return w.Start(tb, append([]string{"run", "-c", w.Config}, more...)...)
}

// Command runs a command to its end and returns its output and exit code.
func (w *World) Command(tb testing.TB, args ...string) (string, int) {
	tb.Helper()
	p := w.Start(tb, args...)
	code := p.Wait(tb, 2*time.Minute)
	return p.log.String(), code
}

// Signal sends a signal; an ended process is not an error.
func (p *Process) Signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// Kill ends the process as a crash would.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.done }

// Wait returns the exit code.
func (p *Process) Wait(tb testing.TB, limit time.Duration) int {
	tb.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		tb.Fatalf("the process did not end within %s", limit)
		return -1
	}
}

// Log is what the process has printed.
func (p *Process) Log() string { return p.log.String() }

// Stop drains the process and returns its exit code.
func (p *Process) Stop(tb testing.TB) int {
	tb.Helper()
	p.Signal(syscall.SIGTERM)
	return p.Wait(tb, time.Minute)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) Tail(n int) string {
	s := l.String()
	return s[max(0, len(s)-n):]
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
