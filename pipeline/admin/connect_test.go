package admin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backstitch/backstitch/consumers/ledger"
)

// shape is a cluster whose answers a test chooses; what the real one answers is
// tested on running instances (integration).
type shape struct {
	cluster ledger.Cluster
	offsets []Offset
	set     []string
	err     error // of every question
	// known offsets; nil: all are.
	known func(topic string, partition int32, at int64) bool
}

func (s *shape) Names() []string { return []string{"x-source", "x-transform", "x-apply"} }

func (s *shape) Config(name string) map[string]string {
	return map[string]string{"name": name, "connector.class": "backstitch." + name[strings.LastIndex(name, "-")+1:], "ledger": Masked}
}
func (s *shape) Topics(name string) []string { return []string{"x.public.users"} }
func (s *shape) TaskIDs(name string) int {
	if name == "x-apply" {
		return 2
	}
	return 1
}
func (s *shape) Cluster(context.Context) (ledger.Cluster, error) { return s.cluster, s.err }
func (s *shape) SetTarget(_ context.Context, name string, target ledger.Target) error {
	s.set = append(s.set, name+" "+string(target))
	return s.err
}

func (s *shape) Restart(_ context.Context, name string, failedOnly bool) error {
	s.set = append(s.set, name+" restart")
	if failedOnly {
		s.set[len(s.set)-1] += " failed"
	}
	return s.err
}

func (s *shape) Offsets(context.Context, string) ([]Offset, error) {
	return append([]Offset{}, s.offsets...), s.err
}

func (s *shape) Alterable(name string) error {
	if name == "x-source" {
		return ErrNotAltered
	}
	return nil
}

func (s *shape) AlterOffsets(ctx context.Context, name string, offsets map[string]map[int32]int64) error {
	for topic, partitions := range offsets {
		for partition, at := range partitions {
			if s.known != nil && !s.known(topic, partition, at) {
				return ErrBadOffsets
			}
		}
	}
	return s.ResetOffsets(ctx, name)
}

func (s *shape) ResetOffsets(_ context.Context, name string) error {
	switch {
	case s.err != nil:
		return s.err
	case name == "x-source":
		return ErrNotAltered
	case s.cluster.Targets[name].State != ledger.TargetStopped:
		return ErrNotStopped
	}
	return nil
}

func (s *shape) ClusterID(context.Context) (string, error) { return "cluster", s.err }

func serve(t *testing.T, s *shape, token string) *httptest.Server {
	t.Helper()
	ok := func() error { return nil }
	server := httptest.NewServer(Handler(Options{
		Token: token, Version: "v", Control: s, Metrics: prometheus.NewRegistry(), Ready: ok, Live: ok,
		Collect: func(context.Context) Status { return Status{} },
	}))
	t.Cleanup(server.Close)
	return server
}

func ask(t *testing.T, server *httptest.Server, method, path string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// Kafka Connect's paths, codes and bodies.
func TestConnectShape(t *testing.T) {
	t.Parallel()
	s := &shape{cluster: ledger.Cluster{
		Targets: map[string]ledger.ConnectorTarget{"x-source": {State: ledger.TargetStopped}, "x-transform": {State: ledger.TargetPaused}},
		Tasks: []ledger.Task{
			{Connector: "x-transform", State: "PAUSED", Instance: "a:1"},
			{Connector: "x-apply", ID: 1, State: "FAILED", Instance: "b:1", Trace: "held: why. fix"},
		},
	}}
	server := serve(t, s, "")
	for _, c := range []struct {
		method, path string
		code         int
		body         string
	}{
		{"GET", "/", 200, `{"commit":"v","kafka_cluster_id":"cluster","version":"4.4.0"}`},
		{"GET", "/connectors", 200, `["x-source","x-transform","x-apply"]`},
		{"GET", "/connectors/x-source", 200, `{"name":"x-source","config":{"connector.class":"backstitch.source","ledger":"********","name":"x-source"},"tasks":[],"type":"source"}`},
		{"GET", "/connectors/x-source/status", 200, `{"name":"x-source","connector":{"state":"STOPPED","worker_id":""},"tasks":[],"type":"source"}`},
		{"GET", "/connectors/x-transform/status", 200, `{"name":"x-transform","connector":{"state":"PAUSED","worker_id":"a:1"},"tasks":[{"id":0,"state":"PAUSED","worker_id":"a:1"}],"type":"sink"}`},
		{"GET", "/connectors/x-apply/status", 200, `{"name":"x-apply","connector":{"state":"RUNNING","worker_id":"b:1"},"tasks":[{"id":0,"state":"UNASSIGNED","worker_id":""},{"id":1,"state":"FAILED","worker_id":"b:1","trace":"held: why. fix"}],"type":"sink"}`},
		{"GET", "/connectors/x-apply/tasks/1/status", 200, `{"id":1,"state":"FAILED","worker_id":"b:1","trace":"held: why. fix"}`},
		{"GET", "/connectors/x-apply/tasks/7/status", 404, `{"error_code":404,"message":"No status found for task x-apply-7"}`},
		{"GET", "/connectors/x-apply/tasks", 200, `[{"id":{"connector":"x-apply","task":0},"config":{"connector.class":"backstitch.apply","ledger":"********","name":"x-apply"}},{"id":{"connector":"x-apply","task":1},"config":{"connector.class":"backstitch.apply","ledger":"********","name":"x-apply"}}]`},
		{"GET", "/connectors/y", 404, `{"error_code":404,"message":"Connector y not found"}`},
		{"GET", "/connectors/x-apply/offsets", 200, `{"offsets":[]}`},
		{"PUT", "/connectors/x-apply/pause", 202, ``},
		{"PUT", "/connectors/x-apply/resume", 202, ``},
		{"PUT", "/connectors/x-apply/stop", 204, ``},
		{"POST", "/connectors/x-apply/restart", 204, ``},
		{"POST", "/connectors/x-apply/tasks/1/restart", 204, ``},
		{"POST", "/connectors/x-apply/tasks/2/restart", 404, `{"error_code":404,"message":"Unknown task: x-apply-2"}`},
		{"GET", "/health/live", 200, "ok\n"},
		{"GET", "/health", 200, `{"message":"This instance works, or stands by for one that does.","status":"healthy"}`},
		{"GET", "/connectors/", 200, `["x-source","x-transform","x-apply"]`},
		{"GET", "/connectors/x-apply/topics", 200, `{"x-apply":{"topics":["x.public.users"]}}`},
		{"GET", "/connectors/x-apply/nowhere", 404, `{"error_code":404,"message":"HTTP 404 Not Found"}`},
		{"POST", "/connectors/x-apply/pause", 405, `{"error_code":405,"message":"HTTP 405 Method Not Allowed"}`},
	} {
		code, body := ask(t, server, c.method, c.path)
		if code != c.code || body != c.body {
			t.Errorf("%s %s: %d %s\nwant %d %s", c.method, c.path, code, body, c.code, c.body)
		}
	}
	if got, want := strings.Join(s.set, ", "), "x-apply PAUSED, x-apply RUNNING, x-apply STOPPED, x-apply restart, x-apply restart failed"; got != want {
		t.Errorf("set %s, want %s", got, want)
	}
	for name, code := range map[string]int{"x-source": 405, "x-transform": 400, "x-apply": 400} {
		if got, body := ask(t, server, "DELETE", "/connectors/"+name+"/offsets"); got != code || !strings.Contains(body, `"message":"`) {
			t.Errorf("DELETE offsets of %s: %d %s, want %d", name, got, body, code)
		}
	}
	if code, body := ask(t, server, "PATCH", "/connectors/x-apply/offsets"); code != 400 || !strings.Contains(body, "need to be provided") {
		t.Errorf("PATCH without a body: %d %s", code, body)
	}
	for _, c := range [][2]string{{"POST", "/connectors"}, {"PUT", "/connectors/x-apply/config"}} {
		if code, body := ask(t, server, c[0], c[1]); code != 405 || !strings.Contains(body, "is the configuration") {
			t.Errorf("%s %s: %d %s", c[0], c[1], code, body)
		}
	}
	code, body := ask(t, server, "GET", "/connectors?expand=status&expand=info")
	var expanded map[string]map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &expanded); err != nil || code != 200 || len(expanded) != 3 || len(expanded["x-apply"]) != 2 {
		t.Errorf("expand: %d %s %v", code, body, err)
	}
}

// Who may ask: with a token whoever has it, without one this machine alone, and no
// page of another site.
func TestWhoMayAsk(t *testing.T) {
	t.Parallel()
	open, locked := serve(t, &shape{}, ""), serve(t, &shape{}, "a-token-of-some-length")
	for _, c := range []struct {
		name         string
		server       *httptest.Server
		method, path string
		headers      []string
		code         int
	}{
		{"this machine", open, "GET", "/connectors", nil, 200},
		{"a rebound name", open, "GET", "/connectors", []string{"Host", "evil.example.com"}, 403},
		{"another site's page", open, "PUT", "/connectors/x-apply/stop", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"another site's old browser", open, "PUT", "/connectors/x-apply/stop", []string{"Origin", "https://evil.example.com"}, 403},
		{"the page itself", open, "PUT", "/connectors/x-apply/stop", []string{"Sec-Fetch-Site", "same-origin"}, 204},
		{"no token", locked, "GET", "/connectors", nil, 401},
		{"no token for metrics", locked, "GET", "/metrics", nil, 401},
		{"a wrong token", locked, "GET", "/connectors", []string{"Authorization", "Bearer a-token-of-some-lengtH"}, 401},
		{"the token", locked, "GET", "/connectors", []string{"Authorization", "Bearer a-token-of-some-length"}, 200},
		{"the token under another name", locked, "GET", "/connectors", []string{"Authorization", "Bearer a-token-of-some-length", "Host", "pipeline.example.com"}, 200},
		{"the token as a password", locked, "GET", "/connectors", []string{"Authorization", basic("kcctl:a-token-of-some-length")}, 200},
		{"a wrong password", locked, "GET", "/connectors", []string{"Authorization", basic("a-token-of-some-length:")}, 401},
		{"a probe", locked, "GET", "/health/ready", nil, 200},
	} {
		if code, body := ask(t, c.server, c.method, c.path, c.headers...); code != c.code {
			t.Errorf("%s: %d %s, want %d", c.name, code, body, c.code)
		}
	}
}

func basic(user string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(user)) }
