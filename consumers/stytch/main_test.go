package stytch

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server with one handler and a client of it.
func serve(t *testing.T, h http.HandlerFunc, more ...func(*Options)) *Client {
	t.Helper()
	server := httptest.NewServer(h)
	o := Options{BaseURL: server.URL, ProjectID: "project-test-1", Secret: "secret-1", Timeout: 10 * time.Second}
	for _, f := range more {
		f(&o)
	}
	c := New(o)
	t.Cleanup(func() {
		c.Close()
		server.Close()
	})
	return c
}

// answer is a handler that answers with a status and a body.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}
