package wires_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/pipeline/preflight"
	"github.com/backstitch/backstitch/producers/replication"
)

// postgresWays: an ordinary session, a replication connection and the ledger's
// pool, each encrypted as the server sees it.
func (s *servers) postgresWays(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	certified, err := url.Parse(s.source)
	if err != nil {
		t.Fatal(err)
	}
	pair := s.ours.Issue(t, "certified")
	certified.User = url.User("certified")
	certified.RawQuery = "sslmode=verify-full&sslrootcert=" + s.ours.CA + "&sslcert=" + pair.Cert + "&sslkey=" + pair.Key
	for name, address := range map[string]string{
		"password":           s.right().source,
		"verify-ca":          strings.Replace(s.right().source, "verify-full", "verify-ca", 1),
		"client certificate": certified.String(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := s.right()
			w.source = address
			clients, err := pipeline.NewClients(w.config(t))
			if err != nil {
				t.Fatal(err)
			}
			conn, err := clients.ConnectSource(ctx, "wires")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(ctx)
			repl, err := replication.Connect(ctx, clients.Source, "wires-replication")
			if err != nil {
				t.Fatal(err)
			}
			defer repl.Close()
			pool, err := ledger.Open(ctx, w.ledger, "wires-ledger")
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			s.encrypted(t, conn.PgConn().PID(), repl.PID())
			var over bool
			if err := pool.QueryRow(ctx, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&over); err != nil || !over {
				t.Errorf("the ledger's session is encrypted: %t, %v", over, err)
			}
		})
	}
}

// encrypted asks the server how sessions reached it.
func (s *servers) encrypted(t *testing.T, pids ...uint32) {
	t.Helper()
	admin, err := pgx.Connect(context.Background(), s.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	var n int
	err = admin.QueryRow(context.Background(), "SELECT count(*) FROM pg_stat_ssl WHERE ssl AND pid = ANY($1)", pids).Scan(&n)
	if err != nil || n != len(pids) {
		t.Errorf("%d of %d sessions are encrypted: %v", n, len(pids), err)
	}
}

// accepted: with everything right, no wire is found wanting.
func (s *servers) accepted(t *testing.T) {
	t.Parallel()
	r, err := pipeline.Check(context.Background(), s.right().config(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range wireFindings(r) {
		t.Errorf("%+v", f)
	}
}

// wireFindings are those about connections to Postgres, Kafka and the registry.
func wireFindings(r *preflight.Report) []preflight.Finding {
	var out []preflight.Finding
	for _, f := range r.Findings {
		switch f.Code {
		case "source.unreachable", "ledger.unreachable", "kafka.unreachable", "kafka.registry", "source.tls", "ledger.tls", "kafka.sasl", "kafka.registry_auth":
			out = append(out, f)
		}
	}
	return out
}

// refused: what check says of a wire that its server does not take: file and line
// of the key, what is wrong, and the fix; never a password (invariant 8).
func (s *servers) refused(t *testing.T) {
	t.Parallel()
	tls := func(authority string) string { return "?sslmode=verify-full&sslrootcert=" + authority }
	brokers := func(ca, password string) string {
		return fmt.Sprintf("  tls: {ca: %q}\n  sasl: {mechanism: SCRAM-SHA-512, username: %s, password: %q}", ca, user, password)
	}
	registry := func(ca, password string) string {
		return fmt.Sprintf("  registry_auth: {username: %s, password: %q}\n  registry_tls: {ca: %q}", user, password, ca)
	}
	secret := url.QueryEscape(wrongPassword)
	wrong := strings.NewReplacer(url.UserPassword(user, password).String(), user+":"+strings.ReplaceAll(secret, "+", "%20"))
	ours, foreign := s.ours.CA, s.foreign.CA
	for _, tt := range []struct {
		name             string
		code, where, key string
		what, fix        string
		change           func(*wiring)
	}{
		{"source, foreign authority", "source.unreachable", ":3", "source.postgres", "certificate signed by unknown authority", "sslrootcert", func(w *wiring) { w.source = s.source + tls(foreign) }},
		{"source, wrong password", "source.unreachable", ":3", "source.postgres", "28P01", "Check user and password", func(w *wiring) { w.source = wrong.Replace(s.source) + tls(ours) }},
		{"source, plaintext", "source.unreachable", ":3", "source.postgres", "28000", "sslmode=verify-full", func(w *wiring) { w.source = s.source + "?sslmode=disable" }},
		{"ledger, foreign authority", "ledger.unreachable", ":5", "ledger", "certificate signed by unknown authority", "sslrootcert", func(w *wiring) { w.ledger = s.ledger + tls(foreign) }},
		{"ledger, wrong password", "ledger.unreachable", ":5", "ledger", "28P01", "Check user and password", func(w *wiring) { w.ledger = wrong.Replace(s.ledger) + tls(ours) }},
		{"ledger, plaintext", "ledger.unreachable", ":5", "ledger", "28000", "sslmode=verify-full", func(w *wiring) { w.ledger = s.ledger + "?sslmode=disable" }},
		{"kafka, foreign authority", "kafka.unreachable", ":10", "kafka.tls.ca", "certificate signed by unknown authority", "kafka.tls.ca", func(w *wiring) { w.kafka = brokers(foreign, password) }},
		{"kafka, another name", "kafka.unreachable", ":10", "kafka.tls.server_name", "kafka.internal", "server_name", func(w *wiring) {
			w.kafka = strings.Replace(brokers(ours, password), "}", ", server_name: kafka.internal}", 1)
		}},
		{"kafka, wrong password", "kafka.unreachable", ":11", "kafka.sasl", "invalid credentials", "Check username and password", func(w *wiring) { w.kafka = brokers(ours, wrongPassword) }},
		{"kafka, PLAIN, wrong password", "kafka.unreachable", ":11", "kafka.sasl", "SASL_AUTHENTICATION_FAILED", "Check username and password", func(w *wiring) {
			w.kafka = strings.Replace(brokers(ours, wrongPassword), "SCRAM-SHA-512", "PLAIN", 1)
		}},
		{"kafka, no credentials", "kafka.unreachable", ":6", "kafka.sasl", "is SASL missing", "give them under kafka.sasl", func(w *wiring) { w.kafka = fmt.Sprintf("  tls: {ca: %q}", ours) }},
		{"kafka, plaintext against TLS", "kafka.unreachable", ":6", "kafka.tls", "tls endpoint", "add kafka.tls", func(w *wiring) {
			w.kafka = strings.SplitN(brokers(ours, password), "\n", 2)[1]
		}},
		{"kafka, TLS against plaintext", "kafka.unreachable", ":10", "kafka.tls", "TLS", "use the port that does", func(w *wiring) { w.brokers = s.kafka.Listener(plaintext) }},
		{"kafka, no certificate", "kafka.unreachable", ":10", "kafka.tls", "tls: bad certificate", "kafka.tls.cert", func(w *wiring) {
			w.brokers, w.kafka = s.kafka.Listener(mutual), fmt.Sprintf("  tls: {ca: %q}", ours)
		}},
		{"registry, foreign authority", "kafka.registry", ":13", "kafka.registry_tls.ca", "certificate signed by unknown authority", "kafka.registry_tls.ca", func(w *wiring) { w.auth = registry(foreign, password) }},
		{"registry, wrong password", "kafka.registry", ":12", "kafka.registry_auth", "401", "Check username and password", func(w *wiring) { w.auth = registry(ours, wrongPassword) }},
		{"registry, plaintext against TLS", "kafka.registry", ":9", "kafka.registry", "HTTPS server", "https://", func(w *wiring) {
			w.registry, w.auth = strings.Replace(w.registry, "https", "http", 1), ""
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := s.right()
			tt.change(&w)
			r, err := pipeline.Check(context.Background(), w.config(t))
			if err != nil {
				t.Fatal(err)
			}
			found := wireFindings(r)
			if len(found) != 1 {
				t.Fatalf("got %+v", found)
			}
			f := found[0]
			if f.Code != tt.code || f.Key != tt.key || !strings.HasSuffix(f.Where, tt.where) || !strings.Contains(f.What, tt.what) || !strings.Contains(f.Fix, tt.fix) {
				t.Errorf("got %+v\nwant %s %s at %s: …%s…. …%s…", f, tt.code, tt.key, tt.where, tt.what, tt.fix)
			}
			for _, secret := range []string{password, wrongPassword, secret, "p%25ss", "stytch-secret"} {
				if strings.Contains(r.Text()+string(r.JSON()), secret) {
					t.Errorf("the report shows a secret (invariant 8): %s", r.Text())
				}
			}
		})
	}
}
