package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/stytch"
	"github.com/backstitch/backstitch/integration/testenv"
	sim "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const (
	testProject = "project-test-verify"
	testSecret  = "secret-test-verify"
)

// world is a ledger and a simulated Stytch of a test's own, both written by the test.
type world struct {
	t      testing.TB
	pool   *pgxpool.Pool
	sim    *sim.Simulator
	client *stytch.Client
}

func newWorld(t testing.TB, o sim.Options) *world {
	t.Helper()
	ctx := context.Background()
	dsn := testenv.Postgres(t)
	if err := ledger.Migrate(ctx, dsn); err != nil {
		t.Fatal(err)
	}
	pool, err := ledger.Open(ctx, dsn, "verify-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	o.ProjectID, o.Secret, o.Roles = testProject, testSecret, []string{"admin"}
	if o.SearchLimit == 0 {
		o.SearchLimit = -1
	}
	w := &world{t: t, pool: pool, sim: sim.New(o)}
	server := httptest.NewServer(w.sim)
	t.Cleanup(server.Close)
	w.client = stytch.New(stytch.Options{BaseURL: server.URL, ProjectID: testProject, Secret: testSecret})
	t.Cleanup(w.client.Close)
	w.exec(`INSERT INTO backstitch.identity (name, prefix, project_id, digest) VALUES ('test', 'test', $1, 'the digest')`, testProject)
	w.exec(`INSERT INTO backstitch.transform (prefix, evaluated_commit_lsn, evaluated_end_lsn) VALUES ('test', 4096, 4200)`)
	return w
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.pool.Exec(context.Background(), sql, args...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// organization makes one on both sides, and returns its Stytch id.
func (w *world) organization(key string) string {
	w.t.Helper()
	o, err := w.sim.Behind().CreateOrganization(map[string]any{
		"organization_name": "Organization " + key, "organization_slug": "org-" + key, "organization_external_id": key,
	})
	w.must(err)
	w.entity(consumers.Organization, key, key, o.OrganizationID, map[string]any{"organization_name": "Organization " + key})
	return o.OrganizationID
}

// member makes one on both sides, and returns its Stytch id.
func (w *world) member(org, orgID, key string) string {
	w.t.Helper()
	email := fmt.Sprintf("member%s@corp.example", key)
	m, err := w.sim.Behind().CreateMember(orgID, map[string]any{"email_address": email, "external_id": key})
	w.must(err)
	w.entity(consumers.Member, org, key, m.MemberID, map[string]any{"email_address": email})
	return m.MemberID
}

// entity writes one that is applied.
func (w *world) entity(kind consumers.Kind, org, key, id string, desired map[string]any) {
	w.t.Helper()
	raw, err := json.Marshal(desired)
	w.must(err)
	w.exec(`INSERT INTO backstitch.entities (kind, org_key, key, partition, lane, revision, tried_revision, desired, stytch_id, status)
		VALUES ($1, $2, $3, 0, 'backfill', 1, 1, $4, $5, 'current')`, string(kind), org, key, string(raw), id)
}

func (w *world) verifier(edit func(*Config, *Deps)) *Verifier {
	w.t.Helper()
	cfg := Config{Pipeline: "test", ProjectID: testProject, RateLimit: 5000, Timeout: 2 * time.Second, By: "test"}
	deps := Deps{Ledger: w.pool, Client: w.client}
	if edit != nil {
		edit(&cfg, &deps)
	}
	v, err := New(cfg, deps)
	w.must(err)
	v.pace.searches = 5000
	return v
}

func (w *world) run(v *Verifier) *Report {
	w.t.Helper()
	r, err := v.Run(context.Background())
	w.must(err)
	return r
}
