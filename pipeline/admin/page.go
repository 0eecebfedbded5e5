package admin

import (
	"embed"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// The page is a document and modules that ask the REST interface for everything
// they show, so that it can do nothing that an operator's script cannot.
//
//go:embed page
var pageFiles embed.FS

// pagePolicy lets the page load what this server serves and nothing else: no inline
// script or style, no other host, no frame around it.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pageTypes are the content types of the page's files; the system's own table may
// lack them, or say otherwise.
var pageTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// wantsPage reports whether a request for / comes from a browser's address bar: what
// asks for JSON, or for anything, is a script that wants Connect's answer.
func wantsPage(r *http.Request) bool {
	for accepted := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		if mediaType, _, err := mime.ParseMediaType(accepted); err == nil && mediaType == "text/html" {
			return true
		}
	}
	return false
}

// holdsNoData tells a request for the page itself, which has to be there before it
// can ask for a token.
func holdsNoData(r *http.Request) bool {
	return r.Method == http.MethodGet && (strings.HasPrefix(r.URL.Path, "/page/") || r.URL.Path == "/" && wantsPage(r))
}

// servePage serves the document and what it loads. These files hold no data and are
// served without a token: the page asks for one.
func servePage(w http.ResponseWriter, r *http.Request) {
	name := "page/index.html"
	if rest, ok := strings.CutPrefix(r.URL.Path, "/page/"); ok && rest != "" {
		name = "page/" + rest
	}
	body, err := fs.ReadFile(pageFiles, name)
	kind, known := pageTypes[path.Ext(name)]
	if err != nil || !known {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache") // another version of the binary brings other modules
	w.Write(body)
}
