package integration_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/integration/testenv"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// script runs testdata/connect.sh, which knows Kafka Connect's REST interface only.
func script(t *testing.T, p *harness.Process, args ...string) []string {
	t.Helper()
	for _, tool := range []string{"curl", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			testenv.Missing(t, tool+" (apt-get install "+tool+")")
		}
	}
	cmd := exec.Command("testdata/connect.sh", append([]string{p.AdminURL(t)}, args...)...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("connect.sh %v: %v\n%s%s", args, err, out, complaints.String())
	}
	return strings.Fields(string(out))
}

// A script that was written for Kafka Connect restarts what has failed, pauses,
// resumes, and sets offsets back while the connector is stopped, from any instance.
func TestScriptForKafkaConnectWorks(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(6)
	w := harness.New(t, o)
	p, other := w.Run(t), w.Run(t)
	w.CaughtUp(t, 2*time.Minute)
	apply := w.Prefix + "-apply"

	fault := w.Simulator.Inject(simulator.Fault{Kind: simulator.Status, Status: 401, ErrorType: "unauthorized_credentials"})
	w.Exec(t, "UPDATE users SET name = 'Nobody may write it yet'")
	harness.Eventually(t, 2*time.Minute, "a failed task", func() bool { return len(script(t, other, "failed")) > 0 })
	for _, task := range script(t, p, "failed") {
		if !strings.HasPrefix(task, apply+"/tasks/") {
			t.Errorf("%s has failed", task)
		}
	}
	if trace := strings.Join(script(t, p, "trace", apply), " "); !strings.Contains(trace, "unauthorized_credentials") {
		t.Errorf("the trace says %q", trace)
	}
	fault.Remove()
	harness.Eventually(t, 2*time.Minute, "nothing fails any more", func() bool {
		for _, code := range script(t, p, "restart-failed") {
			if code != "204" {
				t.Errorf("a task's restart answers %s", code)
			}
		}
		return allRun(connectors(t, p))
	})
	w.CaughtUp(t, 2*time.Minute)

	if code := script(t, other, "pause", apply); !slices.Equal(code, []string{"202"}) {
		t.Errorf("pause answers %s", code)
	}
	if code := script(t, p, "resume", apply); !slices.Equal(code, []string{"202"}) {
		t.Errorf("resume answers %s", code)
	}
	w.CaughtUp(t, 2*time.Minute)
	w.Drained(t, 2*time.Minute)

	if said := script(t, other, "level", "FATAL"); !slices.Equal(said, []string{"200", "ERROR"}) {
		t.Errorf("the log level says %s", said)
	}
	lines := strings.Count(other.Log(), "level=INFO")
	before := w.Simulator.Seq()
	for _, change := range []string{"rewind", "reset"} {
		if code := script(t, p, "stop", apply); !slices.Equal(code, []string{"204"}) {
			t.Errorf("stop answers %s", code)
		}
		at := script(t, p, "offsets", apply)
		if code := script(t, p, change, apply); !slices.Equal(code, []string{"200"}) {
			t.Errorf("%s answers %s", change, code)
		}
		if now := script(t, other, "offsets", apply); slices.Equal(at, now) {
			t.Errorf("%s left the offsets %s", change, now)
		}
		script(t, other, "resume", apply)
		w.Drained(t, 2*time.Minute)
	}
	transform := w.Prefix + "-transform"
	script(t, p, "stop", transform)
	at := script(t, p, "offsets", transform)
	for _, change := range []string{"rewind", "reset"} {
		if code := script(t, other, change, transform); !slices.Equal(code, []string{"200"}) {
			t.Errorf("%s of the transform answers %s", change, code)
		}
	}
	if now := script(t, p, "offsets", transform); !slices.Equal(at, now) {
		t.Errorf("the mirror stood at %s, and stands at %s", at, now)
	}
	script(t, p, "resume", transform)
	w.CaughtUp(t, 2*time.Minute)
	if n := w.Simulator.Seq() - before; n != 0 { // invariant 5
		t.Errorf("records that were read again made %d calls", n)
	}
	if n := strings.Count(other.Log(), "level=INFO"); n != lines {
		t.Errorf("%d lines of level INFO after the level was set to ERROR: a stop says some", n-lines)
	}
	harness.NothingAside(t, w.Clean(t))
}

// Held is a FAILED task whose trace gives reason and fix: a restart does not clear
// it, a person's consent does.
func TestRestartDoesNotClearAHold(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(6)
	w := harness.New(t, o)
	p := w.Run(t)
	w.CaughtUp(t, 2*time.Minute)
	transform := w.Prefix + "-transform"
	w.Exec(t, "TRUNCATE team_members")
	id, _ := consent(t, w)
	held := func() bool {
		trace := strings.Join(script(t, p, "trace", transform), " ")
		return slices.Equal(script(t, p, "failed"), []string{transform + "/tasks/0"}) && strings.Contains(trace, "public.team_members") && strings.Contains(trace, "backstitch approve "+id)
	}
	harness.Eventually(t, 2*time.Minute, "the transform is held, with reason and fix", held)
	if ids := script(t, p, "restart-all", transform); !slices.Equal(ids, []string{"0"}) {
		t.Errorf("the restart begins with the tasks %s anew", ids)
	}
	harness.Eventually(t, 2*time.Minute, "the transform starts anew", func() bool { return strings.Contains(p.Log(), "the connector stops") })
	harness.Eventually(t, 2*time.Minute, "the transform is held again", held)

	w.Output(t, "approve", id)
	harness.Eventually(t, 2*time.Minute, "the transform goes on", func() bool { return len(script(t, p, "failed")) == 0 })
	w.CaughtUp(t, 2*time.Minute)
	harness.NothingAside(t, w.Clean(t))
}
