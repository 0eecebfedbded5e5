package admin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/schemas"
)

// described is the OpenAPI document and what was seen of it.
type described struct {
	*testing.T
	doc    *openapi3.T
	router routers.Router
	seen   map[string]bool // METHOD path code
}

func describe(t *testing.T) *described {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openapiYAML)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"text/html", "text/css", "text/javascript", "image/svg+xml"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.PlainBodyDecoder)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &described{t, doc, router, map[string]bool{}}
}

// documented lists METHOD path, or METHOD path code.
func (d *described) documented(codes bool) []string {
	var all []string
	for path, item := range d.doc.Paths.Map() {
		for method, op := range item.Operations() {
			if !codes {
				all = append(all, method+" "+path)
				continue
			}
			for code := range op.Responses.Map() {
				all = append(all, method+" "+path+" "+code)
			}
		}
	}
	slices.Sort(all)
	return all
}

// answer asks a handler and holds what it says against the document.
func (d *described) answer(h http.Handler, e exchange) {
	d.Helper()
	request := func() *http.Request {
		r := httptest.NewRequest(e.method, "http://127.0.0.1:8710"+e.path, strings.NewReader(e.body))
		if e.body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		for k, v := range e.headers {
			r.Header.Set(k, v)
		}
		if host := e.headers["Host"]; host != "" {
			r.Host = host
		}
		return r
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request())
	body := w.Body.Bytes()
	if w.Code != e.code {
		d.Errorf("%s %s: %d %s, want %d", e.method, e.path, w.Code, body, e.code)
		return
	}
	if bytes.Contains(body, []byte("hidden@corp.example")) { // invariant 8
		d.Errorf("%s %s tells an address", e.method, e.path)
	}
	found := request()
	found.Host, found.URL.Host = "127.0.0.1:8710", ""
	route, params, err := d.router.FindRoute(found)
	if err != nil {
		d.Errorf("%s %s: %v", e.method, e.path, err)
		return
	}
	options := &openapi3filter.Options{IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}
	asked := &openapi3filter.RequestValidationInput{Request: found, PathParams: params, Route: route, Options: options}
	if w.Code < 300 {
		if err := openapi3filter.ValidateRequest(context.Background(), asked); err != nil {
			d.Errorf("%s %s: the request that is answered is not as documented: %v", e.method, e.path, err)
		}
	}
	answer := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: asked, Status: w.Code, Header: w.Header(), Body: io.NopCloser(bytes.NewReader(body)), Options: options,
	}
	if err := openapi3filter.ValidateResponse(context.Background(), answer); err != nil {
		d.Errorf("%s %s: %d %s\nis not as documented: %v", e.method, e.path, w.Code, body[:min(len(body), 300)], err)
	}
	code := string('0'+rune(w.Code/100)) + string('0'+rune(w.Code/10%10)) + string('0'+rune(w.Code%10))
	d.seen[e.method+" "+route.Path+" "+code] = true
}

func restOptions(s *shape, pool *pgxpool.Pool) Options {
	ok := func() error { return nil }
	return Options{
		Listen: "127.0.0.1:8710", Version: "v1", Control: s, Metrics: prometheus.NewRegistry(), Ledger: pool, Ready: ok, Live: ok,
		LogLevel: new(slog.LevelVar), Collect: func(context.Context) Status {
			all := running()
			all.Consents = []ledger.Consent{}
			return all
		},
		Applied: func(_ context.Context, lsn schemas.LSN, _ string) (ledger.Progress, error) {
			return ledger.Progress{Evaluated: lsn == 1}, s.err
		},
	}
}

// Every route stands in the document, and every documented one is served.
func TestOpenAPIHasEveryRouteAndNoOther(t *testing.T) {
	t.Parallel()
	d := describe(t)
	o := restOptions(&shape{}, new(pgxpool.Pool)) // asked nothing
	served := routes(o, NewSeries(func() string { return "" }, o.Collect, o.Metrics)).patterns
	for i, pattern := range served {
		served[i] = strings.Replace(pattern, "/{$}", "/", 1)
	}
	slices.Sort(served)
	documented := d.documented(false)
	for _, pattern := range served {
		if !slices.Contains(documented, pattern) {
			t.Errorf("%s is served and not in openapi.yaml", pattern)
		}
	}
	for _, pattern := range documented {
		if !slices.Contains(served, pattern) {
			t.Errorf("%s is in openapi.yaml and not served", pattern)
		}
	}
	if b := openapiJSON(); len(b) == 0 {
		t.Error("the document has no JSON form")
	}
}

// Every documented code of every route is provoked, and what is answered then is as
// the document says.
func TestOpenAPIAnswersAreAsDocumented(t *testing.T) {
	t.Parallel()
	d := describe(t)
	for name, world := range openapiWorlds(t) {
		for _, e := range openapiExchanges[name] {
			d.answer(world, e)
		}
	}
	worlds := openapiWorlds(t)
	for _, operation := range d.documented(true) {
		if e, world := provoke(operation); world != "" {
			d.answer(worlds[world], e)
		}
	}
	documented := d.documented(true)
	for _, code := range documented {
		if !d.seen[code] {
			t.Errorf("%s is documented and was never answered", code)
		}
	}
	if len(documented) != len(d.seen) {
		t.Errorf("answered %d kinds of answers, documented are %d", len(d.seen), len(documented))
	}
}

// openapiWorlds are handlers in the states that answers depend on.
func openapiWorlds(t *testing.T) map[string]http.Handler {
	t.Helper()
	pool := seededLedger(t)
	gone, err := pgxpool.New(t.Context(), pool.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	cluster := ledger.Cluster{
		Instances: []ledger.Instance{{ID: "a:1", Version: "v1"}},
		Tasks: []ledger.Task{
			{Connector: "x-source", State: "RUNNING", Instance: "a:1"},
			{Connector: "x-apply", State: "RUNNING", Instance: "a:1"},
			{Connector: "x-apply", ID: 1, State: "FAILED", Instance: "a:1", Trace: "held: why. fix", Held: true},
		},
	}
	offsets := []Offset{{Partition: map[string]any{"kafka_topic": "x.apply.live", "kafka_partition": 0}, Offset: map[string]any{"kafka_offset": 7}}}
	stopped := cluster
	stopped.Targets = map[string]ledger.ConnectorTarget{"x-apply": {State: ledger.TargetStopped}}
	no := errors.New("it does not answer")
	locked := restOptions(&shape{cluster: cluster}, pool)
	locked.Token = "a-token-of-some-length"
	sick := restOptions(&shape{err: no}, gone)
	sick.Ready = func() error { return no }
	stuck := restOptions(&shape{err: no}, gone)
	stuck.Live = sick.Ready
	all := map[string]http.Handler{}
	for name, o := range map[string]Options{
		"well": restOptions(&shape{cluster: cluster, offsets: offsets}, pool), "stopped": restOptions(&shape{cluster: stopped}, pool),
		"locked": locked, "sick": sick, "stuck": stuck,
	} {
		all[name] = Handler(o)
	}
	return all
}

func TestOpenAPIExchangesNameWorlds(t *testing.T) {
	t.Parallel()
	for _, name := range slices.Collect(maps.Keys(openapiExchanges)) {
		if !slices.Contains([]string{"well", "stopped", "locked", "sick", "stuck"}, name) {
			t.Errorf("there is no world %q", name)
		}
	}
}
