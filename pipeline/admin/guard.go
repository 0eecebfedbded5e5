package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"
)

// guard lets a request pass when it may. /health/ is for probes, which know no
// token, and says nothing; everything else asks for the token where there is one.
// Without one only loopback is served, and a page of somebody else's that the
// operator's browser has open must not reach it: the Host header must be ours
// against DNS rebinding, and a change must not come from another site.
type guard struct {
	token string
	next  http.Handler
}

func (g guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/health" || strings.HasPrefix(r.URL.Path, "/health/"):
	case g.token != "" && holdsNoData(r):
	case g.token != "":
		if !g.bears(r) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="backstitch"`)
			fail(w, http.StatusUnauthorized, "this address asks for a token: Authorization: Bearer <admin.token>")
			return
		}
	case !loopback(r.Host):
		fail(w, http.StatusForbidden, "the Host header names another server; set admin.token to serve this address under more names")
		return
	}
	if crossSite(r) {
		fail(w, http.StatusForbidden, "changes are not taken from other sites' pages")
		return
	}
	g.next.ServeHTTP(w, r)
}

// bears compares digests: their length tells nothing. Clients of Kafka Connect know
// basic authentication alone: the token is taken as its password, under any name.
func (g guard) bears(r *http.Request) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if _, password, basic := r.BasicAuth(); basic {
		given, ok = password, true
	}
	want, got := sha256.Sum256([]byte(g.token)), sha256.Sum256([]byte(given))
	return ok && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

func loopback(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	ip := net.ParseIP(strings.Trim(name, "[]"))
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

// crossSite tells a change that a browser sends for another site's page.
func crossSite(r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return false
	}
	site := r.Header.Get("Sec-Fetch-Site")
	if site != "" {
		return site != "same-origin" && site != "none"
	}
	origin := r.Header.Get("Origin")
	return origin != "" && origin != "http://"+r.Host && origin != "https://"+r.Host
}
