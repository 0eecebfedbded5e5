package integration_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/pipeline/rehearsal/report"
)

// canary stands in every value of the legacy system that no report may show.
const canary = "canary"

// rehearsing is a legacy system with traps, a configuration whose Kafka and ledger are
// nowhere, and a Stytch that writes down what it is asked.
type rehearsing struct {
	url    string
	pool   *pgxpool.Pool
	config string
	dir    string // of reports
	tmp    string // TMPDIR of its processes
	env    []string

	mu    sync.Mutex
	asked []string
}

const policy = `{"status_code": 200, "policy": {"roles": [{"role_id": "stytch_member"}, {"role_id": "stytch_admin"}, {"role_id": "owner"}, {"role_id": "member"}]}}`

func newRehearsing(t *testing.T) *rehearsing {
	t.Helper()
	return newRehearsingOn(t, testenv.Postgres(t))
}

func newRehearsingOn(t *testing.T, url string) *rehearsing {
	t.Helper()
	w := &rehearsing{url: url, dir: t.TempDir()}
	var err error
	if w.pool, err = pgxpool.New(t.Context(), w.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.pool.Close)
	w.exec(t, read(t, "testdata/rehearse/legacy.sql"))
	reader := w.reader(t)
	// Not t.TempDir: as root, another user has to reach the ledger's directory.
	if w.tmp, err = os.MkdirTemp("", "rehearse-test-"); err == nil {
		err = os.Chmod(w.tmp, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(w.tmp) })
	stytch := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.asked = append(w.asked, r.Method+" "+r.URL.Path)
		w.mu.Unlock()
		_, _ = out.Write([]byte(policy))
	}))
	t.Cleanup(stytch.Close)
	w.env = append(os.Environ(), "TMPDIR="+w.tmp, "LEGACY_DATABASE_URL="+reader, "STYTCH_URL="+stytch.URL, "STYTCH_SECRET=secret-"+canary)
	w.config = w.mapping(t, "mapping", func(s string) string { return s })
	return w
}

// reader is the URL of a role that may read and replicate, and nothing else.
func (w *rehearsing) reader(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(w.url)
	if err != nil {
		t.Fatal(err)
	}
	name := "reader_" + strings.TrimPrefix(u.Path, "/")
	w.exec(t, fmt.Sprintf("CREATE ROLE %s LOGIN REPLICATION PASSWORD 'reader'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO %[1]s", name))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := w.pool.Exec(ctx, fmt.Sprintf("DROP OWNED BY %s; DROP ROLE %[1]s", name)); err != nil {
			t.Error(err)
		}
	})
	u.User = url.UserPassword(name, "reader")
	return u.String()
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// mapping writes a configuration with an edited mapping.
func (w *rehearsing) mapping(t *testing.T, name string, edit func(string) string) string {
	t.Helper()
	path := filepath.Join(w.dir, name+".yaml")
	if err := os.WriteFile(path, []byte(edit(read(t, "testdata/rehearse/mapping.yaml"))), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (w *rehearsing) exec(t *testing.T, sql string) {
	t.Helper()
	if _, err := w.pool.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func (w *rehearsing) start(t *testing.T, config string, args ...string) *harness.Process {
	t.Helper()
	cmd := exec.Command(harness.Binary(t), append([]string{"rehearse", "-c", config}, args...)...)
	cmd.Env = w.env
	return harness.Launch(t, cmd)
}

// rehearse runs to the end and returns what was reported.
func (w *rehearsing) rehearse(t *testing.T, want int, config, name string, args ...string) *report.Report {
	t.Helper()
	json, html := filepath.Join(w.dir, name+".json"), filepath.Join(w.dir, name+".html")
	p := w.start(t, config, append([]string{"--json", json, "--report", html}, args...)...)
	if code := p.Wait(t, 3*time.Minute); code != want {
		t.Fatalf("it exits with %d, want %d:\n%s", code, want, p.Log())
	}
	for what, text := range map[string]string{"the JSON report": read(t, json), "the page": read(t, html), "the output": p.Log()} {
		if strings.Contains(strings.ToLower(text), canary) { // invariant 8
			t.Errorf("%s shows a value", what)
		}
	}
	r, err := report.Read(json)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// left are the directories of rehearsals.
func (w *rehearsing) left(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(w.tmp, "backstitch-*"))
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// slots are the replication slots of the legacy database.
func (w *rehearsing) slots(t *testing.T) (n int) {
	t.Helper()
	if err := w.pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func (w *rehearsing) noSlot(t *testing.T) {
	t.Helper()
	harness.Eventually(t, 2*time.Minute, "the slot to go", func() bool { return w.slots(t) == 0 })
}

// traces is what somebody could have written into the legacy database: its catalogue,
// the writes that the server counted, and the rows themselves.
func traces(t *testing.T, pool *pgxpool.Pool) string {
	t.Helper()
	var s string
	err := pool.QueryRow(context.Background(), `SELECT concat_ws(' | ',
		(SELECT string_agg(slot_name, ' ' ORDER BY slot_name) FROM pg_replication_slots WHERE database = current_database()),
		(SELECT string_agg(pubname, ' ' ORDER BY pubname) FROM pg_publication),
		(SELECT string_agg(concat(oid, relname, relkind), ' ' ORDER BY oid) FROM pg_class),
		(SELECT string_agg(nspname, ' ' ORDER BY nspname) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'),
		(SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_type),
		(SELECT string_agg(concat_ws(' ', relname, n_tup_ins, n_tup_upd, n_tup_del), ', ' ORDER BY relid) FROM pg_stat_user_tables))`).Scan(&s)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// settled is traces once the server has counted what was written.
func settled(t *testing.T, pool *pgxpool.Pool) (s string) {
	t.Helper()
	harness.Eventually(t, time.Minute, "the server's statistics to rest", func() bool {
		former := s
		if _, err := pool.Exec(t.Context(), "SELECT pg_stat_force_next_flush()"); err != nil {
			t.Fatal(err)
		}
		s = traces(t, pool)
		return s == former
	})
	return s
}

func find(r *report.Report, class report.Class, kind string) *report.Finding {
	i := slices.IndexFunc(r.Findings, func(f report.Finding) bool { return f.Class == class && (kind == "" || string(f.Kind) == kind) })
	if i < 0 {
		return &report.Finding{}
	}
	return &r.Findings[i]
}
