package admin

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Without a token only this machine is served; the configuration asks for TLS too.
func TestListenBeyondThisMachineNeedsAToken(t *testing.T) {
	t.Parallel()
	for listen, token := range map[string]string{"0.0.0.0:0": "", "[::]:0": "", ":0": "", "pipeline.example.com:0": ""} {
		o := restOptions(&shape{}, nil)
		o.Listen, o.Token = listen, token
		if s, err := Listen(o); err == nil || !strings.Contains(err.Error(), "admin.token") {
			t.Errorf("%s without a token: %v", listen, err)
			if err == nil {
				s.listener.Close()
			}
		}
	}
	for listen, token := range map[string]string{"0.0.0.0:0": "a-token-of-some-length", "127.0.0.1:0": "", "localhost:0": ""} {
		o := restOptions(&shape{}, nil)
		o.Listen, o.Token = listen, token
		s, err := Listen(o)
		if err != nil {
			t.Errorf("%s with token %q: %v", listen, token, err)
			continue
		}
		s.Serve()
		res, err := http.Get("http://127.0.0.1:" + s.Addr()[strings.LastIndex(s.Addr(), ":")+1:] + "/connectors")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if want := map[bool]int{true: http.StatusOK, false: http.StatusUnauthorized}[token == ""]; res.StatusCode != want {
			t.Errorf("%s with token %q answers %s, want %d", listen, token, res.Status, want)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// Every route but the probes and the page's own files asks for the token.
func TestEveryRouteAsksForTheToken(t *testing.T) {
	t.Parallel()
	o := restOptions(&shape{}, nil)
	o.Token = "a-token-of-some-length"
	h := Handler(o)
	for _, operation := range describe(t).documented(false) {
		e, _ := provoke(operation + " 401")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(e.method, "http://pipeline.example.com"+e.path, nil))
		open := strings.HasPrefix(e.path, "/health") || strings.HasPrefix(e.path, "/page/")
		if asked := w.Code == http.StatusUnauthorized; asked == open {
			t.Errorf("%s without a token answers %d", operation, w.Code)
		}
	}
}
