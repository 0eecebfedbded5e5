package integration_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
)

// The sandbox prints what a configuration needs; a pipeline runs on it; SIGTERM ends it.
func TestSandbox(t *testing.T) {
	t.Parallel()
	w := &harness.World{}
	p := w.Start(t, "sandbox", "--kafka-listen", "127.0.0.1:0", "--registry-listen", "127.0.0.1:0", "--stytch-listen", "127.0.0.1:0", "--stytch-roles", "admin,member")
	harness.Eventually(t, time.Minute, "the sandbox prints its addresses and warns", func() bool {
		return strings.Contains(p.Log(), "secret: ") && strings.Contains(p.Log(), "for trying out")
	})
	o := harness.Example()
	var printed string
	for _, line := range strings.SplitAfter(p.Log(), "\n") {
		if regexp.MustCompile(`^(\s+\S|source:|ledger:|kafka:|stytch:)`).MatchString(line) {
			printed += line
		}
	}
	legacy := regexp.MustCompile(`postgres: (\S+)`).FindStringSubmatch(printed)[1]
	seed(t, legacy, o.Schema+harness.ExampleRows(4))
	config := filepath.Join(t.TempDir(), "sandbox.yaml")
	text := strings.Replace(printed, "source:\n", "source:\n  tables: "+o.Tables+"\n", 1)
	text = "name: trial\n" + text + "organizations:\n" + o.Organizations + "\nmembers:\n" + o.Members + "\nadmin: {listen: \"127.0.0.1:0\"}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := w.Start(t, "run", "-c", config, "--until-caught-up")
	if code := run.Wait(t, time.Minute); code != 0 {
		t.Errorf("a run on the sandbox exits with %d:\n%s\n%s", code, text, tail(run.Log()))
	}
	if code := p.Stop(t); code != 0 {
		t.Errorf("SIGTERM ends the sandbox with %d", code)
	}
}

// The simulator alone answers with the credentials it was given, until stopped.
func TestSimulatorCommand(t *testing.T) {
	t.Parallel()
	w := &harness.World{}
	p := w.Start(t, "simulator", "--listen", "127.0.0.1:0", "--project-id", harness.ProjectID, "--secret", harness.Secret, "--rate-limit", "10/s", "--roles", "admin")
	harness.Eventually(t, 30*time.Second, "the simulator's address", func() bool { return strings.Contains(p.Log(), "http://") })
	address := regexp.MustCompile(`http://\S+`).FindString(p.Log())
	for secret, want := range map[string]int{harness.Secret: http.StatusOK, "wrong": http.StatusUnauthorized} {
		req, err := http.NewRequest("GET", address+"/v1/b2b/rbac/policy", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(harness.ProjectID, secret)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil || res.StatusCode != want {
			t.Errorf("%s answers %s, want %d (%v)", req.URL.Path, res.Status, want, err)
		}
	}
	if code := p.Stop(t); code != 0 {
		t.Errorf("SIGTERM ends the simulator with %d", code)
	}
}
