package wires_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/schemas"
)

// paths are read from every instance; what the OpenAPI document lists is added.
var paths = []string{
	"/", "/status", "/metrics", "/health", "/health/live", "/health/ready", "/openapi.json", "/connectors?expand=status&expand=info", "/series", "/lag", "/parked",
	"/connectors/{name}", "/connectors/{name}/config", "/connectors/{name}/status", "/connectors/{name}/tasks", "/connectors/{name}/offsets",
	"/connectors/{name}/tasks/0/status", "/applied?lsn=0/1&organization=1&timeout=10ms", "/entity?kind=member&organization=1&key=1",
}

// fillings are values for parameters of paths and queries.
var fillings = map[string]string{
	"task": "0", "plugin": "backstitch.apply", "logger": "root", "file": "main.js", "kind": "member", "organization": "1", "key": "4", "entity": "4", "external_id": "4", "lsn": "0/1", "timeout": "10ms", "id": "1", "lane": "live",
}

// look reads everything that a running instance shows: every path of its address
// with and without the token, every process's arguments, and how its sessions are
// called in the databases.
func (c *cage) look(t *testing.T, p *harness.Process) {
	t.Helper()
	base := p.AdminURL(t)
	all := append(c.documented(t, base), paths...)
	for _, path := range all {
		for _, stage := range []string{"source", "transform", "apply"} {
			filled := strings.ReplaceAll(path, "{name}", c.Prefix+"-"+stage)
			for _, accept := range []string{"application/json", "text/html"} {
				status, text := c.get(t, base+filled, accept, canaryToken)
				c.shown["GET "+path+" "+stage+" "+accept] += text
				if status != http.StatusOK && (path == "/" || path == "/status" || path == "/metrics" || strings.HasPrefix(path, "/connectors/")) {
					t.Errorf("GET %s: %d %s", filled, status, text)
				}
			}
			if path == filled {
				break
			}
		}
	}
	if status, text := c.get(t, base+"/status", "", canaryWrong); status != http.StatusUnauthorized {
		t.Errorf("a wrong token: %d %s", status, text)
	} else {
		c.shown["a wrong token"] = text
	}
	c.shown["process arguments"] += arguments(t)
	c.shown["sessions"] += c.sessions(t)
}

// documented are the paths that GET serves by the instance's own OpenAPI document,
// parameters filled.
func (c *cage) documented(t *testing.T, base string) []string {
	t.Helper()
	status, text := c.get(t, base+"/openapi.json", "", canaryToken)
	if status != http.StatusOK {
		t.Fatalf("the OpenAPI document: %d", status)
	}
	text = text[strings.Index(text, "\n{"):] // without the headers
	var doc struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatalf("the OpenAPI document: %v", err)
	}
	parameter := regexp.MustCompile(`\{[^}]+\}`)
	var out []string
	for path, methods := range doc.Paths {
		if methods["get"] == nil {
			continue
		}
		out = append(out, parameter.ReplaceAllStringFunc(path, func(s string) string {
			if v := fillings[s[1:len(s)-1]]; v != "" {
				return v
			}
			return s
		}))
	}
	return out
}

// get answers with whatever the status is: an error's text is searched as well.
func (c *cage) get(t *testing.T, url, accept, token string) (int, string) {
	t.Helper()
	conf, err := config.TLS{CA: c.authority.CA}.Config()
	if err != nil {
		t.Fatal(err)
	}
	return fetch(t, conf, url, accept, token)
}

func fetch(t *testing.T, conf *tls.Config, url, accept, token string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", accept)
	transport := &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	var headers strings.Builder
	if err := res.Header.Write(&headers); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, headers.String() + "\n" + string(body)
}

// arguments are those of every process of the machine, where it tells.
func arguments(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil { // else it has ended meanwhile
			all.WriteString(strings.ReplaceAll(string(b), "\x00", " ") + "\n")
		}
	}
	if len(files) == 0 {
		return "no /proc here"
	}
	return all.String()
}

// sessions are the names and statements of our sessions, as everybody who may look
// at the server sees them.
func (c *cage) sessions(t *testing.T) string {
	t.Helper()
	rows, err := c.Pool.Query(context.Background(), `SELECT coalesce(application_name, '') || ': ' || coalesce(query, '') FROM pg_stat_activity WHERE usename = $1`, "canary_"+c.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(all) < 3 {
		t.Errorf("%d sessions of ours: %v", len(all), err)
	}
	return strings.Join(all, "\n")
}

// wakes reads the apply topics: whoever may read them learns nothing of a person.
func (c *cage) wakes(t *testing.T) {
	t.Helper()
	cfg, err := config.Load(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	clients, err := pipeline.NewClients(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer clients.Stytch.Close()
	client, err := kgo.NewClient(append(clients.Kafka, kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeTopics(schemas.ApplyTopic(c.Prefix, schemas.LaneLive), schemas.ApplyTopic(c.Prefix, schemas.LaneBackfill)))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for n := 0; n < 18; { // two organizations and sixteen members at least
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("read the apply topics: %v", err)
		}
		for _, r := range fetches.Records() {
			c.shown["apply topics"] += string(r.Key) + string(r.Value)
			n++
		}
	}
}

// dropRole removes the role before its databases are.
func (c *cage) dropRole(t *testing.T, role string) {
	t.Helper()
	for _, address := range []string{c.Legacy, c.Ledger} {
		conn, err := pgx.Connect(context.Background(), address)
		if err != nil {
			t.Logf("drop the canary's role: %v", err)
			continue
		}
		for _, sql := range []string{"REASSIGN OWNED BY " + role + " TO postgres", "DROP OWNED BY " + role} {
			if _, err := conn.Exec(context.Background(), sql); err != nil {
				t.Logf("drop the canary's role: %v", err)
			}
		}
		if address == c.Ledger {
			if _, err := conn.Exec(context.Background(), "DROP ROLE "+role); err != nil {
				t.Logf("drop the canary's role: %v", err)
			}
		}
		if err := conn.Close(context.Background()); err != nil {
			t.Log(err)
		}
	}
}
