package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/stytch"
	"github.com/backstitch/backstitch/integration/testenv"
	sim "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/avro"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/crypto/bcrypt"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const (
	testProject = "project-test-apply"
	testSecret  = "secret-test-apply"
)

// world is a ledger, a Kafka and a simulated Stytch of a test's own, and what the
// test says every entity should be.
type world struct {
	t        *testing.T
	pool     *pgxpool.Pool
	sim      *sim.Simulator
	server   *httptest.Server
	client   *stytch.Client
	brokers  []kgo.Opt
	producer *kgo.Client
	cfg      Config
	desired  map[consumers.Key]map[string]any
	revision atomic.Int64
	// overtaken says that an instance may end because another one took its leases.
	overtaken bool
}

type options struct {
	sim       sim.Options
	cfg       func(*Config)
	realKafka bool
}

func newWorld(t *testing.T, o options) *world {
	t.Helper()
	ctx := context.Background()
	dsn := testenv.Postgres(t)
	if err := ledger.Migrate(ctx, dsn); err != nil {
		t.Fatal(err)
	}
	pool, err := ledger.Open(ctx, dsn, "apply-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	o.sim.ProjectID, o.sim.Secret = testProject, testSecret
	if o.sim.Roles == nil {
		o.sim.Roles = []string{"admin", "member"}
	}
	w := &world{t: t, pool: pool, sim: sim.New(o.sim), desired: map[consumers.Key]map[string]any{}}
	w.server = httptest.NewServer(w.sim)
	t.Cleanup(w.server.Close)
	w.client = stytch.New(stytch.Options{BaseURL: w.server.URL, ProjectID: testProject, Secret: testSecret, MaxConns: 128})
	t.Cleanup(w.client.Close)
	name := testenv.Name(t)
	addresses := testenv.EmbeddedKafka
	if o.realKafka {
		addresses = testenv.Kafka
	}
	w.brokers = []kgo.Opt{kgo.SeedBrokers(addresses(t)...), kgo.MetadataMinAge(100 * time.Millisecond)}
	w.producer, err = kgo.NewClient(append(slices.Clone(w.brokers), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.producer.Close)
	w.cfg = Config{
		Name: name, Prefix: name, Partitions: 4, ProjectID: testProject, RateLimit: 2000, Workers: 16,
		CallTimeout: 500 * time.Millisecond, Settle: 300 * time.Millisecond, DuePoll: 50 * time.Millisecond,
		Deletes:   consumers.Deletes{Members: consumers.DeleteApply, Organizations: consumers.DeleteApply, MaxPerHour: 1000},
		DigestKey: []byte("test key"), TemporaryEmailDomain: "temp.example.com",
	}
	if o.cfg != nil {
		o.cfg(&w.cfg)
	}
	for _, lane := range lanes {
		if _, err := kadm.NewClient(w.producer).CreateTopic(ctx, int32(w.cfg.Partitions), 1, nil, schemas.ApplyTopic(name, lane)); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// start runs an instance; it is stopped with the test, and must end without error
// unless the test stops it itself.
func (w *world) start(edit ...func(*Config, *Deps)) *Apply {
	w.t.Helper()
	cfg := w.cfg
	deps := Deps{Ledger: w.pool, Client: w.client, Kafka: w.brokers}
	if os.Getenv("APPLY_TEST_LOG") != "" {
		deps.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	for _, e := range edit {
		e(&cfg, &deps)
	}
	a, err := New(cfg, deps)
	if err != nil {
		w.t.Fatal(err)
	}
	a.Start(context.Background())
	w.t.Cleanup(func() {
		if err := w.stop(a); err != nil && !w.t.Failed() {
			w.t.Errorf("the connector ended with %v", err)
		}
	})
	return a
}

func (w *world) stop(a *Apply) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err := a.Stop(ctx)
	if _, held := asHeld(err); held {
		return nil // the tests that expect one look themselves
	}
	if w.overtaken && errors.Is(err, errTaken) {
		return nil
	}
	return err
}

func org(key string) consumers.Key {
	return consumers.Key{Kind: consumers.Organization, Organization: key, Entity: key}
}

func member(orgKey, key string) consumers.Key {
	return consumers.Key{Kind: consumers.Member, Organization: orgKey, Entity: key}
}

// orgState and memberState are desired states as transform stores them.
func orgState(key string, more ...any) map[string]any {
	return with(map[string]any{"organization_name": "Name " + key, "organization_slug": "slug-" + key, "trusted_metadata": map[string]any{"plan": "pro"}}, more)
}

func memberState(email string, more ...any) map[string]any {
	return with(map[string]any{"email_address": email, "name": "Name of " + strings.ToLower(strings.TrimSpace(email)), "roles": []any{"member"}, "email_verified": true}, more)
}

func with(m map[string]any, more []any) map[string]any {
	for i := 0; i < len(more); i += 2 {
		m[more[i].(string)] = more[i+1]
	}
	return m
}

// want stores an entity's next desired state (nil: gone) and announces it.
func (w *world) want(k consumers.Key, desired map[string]any) {
	w.t.Helper()
	w.announce(k, w.store(k, desired, true, schemas.LaneLive), schemas.LaneLive)
}

// store is transform's part of the ledger: a new revision, not announced yet.
func (w *world) store(k consumers.Key, desired map[string]any, earned bool, lane schemas.Lane) int64 {
	w.t.Helper()
	revision := w.revision.Add(1)
	var raw []byte
	if desired != nil {
		var err error
		if raw, err = json.Marshal(desired); err != nil {
			w.t.Fatal(err)
		}
	}
	w.desired[k] = desired
	w.exec(`INSERT INTO backstitch.entities (kind, org_key, key, partition, lane, revision, desired, earned, commit_lsn, committed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $6, now())
		ON CONFLICT (kind, org_key, key) DO UPDATE SET revision = $6, desired = $7, earned = $8, lane = $5, status = 'pending', reason = NULL,
		  consent_id = NULL, commit_lsn = $6, committed_at = now()`,
		k.Kind, k.Organization, k.Entity, schemas.Partition([]byte(k.Organization), w.cfg.Partitions), lane, revision, raw, earned)
	return revision
}

func (w *world) announce(k consumers.Key, revision int64, lane schemas.Lane) {
	w.t.Helper()
	wake := schemas.Wake{Kind: string(k.Kind), Organization: k.Organization, Entity: k.Entity, Revision: revision, Reason: "change", CommitTime: time.Now()}
	err := w.producer.ProduceSync(context.Background(), &kgo.Record{
		Topic: schemas.ApplyTopic(w.cfg.Prefix, lane), Partition: schemas.Partition([]byte(k.Organization), w.cfg.Partitions),
		Key: []byte(wake.Key()), Value: avro.AppendWake(nil, 1, wake),
	}).FirstErr()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.pool.Exec(context.Background(), sql, args...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) count(sql string, args ...any) (n int64) {
	w.t.Helper()
	if err := w.pool.QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// eventually polls until ok, or fails the test with what it last said.
func (w *world) eventually(what string, ok func() (bool, string)) {
	w.t.Helper()
	deadline := time.Now().Add(40 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		done, said := ok()
		if done {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not in time: %s", what, said)
		}
		<-tick.C
	}
}

// settled waits until no entity waits for its turn.
func (w *world) settled() {
	w.t.Helper()
	w.eventually("every entity has had its turn", func() (bool, string) {
		rows, err := w.pool.Query(context.Background(), `SELECT kind || ' ' || org_key || ' ' || key || ' ' || status || ' ' || coalesce(reason, '') || ' ' || coalesce(detail, '') || ' ' || revision || '/' || tried_revision
			FROM backstitch.entities WHERE status IN ('pending', 'deferred') OR revision > tried_revision OR due_at <= now() LIMIT 5`)
		if err != nil {
			return false, err.Error()
		}
		defer rows.Close()
		var waiting []string
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				return false, err.Error()
			}
			waiting = append(waiting, s)
		}
		return len(waiting) == 0, strings.Join(waiting, "; ")
	})
}

// status is an entity's status and reason.
func (w *world) status(k consumers.Key) string {
	w.t.Helper()
	var s string
	err := w.pool.QueryRow(context.Background(), `SELECT status || coalesce(' ' || reason, '') FROM backstitch.entities WHERE (kind, org_key, key) = ($1, $2, $3)`,
		k.Kind, k.Organization, k.Entity).Scan(&s)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) wantStatus(k consumers.Key, want string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%v is %s", k, want), func() (bool, string) { s := w.status(k); return s == want, s })
}

// orgs are the simulator's live organizations by external id, each with its live members.
func (w *world) orgs() map[string]sim.OrganizationState {
	out := map[string]sim.OrganizationState{}
	for o := range w.sim.Dump() {
		if o.Deleted {
			continue
		}
		o.Members = slices.DeleteFunc(o.Members, func(m sim.MemberState) bool { return m.Member.Status == sim.StatusDeleted })
		out[firstGeneration(o.Organization.OrganizationExternalID)] = o
	}
	return out
}

// member finds a live member of the simulator; nil when there is none.
func (w *world) member(orgKey, key string) *sim.MemberState {
	for _, m := range w.orgs()[orgKey].Members {
		if firstGeneration(m.Member.ExternalID) == key {
			return &m
		}
	}
	return nil
}

var hashes = func() (list []string) {
	for i := range 8 {
		h, err := bcrypt.GenerateFromPassword(fmt.Appendf(nil, "password-%d", i), bcrypt.MinCost)
		if err != nil {
			panic(err)
		}
		list = append(list, string(h))
	}
	return list
}()

// writes are the calls since seq that change something.
func (w *world) writes(seq uint64) []sim.Entry {
	return slices.DeleteFunc(w.sim.Journal(sim.Filter{After: seq}), func(e sim.Entry) bool { return e.Method == "GET" || strings.HasSuffix(string(e.Endpoint), "search") })
}

func endpoints(entries []sim.Entry) []string {
	list := []string{}
	for _, e := range entries {
		list = append(list, string(e.Endpoint))
	}
	return list
}
