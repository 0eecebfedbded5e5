package wires_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/pipeline/config"
)

// TestWires: every wire against a server that demands what the wire has, and what
// is said when it has something else.
func TestWires(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	t.Run("kafka", s.kafkaMechanisms)
	t.Run("postgres", s.postgresWays)
	t.Run("right", s.accepted)
	t.Run("refused", s.refused)
	t.Run("run", s.run)
}

// wiring is what a configuration says about the wires.
type wiring struct {
	source, ledger string // URLs
	brokers, kafka string // kafka: YAML under kafka
	registry, auth string // auth: YAML under kafka
}

// right is the wiring that every server accepts.
func (s *servers) right() wiring {
	tls := "?sslmode=verify-full&sslrootcert=" + s.ours.CA
	return wiring{
		source: s.source + tls, ledger: s.ledger + tls, brokers: s.kafka.Listener(encrypted),
		kafka:    fmt.Sprintf("  tls: {ca: %q}\n  sasl: {mechanism: SCRAM-SHA-512, username: %s, password: %q}", s.ours.CA, user, password),
		registry: s.registry,
		auth:     fmt.Sprintf("  registry_auth: {username: %s, password: %q}\n  registry_tls: {ca: %q}", user, password, s.ours.CA),
	}
}

// yaml is a configuration with the wiring, each of its keys on a line of its own.
func (w wiring) yaml(prefix string) string {
	return fmt.Sprintf(`name: %s
source:
  postgres: %q
  tables: [teams]
ledger: %q
kafka:
  brokers: [%s]
  topics: {partitions: 2, replication_factor: 1}
  registry: %s
%s
%s
stytch: {project_id: project-test-1, secret: stytch-secret, base_url: "http://127.0.0.1:1"}
organizations:
  select: SELECT id AS organization_external_id, name AS organization_name FROM teams
`, prefix, w.source, w.ledger, w.brokers, w.registry, w.kafka, w.auth)
}

func (w wiring) config(t *testing.T) *config.Config {
	t.Helper()
	cfg, err := config.Parse("acme.yaml", []byte(w.yaml(testenv.Name(t))), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// kafkaMechanisms: a record goes there and comes back, by every mechanism.
func (s *servers) kafkaMechanisms(t *testing.T) {
	t.Parallel()
	tls := fmt.Sprintf("  tls: {ca: %q}\n", s.ours.CA)
	sasl := func(mechanism string) string {
		return fmt.Sprintf("  sasl: {mechanism: %s, username: %s, password: %q}", mechanism, user, password)
	}
	for name, tt := range map[string]struct{ listener, yaml string }{
		"PLAIN":                 {encrypted, tls + sasl("PLAIN")},
		"SCRAM-SHA-256":         {encrypted, tls + sasl("SCRAM-SHA-256")},
		"SCRAM-SHA-512":         {encrypted, tls + sasl("SCRAM-SHA-512")},
		"without TLS":           {plaintext, sasl("SCRAM-SHA-512")},
		"client certificate":    {mutual, fmt.Sprintf("  tls: {ca: %q, cert: %q, key: %q, server_name: localhost}", s.ours.CA, s.client.Cert, s.client.Key)},
		"enabled, then said so": {encrypted, fmt.Sprintf("  tls: {enabled: true, ca: %q}\n", s.ours.CA) + sasl("PLAIN")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := s.right()
			w.brokers, w.kafka = s.kafka.Listener(tt.listener), tt.yaml
			clients, err := pipeline.NewClients(w.config(t))
			if err != nil {
				t.Fatal(err)
			}
			roundTrip(t, clients.Kafka)
		})
	}
}

func roundTrip(t *testing.T, opts []kgo.Opt) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	topic := testenv.Name(t)
	client, err := kgo.NewClient(append(opts, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 1, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("there and back")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	fetches := client.PollFetches(ctx)
	if err := fetches.Err(); err != nil || fetches.NumRecords() != 1 || string(fetches.Records()[0].Value) != "there and back" {
		t.Errorf("read %d records: %v", fetches.NumRecords(), err)
	}
}
