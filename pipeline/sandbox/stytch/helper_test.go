package stytch

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testProject = "project-test-11111111-1111-4111-8111-111111111111"
	testSecret  = "secret-test-only"
	// The bcrypt hash of "correct horse", cost 4.
	horseHash = "$2a$04$ydmXo3o05pIetQ6QwkAu1.4mzyQdKYwkit3oP7Ajfk6Wwht1J7jkK"
)

// bundle is a simulator behind HTTP and a client of it.
type bundle struct {
	*testing.T
	sim    *Simulator
	server *httptest.Server
}

func newBundle(t *testing.T, o Options) *bundle {
	t.Helper()
	o.ProjectID, o.Secret = first(o.ProjectID, testProject), testSecret
	if o.Roles == nil {
		o.Roles = []string{"editor", "viewer"}
	}
	sim := New(o)
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	return &bundle{T: t, sim: sim, server: server}
}

type answer struct {
	status int
	header http.Header
	body   map[string]any
}

func (b *bundle) request(ctx context.Context, method, path, body string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, b.server.URL+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.SetBasicAuth(b.sim.options.ProjectID, b.sim.options.Secret)
	return send(b.server.Client(), r)
}

func send(client *http.Client, r *http.Request) (answer, error) {
	res, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: res.StatusCode, header: res.Header}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	return a, decoder.Decode(&a.body)
}

// do sends a body made of v (nil: none) and expects an answer.
func (b *bundle) do(method, path string, v any) answer {
	b.Helper()
	body := ""
	if v != nil {
		raw, err := json.Marshal(v)
		if err != nil {
			b.Fatal(err)
		}
		body = string(raw)
	}
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
	defer cancel()
	a, err := b.request(ctx, method, "/v1/b2b/"+path, body)
	if err != nil {
		b.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// ok is do that must succeed.
func (b *bundle) ok(method, path string, v any) answer {
	b.Helper()
	a := b.do(method, path, v)
	if a.status != http.StatusOK {
		b.Fatalf("%s %s: %d %v", method, path, a.status, a.body["error_type"])
	}
	return a
}

// refused is do that must fail in one way.
func (b *bundle) refused(status int, kind, method, path string, v any) {
	b.Helper()
	a := b.do(method, path, v)
	if a.status != status || a.body["error_type"] != kind {
		b.Errorf("%s %s: %d %v, want %d %s", method, path, a.status, a.body["error_type"], status, kind)
	}
	if a.body["error_message"] == "" || a.body["request_id"] == nil || a.body["status_code"] != json.Number(itoa(a.status)) {
		b.Errorf("%s %s: the error body lacks a field: %v", method, path, a.body)
	}
}

func itoa(n int) string { raw, _ := json.Marshal(n); return string(raw) }

// fields is a JSON object of a request.
type fields = map[string]any

func (a answer) object(name string) map[string]any {
	o, _ := a.body[name].(map[string]any)
	return o
}

func (a answer) text(object, field string) string {
	s, _ := a.object(object)[field].(string)
	return s
}

// organization makes one and returns its id.
func (b *bundle) organization(slug string, more ...fields) string {
	b.Helper()
	f := fields{"organization_name": "Name of " + slug, "organization_slug": slug}
	for _, m := range more {
		for k, v := range m {
			f[k] = v
		}
	}
	return b.ok("POST", "organizations", f).text("organization", "organization_id")
}

// member makes one and returns its id.
func (b *bundle) member(org, email string, more ...fields) string {
	b.Helper()
	f := fields{"email_address": email}
	for _, m := range more {
		for k, v := range m {
			f[k] = v
		}
	}
	return b.ok("POST", "organizations/"+esc(org)+"/members", f).text("member", "member_id")
}

func (b *bundle) migrate(org, email string, more ...fields) answer {
	b.Helper()
	f := fields{"organization_id": org, "email_address": email, "hash": horseHash, "hash_type": "bcrypt"}
	for _, m := range more {
		for k, v := range m {
			f[k] = v
		}
	}
	return b.do("POST", "passwords/migrate", f)
}

func (b *bundle) login(org, email, password string) answer {
	b.Helper()
	return b.do("POST", "passwords/authenticate", fields{"organization_id": org, "email_address": email, "password": password})
}

func esc(s string) string { return url.PathEscape(s) }
