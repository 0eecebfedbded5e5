package integration_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
)

// What scripts rely on: exit codes, and the fields of `status --output json`.
func TestCommands(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(8)
	w := harness.New(t, o)
	if out, code := w.Command(t, "check"); code != 0 {
		t.Errorf("check of what is ready exits with %d:\n%s", code, out)
	}
	untilCaughtUp(t, w, 0)

	var status map[string]any
	if err := json.Unmarshal([]byte(w.Output(t, "status", "--output", "json")), &status); err != nil {
		t.Fatalf("status: %v", err)
	}
	for _, field := range []string{"name", "time", "connectors", "source", "backfill", "transform", "lag", "entities", "apply", "consents"} {
		if _, ok := status[field]; !ok {
			t.Errorf("status --output json lacks %q", field)
		}
	}
	if _, ok := status["problems"]; ok {
		t.Errorf("status could not read everything: %v", status["problems"])
	}
	if out := w.Output(t, "status"); !strings.Contains(out, w.Prefix+"-source") {
		t.Errorf("status says: %s", out)
	}

	w.Exec(t, "UPDATE users SET email = 'no address' WHERE id = 1")
	untilCaughtUp(t, w, 3)
	var parked []map[string]any
	if err := json.Unmarshal([]byte(w.Output(t, "parked", "list", "-o", "json")), &parked); err != nil || len(parked) == 0 {
		t.Fatalf("parked list: %v, %v", parked, err)
	}
	if out := w.Output(t, "parked", "list", "--reason", "domain_claimed"); strings.Count(out, "\n") != 1 {
		t.Errorf("parked by another reason: %s", out)
	}
	if out := w.Output(t, "parked", "retry", "--reason", "invalid_email"); strings.HasPrefix(out, "0 ") {
		t.Errorf("parked retry says: %s", out)
	}
	untilCaughtUp(t, w, 3)
	w.Exec(t, "UPDATE users SET email = 'user1@corp.example' WHERE id = 1")
	untilCaughtUp(t, w, 0)
	w.Clean(t)

	if out := w.Output(t, "approve", "list"); strings.Count(out, "\n") != 1 {
		t.Errorf("approve list, with nothing to approve: %s", out)
	}
	out := w.Output(t, "teardown")
	for _, want := range []string{"backstitch_" + w.Prefix + ": dropped", "left in Kafka: ", ".apply.live", "left in the registry: ", "-key"} {
		if !strings.Contains(out, want) {
			t.Errorf("teardown lacks %q:\n%s", want, out)
		}
	}
	if slotExists(t, w) {
		t.Error("teardown left the slot")
	}
	if out, code := w.Command(t, "run", "--until-caught-up"); code != 4 || !strings.Contains(out, "backfill --all") {
		t.Errorf("a run without its slot exits with %d, want 4 and the way out:\n%s", code, tail(out)) // hazard S12
	}
}

// SIGTERM drains a run that was told to go on for ever, and one that is catching up
// says that it was interrupted.
func TestTeardownBesideARun(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(5)
	w := harness.New(t, o)
	p := w.Run(t)
	w.CaughtUp(t, time.Minute)
	if out, code := w.Command(t, "teardown"); code != 1 || !strings.Contains(out, "stop it first") {
		t.Errorf("teardown beside a run exits with %d: %s", code, out)
	}
	if code := p.Stop(t); code != 0 {
		t.Errorf("SIGTERM ends with %d", code)
	}
}

// Usage and configuration errors exit with 2 and name what is wrong.
func TestUsage(t *testing.T) {
	t.Parallel()
	w := &harness.World{}
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("name: acme\nsorce: {}\nmembers: {totp: {}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"frobnicate"}, "frobnicate"},
		{[]string{"run"}, "-c FILE"},
		{[]string{"run", "-c", bad, "extra"}, ""},
		{[]string{"run", "-c", bad, "--no-such-flag"}, "no-such-flag"},
		{[]string{"run", "-c", bad}, "bad.yaml:2"},
		{[]string{"check", "-c", bad}, "not yet"},
		{[]string{"run", "-c", "/does/not/exist.yaml"}, "exist.yaml"},
		{[]string{"status", "-c", bad, "-o", "xml"}, "xml"},
		{[]string{"backfill", "-c", bad}, ""},
		{[]string{"replay", "apply", "-c", bad}, "--to-earliest"},
		{[]string{"replay"}, "apply"},
		{[]string{"parked"}, "list, show, retry or drop"},
		{[]string{"approve", "-c", bad}, "want list"},
		{[]string{"sandbox", "--only", "mysql"}, "mysql"},
		{[]string{"simulator", "--rate-limit", "fast"}, "100/s"},
		{[]string{"demo", "--teams", "1"}, "at least"},
	} {
		p := w.Start(t, c.args...)
		if code := p.Wait(t, 30*time.Second); code != 2 || !strings.Contains(p.Log(), c.want) {
			t.Errorf("backstitch %s exits with %d, want 2 and %q:\n%s", strings.Join(c.args, " "), code, c.want, p.Log())
		}
	}
	p := w.Start(t, "help")
	if code := p.Wait(t, 30*time.Second); code != 0 || !strings.Contains(p.Log(), "sandbox") {
		t.Errorf("help exits with %d:\n%s", code, p.Log())
	}
}

// The sandbox prints what a configuration needs; a pipeline runs on it; SIGTERM ends it.
func TestSandbox(t *testing.T) {
	t.Parallel()
	w := &harness.World{}
	p := w.Start(t, "sandbox", "--kafka-listen", "127.0.0.1:0", "--registry-listen", "127.0.0.1:0", "--stytch-listen", "127.0.0.1:0", "--stytch-roles", "admin,member")
	harness.Eventually(t, time.Minute, "the sandbox prints its addresses", func() bool { return strings.Contains(p.Log(), "secret: ") })
	if !strings.Contains(p.Log(), "for trying out") {
		t.Errorf("the sandbox does not warn:\n%s", p.Log())
	}
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
