package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/integration/testenv"
)

// wired is minimal with more under kafka, more under source, and more at the top.
func wired(kafka, source, top string) string {
	s := strings.Replace(minimal, "  registry:", kafka+"  registry:", 1)
	return strings.Replace(s, "  postgres:", source+"  postgres:", 1) + top
}

func TestWires(t *testing.T) {
	t.Parallel()
	a := testenv.NewAuthority(t)
	pair := a.Issue(t, "backstitch")
	yaml := wired(fmt.Sprintf(`  tls: {ca: %[1]q, cert: %[2]q, key: %[3]q, server_name: kafka.internal}
  sasl: {mechanism: SCRAM-SHA-256, username: me, password: "${SECRET}"}
  registry_auth: {username: me, password: "${SECRET}"}
  registry_tls: {ca: "${file:%[1]s}"}
`, a.CA, pair.Cert, pair.Key), "  slot: {max_retained: 1.5GB, on_exceed: drop}\n",
		fmt.Sprintf("admin: {listen: ':8710', token: 0123456789abcdef, tls: {cert: %q, key: %q}, advertised: 'host-1:8710'}\n", pair.Cert, pair.Key))
	if _, err := parse(yaml); err == nil || !strings.Contains(err.Error(), "kafka.registry is an http URL") {
		t.Fatalf("registry_tls over http: %v", err)
	}
	c, err := parse(strings.Replace(yaml, "http://localhost:8081", "https://localhost:8081", 1))
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Source; s.Slot != "backstitch_acme" || s.SlotMaxRetained != 3<<29 || s.SlotOnExceed != "drop" {
		t.Errorf("slot: %+v", s)
	}
	if got, want := c.Where("source.slot.max_retained"), "acme.yaml:3"; got != want {
		t.Errorf("the limit stands at %s, want %s", got, want)
	}
	if !c.Kafka.TLS.Enabled {
		t.Error("a tls block without enabled does not count")
	}
	conf, err := c.Kafka.TLS.Config()
	if err != nil || conf.RootCAs == nil || len(conf.Certificates) != 1 || conf.ServerName != "kafka.internal" || conf.InsecureSkipVerify {
		t.Errorf("kafka.tls: %+v, %v", conf, err)
	}
	if conf, err = c.Kafka.RegistryTLS.Config(); err != nil || conf.RootCAs == nil {
		t.Errorf("kafka.registry_tls with the content of a file: %+v, %v", conf, err)
	}
	if conf, err = c.Admin.TLS.Config(); err != nil || len(conf.Certificates) != 1 {
		t.Errorf("admin.tls: %+v, %v", conf, err)
	}
	if shown := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(shown, "hidden") || strings.Contains(shown, "0123456789abcdef") {
		t.Errorf("a secret shows: %s", shown) // invariant 8
	}
}

func TestShorthands(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		yaml string
		ok   func(*Config) bool
	}{
		"slot by name":        {wired("", "  slot: mine\n", ""), func(c *Config) bool { return c.Source.Slot == "mine" }},
		"slot as a block":     {wired("", "  slot: {name: mine, max_retained: 0}\n", ""), func(c *Config) bool { return c.Source.Slot == "mine" && c.Source.SlotMaxRetained == 0 }},
		"size by reference":   {wired("", "  slot: {max_retained: \"${PARTITIONS}MB\"}\n", ""), func(c *Config) bool { return c.Source.SlotMaxRetained == 7<<20 }},
		"tls off":             {wired("  tls: {enabled: false, ca: /nowhere}\n", "", ""), func(c *Config) bool { return !c.Kafka.TLS.Enabled }},
		"the system's":        {wired("  tls: {}\n", "", ""), func(c *Config) bool { return c.Kafka.TLS.Enabled }},
		"plaintext":           {wired("", "", "admin: {listen: '0.0.0.0:1', token: 0123456789abcdef, plaintext: true}\n"), func(c *Config) bool { return !c.Admin.Loopback() }},
		"loopback":            {wired("", "", "admin: {listen: 'localhost:1'}\n"), func(c *Config) bool { return c.Admin.Loopback() }},
		"loopback, version 6": {wired("", "", "admin: {listen: '[::1]:1'}\n"), func(c *Config) bool { return c.Admin.Loopback() }},
		"credentials in a URL": {strings.Replace(minimal, "http://localhost", "http://me:hidden@localhost", 1), func(c *Config) bool {
			return c.Kafka.Registry == "http://localhost:8081" && c.Kafka.RegistryAuth == RegistryAuth{"me", "hidden"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := parse(tt.yaml)
			if err != nil || !tt.ok(c) {
				t.Errorf("got %+v, %v", c, err)
			}
		})
	}
}

func TestRefusesWires(t *testing.T) {
	t.Parallel()
	a := testenv.NewAuthority(t)
	pair, other := a.Issue(t, "backstitch"), a.Issue(t, "other")
	sealed := filepath.Join(t.TempDir(), "sealed")
	if err := os.WriteFile(sealed, []byte("hidden"), 0); err != nil {
		t.Fatal(err)
	}
	junk := filepath.Join(t.TempDir(), "junk")
	if err := os.WriteFile(junk, []byte("hidden"), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		sealed = filepath.Join(t.TempDir(), "nowhere") // root reads everything
	}
	for _, tt := range []struct{ name, yaml, want string }{
		{"no authority", wired("  tls: {ca: /nowhere}\n", "", ""), "acme.yaml:7: kafka.tls.ca: open /nowhere: no such file or directory. Put the file there"},
		{"junk", wired("  tls: {ca: "+junk+"}\n", "", ""), "kafka.tls.ca: it holds no certificate in PEM form. Name a PEM file"},
		{"sealed", wired("  tls:\n    cert: "+pair.Cert+"\n    key: "+sealed+"\n", "", ""), "acme.yaml:9: kafka.tls.key: open " + sealed},
		{"no key", wired("  tls: {cert: "+pair.Cert+"}\n", "", ""), "acme.yaml:7: kafka.tls.key: a certificate needs its private key"},
		{"no certificate", wired("  tls: {key: hidden}\n", "", ""), "acme.yaml:7: kafka.tls.cert: a key needs its certificate"},
		{"another key", wired("  tls: {cert: "+pair.Cert+", key: "+other.Key+"}\n", "", ""), "kafka.tls.key: certificate and private key do not go together"},
		{"unverified", wired("  tls: {insecure: true}\n", "", ""), "acme.yaml:7: unknown key kafka.tls.insecure. Certificates are always verified"},
		{"half a SASL", wired("  sasl: {mechanism: PLAIN}\n", "", ""), "kafka.sasl.password is missing"},
		{"empty password", wired("  sasl: {mechanism: PLAIN, username: me, password: ''}\n", "", ""), "acme.yaml:7: kafka.sasl has an empty username or password"},
		{"unknown mechanism", wired("  sasl: {mechanism: hidden, username: a, password: b}\n", "", ""), "kafka.sasl.mechanism wants PLAIN or SCRAM-SHA-256 or SCRAM-SHA-512"},
		{"credentials twice", strings.Replace(wired("  registry_auth: {username: a, password: hidden}\n", "", ""), "http://localhost", "http://me:hidden@localhost", 1), "acme.yaml:7: the registry's credentials stand in its URL as well"},
		{"registry as a block", strings.Replace(minimal, "registry: http://localhost:8081", "registry: {url: hidden}", 1), "acme.yaml:7: kafka.registry wants text, not keys. Write kafka.registry: URL, its credentials under"},
		{"size without unit", wired("", "  slot: {max_retained: 10}\n", ""), "acme.yaml:3: source.slot.max_retained wants a size such as 512MB or 10GB"},
		{"no size", wired("", "  slot: {max_retained: hidden}\n", ""), "acme.yaml:3: source.slot.max_retained wants a size"},
		{"drop over nothing", wired("", "  slot: {on_exceed: drop}\n", ""), "acme.yaml:3: source.slot.on_exceed is drop, and there is no limit to exceed"},
		{"neither", wired("", "  slot: {max_retained: 1GB, on_exceed: hidden}\n", ""), "source.slot.on_exceed wants alert or drop"},
		{"dotted", wired("", "  slot.max_retained: 1GB\n", ""), "unknown key source.slot.max_retained. Write it as a block: slot: {max_retained: …}"},
		{"unknown in the slot's block", wired("", "  slot: {max: 1GB}\n", ""), "acme.yaml:3: unknown key source.slot.max. Known here: max_retained, on_exceed, name"},
		{"tls of the source", wired("", "  tls: {}\n", ""), "acme.yaml:3: unknown key source.tls. Put sslmode=verify-full"},
		{"open", minimal + "admin: {listen: '0.0.0.0:1'}\n", "acme.yaml:12: admin.listen can be reached from other machines, and admin.token is not set"},
		{"open, any address", minimal + "admin: {listen: ':1', plaintext: true}\n", "admin.token is not set"},
		{"open without TLS", minimal + "admin: {listen: 'host-1:1', token: 0123456789abcdef}\n", "can be reached from other machines without TLS"},
		{"short token", minimal + "admin: {token: hidden}\n", "acme.yaml:12: admin.token has fewer than 16 characters"},
		{"bad certificate", minimal + "admin:\n  tls: {cert: /nowhere, key: hidden}\n", "acme.yaml:13: admin.tls.cert: open /nowhere"},
		{"advertised to nobody", minimal + "admin: {advertised: '0.0.0.0:1'}\n", "admin.advertised is no address to dial"},
		{"no sslrootcert", strings.Replace(minimal, "${LEDGER}", "postgres://u:hidden@h/x?sslmode=verify-full&sslrootcert=/nowhere", 1), "acme.yaml:8: ledger: sslrootcert, sslcert or sslkey: open /nowhere: no such file"},
		{"junk as sslrootcert", strings.Replace(minimal, "${LEDGER}", "postgres://u:hidden@h/x?sslmode=verify-full&sslrootcert="+junk, 1), "acme.yaml:8: ledger"},
		{"a directory as secret", strings.Replace(minimal, "${LEDGER}", "${file:/}", 1), "acme.yaml:8: ledger: read the referenced file: read /: is a directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := parse(tt.yaml)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got  %v\nwant %s", err, tt.want)
			}
			if strings.Contains(err.Error(), "hidden") {
				t.Errorf("the error shows a value (invariant 8): %v", err)
			}
		})
	}
}

// TestUnverified: every way that pgx would try must be encrypted and verified.
func TestUnverified(t *testing.T) {
	t.Parallel()
	a := testenv.NewAuthority(t)
	for url, want := range map[string]bool{
		"postgres://u@db/x":                                     true, // prefer: plaintext where the server says so
		"postgres://u@db/x?sslmode=disable":                     true,
		"postgres://u@db/x?sslmode=require":                     true,
		"postgres://u@db/x?sslmode=verify-ca":                   false,
		"postgres://u@db/x?sslmode=verify-full":                 false,
		"postgres://u@db/x?sslmode=require&sslrootcert=" + a.CA: false, // libpq's rule: verify-ca
		"postgres://u@127.0.0.1/x?sslmode=disable":              false,
		"postgres://u@localhost/x":                              false,
		"postgres:///x?host=/run/postgresql":                    false,
		"postgres://u@localhost,db/x?sslmode=disable":           true,
	} {
		if got := Unverified(Secret(url)); got != want {
			t.Errorf("%s: %t", url, got)
		}
	}
}

func TestParseSize(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int64{"0": 0, "1kB": 1 << 10, "512MB": 512 << 20, "10 GB": 10 << 30, "1.5TB": 3 << 39} {
		if got, err := ParseSize(s); got != want || err != nil {
			t.Errorf("%s is %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "5", "GB", "-1GB", "1e99GB", "NaNGB", "infTB", "1GiB", "1 G"} {
		if got, err := ParseSize(s); err == nil {
			t.Errorf("%s is %d", s, got)
		}
	}
}
