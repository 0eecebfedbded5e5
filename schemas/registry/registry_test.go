package registry_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/schemas/registry"
)

const recordA = `{"type":"record","name":"A","fields":[{"name":"x","type":"int"}]}`

func open(t *testing.T, url string, opts ...sr.ClientOpt) *registry.Registry {
	t.Helper()
	r, err := registry.New(url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRegisterAndRead(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	url := testenv.Registry(t)
	subject := registry.ValueSubject("p.public.teams")
	if subject != "p.public.teams-value" || registry.KeySubject("p.public.teams") != "p.public.teams-key" {
		t.Fatalf("subjects do not follow TopicNameStrategy: %s", subject)
	}
	id, err := open(t, url).Register(ctx, subject, recordA)
	if err != nil {
		t.Fatal(err)
	}
	other := open(t, url) // another process
	again, err := other.Register(ctx, subject, recordA)
	if err != nil || again != id {
		t.Fatalf("the same schema got id %d, then %d (%v)", id, again, err)
	}
	text, err := open(t, url).Schema(ctx, id)
	if err != nil || text != recordA {
		t.Fatalf("read %q (%v)", text, err)
	}
	if err := other.Ping(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestAnswersAreRemembered(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Method == http.MethodPost {
			_, _ = w.Write([]byte(`{"id":7}`))
			return
		}
		_, _ = w.Write([]byte(`{"schema":"\"string\""}`))
	}))
	defer server.Close()
	r := open(t, server.URL)
	for range 3 {
		if id, err := r.Register(ctx, "s", recordA); err != nil || id != 7 {
			t.Fatalf("id %d (%v)", id, err)
		}
		if s, err := r.Schema(ctx, 8); err != nil || s != `"string"` {
			t.Fatalf("schema %s (%v)", s, err)
		}
		if s, err := r.Schema(ctx, 7); err != nil || s != recordA {
			t.Fatalf("schema %s (%v)", s, err)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Fatalf("the registry was asked %d times for two facts", n)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		status int
		body   string
		retry  bool
		target any
		says   string
	}{
		{"incompatible", 409, `{"error_code":409,"message":"field x changed type"}`, false, new(*registry.IncompatibleError), "compatibility level of subject"},
		{"unavailable", 503, `{"error_code":50301,"message":"no leader"}`, true, new(*registry.UnreachableError), "asked again"},
		{"throttled", 429, ``, true, new(*registry.UnreachableError), "asked again"},
		{"unauthorised", 401, `{"error_code":401,"message":"no"}`, false, new(*registry.RefusedError), "credentials"},
		{"read-only", 422, `{"error_code":42205,"message":"read-only mode"}`, false, new(*registry.RefusedError), "read-only mode"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
			}))
			defer server.Close()
			_, err := open(t, server.URL).Register(context.Background(), "topic-value", recordA)
			if !errors.As(err, test.target) {
				t.Fatalf("status %d became %T: %v", test.status, err, err)
			}
			held, ok := stage.AsHeld(fmt.Errorf("derive: %w", err))
			if ok == test.retry || ok && (held.Reason == "" || held.Fix == "") {
				t.Errorf("held is %t, %+v, for %v", ok, held, err)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("the error does not say %q: %v", test.says, err)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	address := strings.Replace(server.URL, "http://", "http://user:hunter2@", 1)
	_, err := open(t, address).Schema(context.Background(), 1)
	var unreachable *registry.UnreachableError
	if !errors.As(err, &unreachable) {
		t.Fatalf("got %T: %v", err, err)
	}
	if strings.Contains(err.Error(), "hunter2") { // invariant 8
		t.Errorf("the error carries the password")
	}
}

func TestBasicAuth(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "user" || password != "pass" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{"id":1}`))
	}))
	defer server.Close()
	ctx := context.Background()
	inURL := strings.Replace(server.URL, "http://", "http://user:pass@", 1)
	if _, err := open(t, inURL).Register(ctx, "s", recordA); err != nil {
		t.Errorf("credentials in the URL: %v", err)
	}
	if _, err := open(t, server.URL, sr.BasicAuth("user", "pass")).Register(ctx, "s", recordA); err != nil {
		t.Errorf("credentials as an option: %v", err)
	}
	var refused *registry.RefusedError
	if _, err := open(t, server.URL).Register(ctx, "s", recordA); !errors.As(err, &refused) || refused.Status != 401 {
		t.Errorf("no credentials: %v", err)
	}
}

func TestUnknownID(t *testing.T) {
	t.Parallel()
	var refused *registry.RefusedError
	if _, err := open(t, testenv.Registry(t)).Schema(context.Background(), 99); !errors.As(err, &refused) {
		t.Errorf("an unknown id: %v", err)
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "registry:8081", "ftp://registry", "http://"} {
		if _, err := registry.New(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
