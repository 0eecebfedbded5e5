// Package registry registers and reads Avro schemas in a Confluent-compatible
// schema registry, under TopicNameStrategy.
//
// Its errors say what the caller does: an *UnreachableError is tried again, later
// and outside any Kafka transaction (hazard S18); every other one holds the
// connector until a person acts (stage.AsHeld).
package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
)

// requestTimeout bounds one request where the caller passes no HTTP client.
const requestTimeout = 10 * time.Second

// KeySubject is the subject of a topic's keys.
func KeySubject(topic string) string { return topic + "-key" }

// ValueSubject is the subject of a topic's values.
func ValueSubject(topic string) string { return topic + "-value" }

// Registry is a client that remembers what it has registered and read: both never
// change. It is safe for concurrent use.
type Registry struct {
	url    string // without credentials
	client *sr.Client

	mu struct {
		sync.Mutex
		ids     map[registration]int
		schemas map[int]string
	}
}

type registration struct{ subject, schema string }

// New makes a client of the registry at a URL; credentials in the URL are sent as
// basic authentication and appear in no error. Options (sr.BasicAuth,
// sr.DialTLSConfig, sr.HTTPClient, …) come after and win. Nothing is asked yet.
func New(registryURL string, opts ...sr.ClientOpt) (*Registry, error) {
	u, err := url.Parse(registryURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("schema registry: the address is not an http or https URL such as http://registry:8081")
	}
	first := []sr.ClientOpt{sr.UserAgent("backstitch"), sr.HTTPClient(&http.Client{Timeout: requestTimeout})}
	if password, ok := u.User.Password(); ok || u.User.Username() != "" {
		first = append(first, sr.BasicAuth(u.User.Username(), password))
	}
	u.User = nil
	r := &Registry{url: u.String()}
	r.client, err = sr.NewClient(append(append(first, opts...), sr.URLs(r.url))...)
	if err != nil {
		return nil, fmt.Errorf("schema registry %s: %w", r.url, err)
	}
	r.mu.ids, r.mu.schemas = make(map[registration]int), make(map[int]string)
	return r, nil
}

// Register returns the id of a schema under a subject, and registers it there where
// it is new. A schema that the registry has already is found, not added again.
// Errors are *UnreachableError, *IncompatibleError and *RefusedError.
func (r *Registry) Register(ctx context.Context, subject, schema string) (int, error) {
	key := registration{subject, schema}
	r.mu.Lock()
	id, known := r.mu.ids[key]
	r.mu.Unlock()
	if known {
		return id, nil
	}
	id, err := r.client.RegisterSchema(ctx, subject, sr.Schema{Schema: schema, Type: sr.TypeAvro}, -1, -1)
	if err != nil {
		return 0, r.explain(err, "register the schema of subject "+subject, subject)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.ids[key] = id
	r.mu.schemas[id] = schema
	return id, nil
}

// Schema returns the schema that an id in a record stands for. Errors are
// *UnreachableError and *RefusedError.
func (r *Registry) Schema(ctx context.Context, id int) (string, error) {
	r.mu.Lock()
	schema, known := r.mu.schemas[id]
	r.mu.Unlock()
	if known {
		return schema, nil
	}
	s, err := r.client.SchemaByID(ctx, id)
	if err != nil {
		return "", r.explain(err, fmt.Sprintf("read the schema with id %d", id), "")
	}
	if s.Type != sr.TypeAvro {
		return "", refused(r.url, fmt.Sprintf("read the schema with id %d", id), 0, "it is not Avro",
			"Point the pipeline at topics that hold Avro records.")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.schemas[id] = s.Schema
	return s.Schema, nil
}

// Ping asks the registry for its compatibility level, to show that it answers.
func (r *Registry) Ping(ctx context.Context) error {
	for _, result := range r.client.Compatibility(ctx) {
		if result.Err != nil {
			return r.explain(result.Err, "ask for its compatibility level", "")
		}
	}
	return nil
}
