package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/integration/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const (
	schemaA = `{"type":"record","name":"A","fields":[{"name":"x","type":"int"}]}`
	schemaB = `{"type":"record","name":"A","fields":[{"name":"x","type":"string"}]}`
)

// world is a ledger and a registry over it.
type world struct {
	*testing.T
	pool   *pgxpool.Pool
	url    string
	client *sr.Client
}

func start(t *testing.T, dsn string) *world {
	t.Helper()
	if err := ledger.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	pool, err := ledger.Open(t.Context(), dsn, "registry-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	server, err := Start("127.0.0.1:0", pool, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client, err := sr.NewClient(sr.URLs(server.URL()), sr.HTTPClient(&http.Client{Transport: transport, Timeout: time.Minute}))
	if err != nil {
		t.Fatal(err)
	}
	return &world{t, pool, server.URL(), client}
}

func (w *world) register(subject, schema string) int {
	w.Helper()
	id, err := w.client.RegisterSchema(w.Context(), subject, sr.Schema{Schema: schema}, -1, -1)
	if err != nil {
		w.Fatal(err)
	}
	return id
}

// ask is what curl does.
func (w *world) ask(method, path, body string) (int, string) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		w.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		w.Fatal(err)
	}
	return answer.StatusCode, strings.TrimSpace(string(b))
}

func TestIDsStayTheSame(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t)
	first := start(t, dsn)
	a, b := first.register("p.public.users-value", schemaA), first.register("p.public.users-value", schemaB)
	again := start(t, dsn) // another process, the same ledger
	if id := again.register("p.public.users-value", " "+strings.ReplaceAll(schemaA, ",", ", ")); id != a || a == b {
		t.Fatalf("ids %d and %d, and %d for the first one again", a, b, id)
	}
	if id := again.register("p.public.teams-value", schemaB); id != b {
		t.Errorf("the same schema has id %d under another subject, and had %d", id, b)
	}
	if s, err := again.client.SchemaByID(t.Context(), b); err != nil || s.Schema != schemaB || s.Type != sr.TypeAvro {
		t.Errorf("id %d is %+v (%v)", b, s, err)
	}
}

// TestPublicClient: what franz-go's client asks for is served.
func TestPublicClient(t *testing.T) {
	t.Parallel()
	w, ctx := start(t, testenv.Postgres(t)), t.Context()
	a, b := w.register("s", schemaA), w.register("s", schemaB)
	w.register("other", schemaA)
	if subjects, err := w.client.Subjects(ctx); err != nil || !slices.Equal(subjects, []string{"other", "s"}) {
		t.Errorf("subjects %v (%v)", subjects, err)
	}
	if versions, err := w.client.SubjectVersions(ctx, "s"); err != nil || !slices.Equal(versions, []int{1, 2}) {
		t.Errorf("versions %v (%v)", versions, err)
	}
	for version, want := range map[int]int{1: a, 2: b, -1: b} {
		if s, err := w.client.SchemaByVersion(ctx, "s", version); err != nil || s.ID != want {
			t.Errorf("version %d is %+v (%v), want id %d", version, s, err, want)
		}
	}
	if s, err := w.client.LookupSchema(ctx, "s", sr.Schema{Schema: schemaA}); err != nil || s.ID != a || s.Version != 1 {
		t.Errorf("looked up %+v (%v)", s, err)
	}
	if all, err := w.client.AllSchemas(ctx); err != nil || len(all) != 3 {
		t.Errorf("all: %+v (%v)", all, err)
	}
	if s, err := w.client.CreateSchema(ctx, "s", sr.Schema{Schema: schemaB}); err != nil || s.ID != b || s.Version != 2 {
		t.Errorf("created again: %+v (%v)", s, err)
	}
	if subjects, err := w.client.SubjectsByID(ctx, a); err != nil || !slices.Equal(subjects, []string{"other", "s"}) {
		t.Errorf("subjects of an id: %v (%v)", subjects, err)
	}
	if text, err := w.client.SchemaTextByID(ctx, a); err != nil || text != schemaA {
		t.Errorf("text of an id: %q (%v)", text, err)
	}
	if c, err := w.client.CheckCompatibility(ctx, "s", -1, sr.Schema{Schema: schemaA}); err != nil || !c.Is {
		t.Errorf("compatibility: %+v (%v)", c, err)
	}
	for _, r := range w.client.Compatibility(ctx, "s", sr.GlobalSubject) {
		if r.Err != nil || r.Level != sr.CompatNone {
			t.Errorf("level of %q: %v (%v)", r.Subject, r.Level, r.Err)
		}
	}
	if r := w.client.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatBackward}); r[0].Err == nil {
		t.Error("a level was taken that nobody keeps")
	}
	var missing *sr.ResponseError
	if _, err := w.client.SchemaByVersion(ctx, "none", 1); !errors.As(err, &missing) || missing.ErrorCode != sr.ErrSubjectNotFound.Code {
		t.Errorf("a subject that is not there: %v", err)
	}
}

// TestAnswers: codes as Confluent's registry gives them.
func TestAnswers(t *testing.T) {
	t.Parallel()
	w := start(t, testenv.Postgres(t))
	w.register("s", schemaA)
	body := func(schema, more string) string {
		text, err := json.Marshal(schema)
		if err != nil {
			t.Fatal(err)
		}
		return `{"schema":` + string(text) + more + `}`
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/", "", 200, `{}`},
		{"GET", "/config", "", 200, `{"compatibilityLevel":"NONE"}`},
		{"PUT", "/config/s", `{"compatibility":"NONE"}`, 200, `{"compatibility":"NONE"}`},
		{"PUT", "/config", `{"compatibility":"FULL"}`, 422, "42203"},
		{"GET", "/mode", "", 200, `{"mode":"READWRITE"}`},
		{"GET", "/schemas/types", "", 200, `["AVRO"]`},
		{"GET", "/subjects/s/versions/latest/schema", "", 200, schemaA},
		{"GET", "/subjects/s/versions/2", "", 404, "40402"},
		{"GET", "/subjects/s/versions/x", "", 422, "42202"},
		{"GET", "/subjects/t/versions", "", 404, "40401"},
		{"GET", "/schemas/ids/999", "", 404, "40403"},
		{"GET", "/schemas/ids/x", "", 404, "40403"},
		{"GET", "/subjects?subjectPrefix=t", "", 200, `[]`},
		{"POST", "/subjects/s", body(schemaB, ""), 404, "40403"},
		{"POST", "/subjects/s/versions", body(`{"type":"record"}`, ""), 422, "42201"},
		{"POST", "/subjects/s/versions", body(schemaB, `,"schemaType":"JSON"`), 422, "Avro schemas only"},
		{"POST", "/subjects/s/versions", body(schemaB, `,"references":[{"name":"x"}]`), 422, "no references"},
		{"POST", "/subjects/s/versions", "{", 422, "42201"},
		{"POST", "/compatibility/subjects/s/versions/latest", body(schemaB, ""), 200, `{"is_compatible":true}`},
		{"POST", "/compatibility/subjects/t/versions/latest", body(schemaB, ""), 404, "40401"},
		{"DELETE", "/subjects/s", "", 404, "not served"},
		{"GET", "/contexts", "", 404, "not served"},
	} {
		if status, answer := w.ask(c.method, c.path, c.body); status != c.status || !strings.Contains(answer, c.says) {
			t.Errorf("%s %s: %d %s, want %d with %q", c.method, c.path, status, answer, c.status, c.says)
		}
	}
}

// TestRegisteredByManyAtOnce: ids and versions are given once.
func TestRegisteredByManyAtOnce(t *testing.T) {
	t.Parallel()
	w := start(t, testenv.Postgres(t))
	var wg sync.WaitGroup
	ids := make([]int, 8)
	for i := range ids {
		wg.Go(func() {
			schema := []string{schemaA, schemaB}[i%2]
			id, err := ledger.RegisterSchema(t.Context(), w.pool, "s", schema)
			if err != nil {
				t.Error(err)
			}
			ids[i] = id
		})
	}
	wg.Wait()
	for i, id := range ids {
		if id != ids[i%2] || id == 0 {
			t.Errorf("ids differ: %v", ids)
		}
	}
	if _, answer := w.ask("GET", "/subjects/s/versions", ""); answer != "[1,2]" {
		t.Errorf("versions %s", answer)
	}
}

// TestWithoutLedger: who asks is told to ask again.
func TestWithoutLedger(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	pool, err := pgxpool.New(t.Context(), "postgres://nobody@127.0.0.1:1/nothing?connect_timeout=1")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	server, err := Start("127.0.0.1:0", pool, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, url: server.URL()}
	if status, answer := w.ask("GET", "/subjects", ""); status != 500 || !strings.Contains(answer, "50001") {
		t.Errorf("without a ledger: %d %s", status, answer)
	}
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "could not ask the ledger") {
		t.Errorf("log: %s", log.String())
	}
}
