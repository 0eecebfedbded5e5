package deploy

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/backstitch/backstitch/integration/testenv/jvmkafka"
	"github.com/backstitch/backstitch/pipeline/config"
)

// composition is what the tests need of a compose file.
type composition struct {
	Services map[string]composed
	Secrets  map[string]struct{ File string }
	Volumes  map[string]any
}

type composed struct {
	Image       string
	Build       *struct{ Context, Dockerfile string }
	Command     []string
	Environment map[string]string
	Secrets     []string
	Volumes     []string
	Ports       []string
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Healthcheck *struct{ Test []string }
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	Stop        string   `yaml:"stop_grace_period"`
}

func compose(t *testing.T) *composition {
	t.Helper()
	c := &composition{}
	if err := yaml.Unmarshal([]byte(read(t, "compose.yaml")), c); err != nil {
		t.Fatal(err)
	}
	return c
}

// Everything that the compose file names is there: files, secrets, volumes, services,
// and the health that others wait for.
func TestComposeNamesWhatIsThere(t *testing.T) {
	c := compose(t)
	for name, s := range c.Services {
		for _, secret := range s.Secrets {
			if strings.TrimSpace(read(t, c.Secrets[secret].File)) == "" {
				t.Errorf("%s: secret %s has no content", name, secret)
			}
		}
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			_, declared := c.Volumes[from]
			if _, err := os.Stat(from); err != nil && !declared {
				t.Errorf("%s: %s is neither a volume nor a file", name, from)
			}
		}
		for other, wait := range s.DependsOn {
			if on, ok := c.Services[other]; !ok {
				t.Errorf("%s waits for %s, which is no service", name, other)
			} else if wait.Condition == "service_healthy" && on.Healthcheck == nil {
				t.Errorf("%s waits for the health of %s, which has no check", name, other)
			}
		}
		if _, tag, ok := strings.Cut(s.Image, ":"); !ok || tag == "latest" {
			t.Errorf("%s: image %s names no version", name, s.Image)
		}
	}
	if want := "apache/kafka:" + jvmkafka.Version; c.Services["kafka"].Image != want {
		t.Errorf("kafka is %s, the tests run on %s", c.Services["kafka"].Image, want)
	}
}

// Both instances run as the container file promises: nothing to write to, no
// privileges, and time to drain.
func TestComposeInstances(t *testing.T) {
	c := compose(t)
	for _, name := range []string{"backstitch", "backstitch-2"} {
		s := c.Services[name]
		if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || s.Stop != fmt.Sprintf("%ds", graceSeconds(t)) {
			t.Errorf("%s: %+v", name, s)
		}
		if s.Build == nil || filepath.Join(s.Build.Context, s.Build.Dockerfile) != filepath.Join("..", "deploy", "Containerfile") {
			t.Errorf("%s is built from %+v", name, s.Build)
		}
	}
}

// graceSeconds is how long a container may take to stop: the drain of `run`, and the
// looks at ledger and slot that follow it, in 15 s.
func graceSeconds(t *testing.T) int {
	t.Helper()
	drain := regexp.MustCompile(`drainTime = (\d+) \* time\.Second`).FindStringSubmatch(read(t, "../pipeline/cli/run.go"))
	if drain == nil {
		t.Fatal("pipeline/cli/run.go does not say how long a drain may take")
	}
	var n int
	fmt.Sscan(drain[1], &n)
	return n + 15
}

// The configuration reaches what the compose file starts, with secrets that the
// instances get, and everybody agrees on ports.
func TestComposeAgreesWithItsConfiguration(t *testing.T) {
	c := compose(t)
	instance := c.Services["backstitch"]
	cfg := composeConfig(t, c, instance.Secrets)
	kafka := c.Services["kafka"].Environment
	listening := map[string]bool{"legacy:5432": true, "ledger:5432": true}
	for _, l := range strings.Split(kafka["KAFKA_ADVERTISED_LISTENERS"], ",") {
		name, address, _ := strings.Cut(l, "://")
		_, port, _ := strings.Cut(address, ":")
		listening[address] = true
		if !strings.Contains(kafka["KAFKA_LISTENERS"], name+"://:"+port) || !strings.Contains(kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"], name+":PLAINTEXT") {
			t.Errorf("kafka advertises %s and does not listen there", l)
		}
	}
	listening["registry:"+portOf(t, c.Services["registry"].Environment["SCHEMA_REGISTRY_LISTENERS"])] = true
	simulator := c.Services["simulator"].Command
	listening["simulator:"+portOf(t, "http://"+simulator[slices.Index(simulator, "--listen")+1])] = true
	for _, u := range append([]string{cfg.Source.Postgres.Reveal(), cfg.Ledger.Reveal(), cfg.Kafka.Registry, cfg.Stytch.BaseURL}, asURLs(cfg.Kafka.Brokers)...) {
		parsed, err := url.Parse(u)
		if err != nil || !listening[parsed.Host] {
			t.Errorf("nobody listens at %s (%v), but at %v", parsed.Host, err, listening)
		}
		if _, waits := instance.DependsOn[parsed.Hostname()]; !waits {
			t.Errorf("an instance does not wait for %s", parsed.Hostname())
		}
	}
	if broker := strings.TrimPrefix(c.Services["registry"].Environment["SCHEMA_REGISTRY_KAFKASTORE_BOOTSTRAP_SERVERS"], "PLAINTEXT://"); !listening[broker] {
		t.Errorf("the registry looks for a broker at %s", broker)
	}
	_, port, _ := net.SplitHostPort(cfg.Admin.Listen)
	for _, name := range []string{"backstitch", "backstitch-2"} {
		s := c.Services[name]
		if !strings.HasPrefix(s.Ports[0], "127.0.0.1:") || !strings.HasSuffix(s.Ports[0], ":"+port) {
			t.Errorf("%s publishes %v; it listens on %s without TLS, for this machine only", name, s.Ports, port)
		}
		if !strings.Contains(read(t, "compose/prometheus.yml"), fmt.Sprintf("%q", name+":"+port)) {
			t.Errorf("Prometheus does not scrape %s:%s", name, port)
		}
	}
	if max := c.Services["legacy"].Command; !slices.Contains(max, "wal_level=logical") {
		t.Errorf("the legacy server runs with %v", max)
	}
	if secret := strings.TrimSpace(read(t, c.Secrets["stytch_secret"].File)); secret != cfg.Stytch.Secret.Reveal() || secret != "secret-test-sandbox" {
		t.Error("the simulator takes another secret than the configuration has")
	}
}

// composeConfig reads the configuration with the secrets of a service where it would
// see them.
func composeConfig(t *testing.T, c *composition, secrets []string) *config.Config {
	t.Helper()
	dir := secretsIn(t, c, secrets)
	text := replaced(t, read(t, "compose/backstitch.yaml"), "file:/run/secrets/", "file:"+dir+"/")
	cfg, err := config.Parse("compose/backstitch.yaml", []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func secretsIn(t *testing.T, c *composition, secrets []string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range secrets {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(read(t, c.Secrets[name].File)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || u.Port() == "" {
		t.Fatalf("%q has no port", address)
	}
	return u.Port()
}

func asURLs(hosts []string) []string {
	urls := make([]string, len(hosts))
	for i, h := range hosts {
		urls[i] = "kafka://" + h
	}
	return urls
}
