package admin

import (
	_ "embed"
	"net/http"
	"sync"

	"github.com/goccy/go-yaml"
)

// openapiYAML describes every route; a test holds it against the handlers.
//
//go:embed openapi.yaml
var openapiYAML []byte

// openapiJSON is the same document; a test reads it.
var openapiJSON = sync.OnceValue(func() []byte {
	b, err := yaml.YAMLToJSON(openapiYAML)
	if err != nil {
		return nil
	}
	return b
})

func serveDocument(contentType string, body func() []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Write(body())
	}
}
