package wires_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/integration/testenv/jvmkafka"
	"github.com/backstitch/backstitch/pipeline/sandbox/postgres"
	"github.com/backstitch/backstitch/pipeline/sandbox/process"
)

// Who we are to the servers. The password needs escaping in URLs and in YAML.
const (
	user          = "backstitch"
	password      = "wire p%ss:w@rd/#1"
	wrongPassword = "wire wrong password"
)

// Listeners of the broker.
const (
	encrypted = "ENCRYPTED" // SASL over TLS
	mutual    = "MUTUAL"    // TLS with a client certificate
	plaintext = "CLEAR"     // SASL without TLS
)

// servers demand TLS and credentials.
type servers struct {
	ours, foreign *testenv.Authority
	client        testenv.KeyPair // signed by ours, CN backstitch
	kafka         *jvmkafka.Broker
	source        string // URL without sslmode and the like
	ledger        string
	admin         string // the PostgreSQL superuser's URL
	registry      string // URL without credentials
}

func startServers(t *testing.T) *servers {
	t.Helper()
	s := &servers{ours: testenv.NewAuthority(t), foreign: testenv.NewAuthority(t)}
	s.client = s.ours.Issue(t, user)
	s.startKafka(t)
	s.startPostgres(t)
	s.registry = registryBehindTLS(t, s.ours, password)
	return s
}

// startKafka runs a broker whose users log in with every mechanism.
func (s *servers) startKafka(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	pair := s.ours.Issue(t, "127.0.0.1", "localhost")
	properties := map[string]string{
		"ssl.keystore.type":       "PEM",
		"ssl.keystore.location":   joined(t, pair.Key, pair.Cert),
		"ssl.truststore.type":     "PEM",
		"ssl.truststore.location": s.ours.CA,
		"sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		"listener.name." + strings.ToLower(mutual) + ".ssl.client.auth": "required",
	}
	for _, l := range []string{encrypted, plaintext} {
		prefix := "listener.name." + strings.ToLower(l)
		properties[prefix+".plain.sasl.jaas.config"] = fmt.Sprintf(
			`org.apache.kafka.common.security.plain.PlainLoginModule required user_%s="%s";`, user, password)
		for _, scram := range []string{"256", "512"} {
			properties[prefix+".scram-sha-"+scram+".sasl.jaas.config"] = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
		}
	}
	s.kafka = harness.OwnKafka(t, jvmkafka.Options{
		Listeners: map[string]string{encrypted: "SASL_SSL", mutual: "SSL", plaintext: "SASL_PLAINTEXT"}, Properties: properties,
	})
	client, err := kgo.NewClient(kgo.SeedBrokers(s.kafka.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, mechanism := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} {
		altered, err := kadm.NewClient(client).AlterUserSCRAMs(ctx, nil,
			[]kadm.UpsertSCRAM{{User: user, Mechanism: mechanism, Iterations: 4096, Password: password}})
		if err == nil {
			err = altered.Error()
		}
		if err != nil {
			t.Fatalf("create the %s user: %v", mechanism, err)
		}
	}
}

// startPostgres runs a server that takes nobody but its superuser without TLS.
func (s *servers) startPostgres(t *testing.T) {
	t.Helper()
	pair := s.ours.Issue(t, "127.0.0.1", "localhost")
	dir := readable(t, map[string]string{
		"cert.pem": read(t, pair.Cert), "key.pem": read(t, pair.Key), "ca.pem": read(t, s.ours.CA),
		"hba.conf": `host    all postgres   127.0.0.1/32 scram-sha-256
hostssl all certified  127.0.0.1/32 cert
hostssl all all        127.0.0.1/32 scram-sha-256
`,
	})
	server := testenv.OwnPostgres(t, map[string]string{
		"ssl": "on", "ssl_cert_file": dir + "/cert.pem", "ssl_key_file": dir + "/key.pem", "ssl_ca_file": dir + "/ca.pem",
		"hba_file": dir + "/hba.conf",
	})
	s.admin = server.URL("postgres")
	s.exec(t, "CREATE ROLE certified LOGIN REPLICATION SUPERUSER")
	s.exec(t, "CREATE ROLE "+user+" LOGIN REPLICATION SUPERUSER PASSWORD '"+password+"'")
	s.source, s.ledger = s.database(t, server, "legacy"), s.database(t, server, "ledger")
}

func (s *servers) database(t *testing.T, server *postgres.Server, name string) string {
	t.Helper()
	made, err := server.CreateDatabase(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(made)
	if err != nil {
		t.Fatal(err)
	}
	u.User, u.RawQuery = url.UserPassword(user, password), ""
	return u.String()
}

func (s *servers) exec(t *testing.T, sql string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), s.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		t.Fatal(err)
	}
}

// registryBehindTLS is a schema registry that asks for a certificate's trust and a
// password.
func registryBehindTLS(t *testing.T, a *testenv.Authority, secret string) string {
	t.Helper()
	inner := srfake.NewRegistry().Handler()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != user || p != secret {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error_code":401,"message":"Unauthorized"}`))
			return
		}
		inner.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = nil
	server.TLS = a.Issue(t, "127.0.0.1").TLS(t)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// readable writes files where the user of the PostgreSQL server can read them.
func readable(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "backstitch-wires-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Log(err)
		}
	})
	owner, err := process.Unprivileged("postgres", "nobody")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		err = errors.Join(err, os.WriteFile(path, []byte(content), 0o600), owner.Own(path))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// joined is one PEM file of several.
func joined(t *testing.T, paths ...string) string {
	t.Helper()
	var all strings.Builder
	for _, p := range paths {
		all.WriteString(read(t, p))
	}
	path := filepath.Join(t.TempDir(), "joined.pem")
	if err := os.WriteFile(path, []byte(all.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
