package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/linkedin/goavro/v2"

	"github.com/backstitch/backstitch/consumers/ledger"
)

// longestSchema bounds a request's body, in bytes.
const longestSchema = 4 << 20

// api answers requests out of the ledger; it remembers nothing itself.
type api struct {
	pool *pgxpool.Pool
	log  *slog.Logger
}

// Handler serves the registry's paths.
func Handler(pool *pgxpool.Pool, log *slog.Logger) http.Handler {
	a := &api{pool, log}
	mux := http.NewServeMux()
	for pattern, serve := range map[string]func(*http.Request) (any, error){
		"GET /{$}":                                      func(*http.Request) (any, error) { return struct{}{}, nil },
		"GET /schemas":                                  a.schemas,
		"GET /schemas/types":                            func(*http.Request) (any, error) { return []string{"AVRO"}, nil },
		"GET /schemas/ids/{id}":                         a.byID,
		"GET /schemas/ids/{id}/schema":                  a.textByID,
		"GET /schemas/ids/{id}/subjects":                a.subjectsOfID,
		"GET /schemas/ids/{id}/versions":                a.versionsOfID,
		"GET /subjects":                                 a.subjects,
		"GET /subjects/{s}/versions":                    a.versions,
		"GET /subjects/{s}/versions/{v}":                a.version,
		"GET /subjects/{s}/versions/{v}/schema":         a.textOfVersion,
		"POST /subjects/{s}":                            a.lookUp,
		"POST /subjects/{s}/versions":                   a.register,
		"GET /config":                                   level,
		"GET /config/{s}":                               level,
		"PUT /config":                                   setLevel,
		"PUT /config/{s}":                               setLevel,
		"GET /mode":                                     mode,
		"GET /mode/{s}":                                 mode,
		"POST /compatibility/subjects/{s}/versions":     a.compatible,
		"POST /compatibility/subjects/{s}/versions/{v}": a.compatible,
		"/": func(r *http.Request) (any, error) {
			return nil, &refusal{http.StatusNotFound, http.StatusNotFound, fmt.Sprintf("%s %s is not served by the embedded registry", r.Method, r.URL.Path)}
		},
	} {
		mux.HandleFunc(pattern, a.answer(serve))
	}
	return mux
}

// refusal is an answer with one of Confluent's error codes.
type refusal struct {
	status, code int
	message      string
}

func (r *refusal) Error() string { return r.message }

var (
	errNoSubject = &refusal{http.StatusNotFound, 40401, "Subject not found."}
	errNoVersion = &refusal{http.StatusNotFound, 40402, "Version not found."}
	errNoSchema  = &refusal{http.StatusNotFound, 40403, "Schema not found"}
)

func (a *api) answer(serve func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, longestSchema)
		body, err := serve(r)
		status := http.StatusOK
		if err != nil {
			refused, ok := err.(*refusal) //nolint:errorlint // made here, never wrapped
			if !ok {
				a.log.WarnContext(r.Context(), "the embedded registry could not ask the ledger", "error", err)
				refused = &refusal{http.StatusInternalServerError, 50001, "the ledger does not answer: " + err.Error()}
			}
			status = refused.status
			body = map[string]any{"error_code": refused.code, "message": refused.message}
		}
		text, err := json.Marshal(body)
		if err != nil {
			panic("registry: " + err.Error()) // strings, numbers, and what was JSON already
		}
		w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
		w.WriteHeader(status)
		_, _ = w.Write(text) // who asked may have left
	}
}

// registered is a version as the registry writes it.
type registered struct {
	Subject string `json:"subject"`
	Version int    `json:"version"`
	ID      int    `json:"id"`
	Schema  string `json:"schema"`
}

// find are the registered schemas that keep accepts.
func (a *api) find(r *http.Request, keep func(registered) bool) ([]registered, error) {
	all, err := ledger.Schemas(r.Context(), a.pool)
	if err != nil {
		return nil, err
	}
	found := []registered{}
	for _, s := range all {
		if s := registered(s); keep(s) {
			found = append(found, s)
		}
	}
	return found, nil
}

// given reads the schema of a request's body.
func given(r *http.Request) (string, error) {
	var body struct {
		Schema     string            `json:"schema"`
		SchemaType string            `json:"schemaType"`
		References []json.RawMessage `json:"references"`
	}
	unusable := func(what string) error { return &refusal{http.StatusUnprocessableEntity, 42201, what} }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return "", unusable("the body is no JSON object with a schema")
	}
	if body.SchemaType != "" && body.SchemaType != "AVRO" {
		return "", unusable("the embedded registry holds Avro schemas only")
	}
	if len(body.References) > 0 {
		return "", unusable("the embedded registry knows no references between schemas")
	}
	if _, err := goavro.NewCodec(body.Schema); err != nil {
		return "", unusable("Invalid schema: " + err.Error())
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(body.Schema)); err != nil {
		return "", unusable("Invalid schema: it is no JSON")
	}
	return compact.String(), nil
}

// number reads a version of a path: "latest" and -1 are 0.
func number(s string) (int, error) {
	if s == "latest" || s == "-1" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, &refusal{http.StatusUnprocessableEntity, 42202, "The specified version '" + s + "' is not a valid version id. Allowed values are 1 and up, and \"latest\""}
	}
	return n, nil
}
