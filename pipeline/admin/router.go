package admin

import (
	"net/http"
	"strings"
)

// router is a mux that knows its patterns, so that a test holds them against the
// OpenAPI document, and that refuses in Kafka Connect's words what it does not serve.
type router struct {
	mux      *http.ServeMux
	patterns []string
}

func newRouter() *router { return &router{mux: http.NewServeMux()} }

// Handle registers a pattern of http.ServeMux: METHOD path.
func (ro *router) Handle(pattern string, h http.Handler) {
	ro.patterns = append(ro.patterns, pattern)
	ro.mux.Handle(pattern, h)
}

// HandleFunc registers a pattern of http.ServeMux: METHOD path.
func (ro *router) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	ro.Handle(pattern, http.HandlerFunc(h))
}

func (ro *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = withoutSlash(r)
	h, pattern := ro.mux.Handler(r)
	if pattern != "" {
		ro.mux.ServeHTTP(w, r) // and not h: the mux sets the path's values
		return
	}
	answer := refusal{header: w.Header()}
	h.ServeHTTP(&answer, r)
	w.Header().Del("X-Content-Type-Options")
	message := "HTTP 404 Not Found"
	if answer.code == http.StatusMethodNotAllowed {
		message = "HTTP 405 Method Not Allowed"
	}
	fail(w, answer.code, message)
}

// withoutSlash takes a slash off the path's end: clients of Kafka Connect ask for
// /connectors/ as well as for /connectors.
func withoutSlash(r *http.Request) *http.Request {
	if len(r.URL.Path) < 2 || !strings.HasSuffix(r.URL.EscapedPath(), "/") {
		return r
	}
	u := *r.URL
	u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(u.RawPath, "/")
	short := new(http.Request)
	*short = *r
	short.URL = &u
	return short
}

// refusal keeps the code and the headers of an answer of the mux, such as Allow.
type refusal struct {
	header http.Header
	code   int
}

func (a *refusal) Header() http.Header         { return a.header }
func (a *refusal) WriteHeader(code int)        { a.code = code }
func (a *refusal) Write(b []byte) (int, error) { return len(b), nil }
