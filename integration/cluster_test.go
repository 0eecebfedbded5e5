package integration_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/pipeline/admin"
)

// What a person sets in one instance is the cluster's, and outlives every instance.
func TestTargetsAreTheClusters(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(5)
	w := harness.New(t, o)
	untilCaughtUp(t, w, 0)
	first, second := w.Run(t), w.Run(t)
	harness.Eventually(t, time.Minute, "every task runs", func() bool { return allRun(connectors(t, second)) })

	apply := "/connectors/" + w.Prefix + "-apply"
	call(t, second, "PUT", apply+"/stop", http.StatusNoContent)
	harness.Eventually(t, 30*time.Second, "apply has no tasks any more", func() bool {
		s := connectors(t, first)[w.Prefix+"-apply"]
		return s.Connector.State == "STOPPED" && len(s.Tasks) == 0
	})
	seq := w.Simulator.Seq()
	call(t, first, "DELETE", apply+"/offsets", http.StatusOK)
	call(t, first, "DELETE", "/connectors/"+w.Prefix+"-source/offsets", http.StatusMethodNotAllowed)
	w.Exec(t, "UPDATE users SET name = 'While apply is stopped' WHERE id = 3")
	first.Stop(t)
	if strings.Contains(first.Log(), "is left behind") {
		t.Error("the first says that the slot is left behind, and the second reads it")
	}
	second.Stop(t)
	if !strings.Contains(second.Log(), "slot backstitch_"+w.Prefix+" is left behind and retains ") {
		t.Errorf("the last one does not say that it leaves the slot behind:\n%s", tail(second.Log()))
	}
	third := w.Run(t)
	harness.Eventually(t, time.Minute, "the source runs, apply does not", func() bool {
		all := connectors(t, third)
		return running(all[w.Prefix+"-source"]) && running(all[w.Prefix+"-transform"]) && all[w.Prefix+"-apply"].Connector.State == "STOPPED"
	})
	if n := w.Simulator.Seq() - seq; n != 0 {
		t.Errorf("%d calls while apply was stopped", n)
	}
	call(t, third, "PUT", apply+"/resume", http.StatusAccepted)
	call(t, third, "DELETE", apply+"/offsets", http.StatusBadRequest)
	w.CaughtUp(t, time.Minute)
	w.Clean(t)

	source := "/connectors/" + w.Prefix + "-source"
	call(t, third, "PUT", source+"/pause", http.StatusAccepted)
	harness.Eventually(t, 30*time.Second, "the source's task is paused", func() bool {
		s := connectors(t, third)[w.Prefix+"-source"]
		return s.Connector.State == "PAUSED" && len(s.Tasks) == 1 && s.Tasks[0].State == "PAUSED"
	})
	call(t, third, "PUT", source+"/resume", http.StatusAccepted)
	w.Exec(t, "UPDATE users SET name = 'After the pause' WHERE id = 4")
	w.CaughtUp(t, time.Minute)
	call(t, third, "POST", apply+"/restart", http.StatusNoContent)
	w.Exec(t, "UPDATE users SET name = 'After the restart' WHERE id = 4")
	w.CaughtUp(t, time.Minute)
	w.Clean(t)
	for _, path := range []string{source, apply, "/connectors/" + w.Prefix + "-transform"} {
		body := call(t, third, "GET", path+"/config", http.StatusOK)
		for _, secret := range []string{harness.Secret, w.Legacy, w.Ledger} {
			if strings.Contains(body, secret) {
				t.Errorf("%s/config shows a secret", path) // invariant 8
			}
		}
		if body := call(t, third, "GET", path+"/offsets", http.StatusOK); !strings.Contains(body, `"partition":{`) {
			t.Errorf("%s/offsets: %s", path, body)
		}
	}
}

// A rolling deploy with another mapping: who has it stands by while an owner lives,
// and works when a person has accepted it; who has the former one stands by from
// then on (hazard C23).
func TestAnotherMappingStandsBy(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(6)
	w := harness.New(t, o)
	untilCaughtUp(t, w, 0)
	old := w.Run(t)
	harness.Eventually(t, time.Minute, "every task runs", func() bool { return allRun(connectors(t, old)) })
	path := w.Variant(t, "louder", func(o *harness.Options) {
		o.Members = strings.Replace(o.Members, "u.name", "upper(u.name) AS name", 1)
	})
	seq := w.Simulator.Seq()
	waiting := w.Start(t, "run", "-c", path)
	harness.Eventually(t, time.Minute, "the new one stands by", func() bool { return strings.Contains(waiting.Log(), "this instance stands by") })
	if n := w.Simulator.Seq() - seq; n != 0 {
		t.Errorf("%d calls by a mapping that nobody accepted", n)
	}
	call(t, waiting, "GET", "/health/ready", http.StatusServiceUnavailable) // a rolling update stops here
	accepting := w.Start(t, "run", "-c", path, "--accept-mapping")
	harness.Eventually(t, time.Minute, "the old one stands by", func() bool { return strings.Contains(old.Log(), "this instance stands by") })
	harness.Eventually(t, time.Minute, "the new ones work", func() bool {
		return strings.Contains(waiting.Log(), "this instance's mapping is the accepted one") && allRun(connectors(t, accepting))
	})
	call(t, waiting, "GET", "/health/ready", http.StatusOK)
	call(t, old, "GET", "/health/ready", http.StatusServiceUnavailable)
	harness.Eventually(t, time.Minute, "the metrics of any instance show the one that stands by", func() bool {
		return strings.Contains(call(t, accepting, "GET", "/metrics", http.StatusOK), `backstitch_instances{state="STANDBY_DIGEST"} 1`)
	})
	w.Config = path
	w.CaughtUp(t, time.Minute)
	w.Clean(t)
	if code := old.Stop(t); code != 0 {
		t.Errorf("a stand-by ends with %d", code)
	}
}

// connectors are the connectors as an instance reports them for the whole cluster.
func connectors(t *testing.T, p *harness.Process) map[string]admin.ConnectorState {
	t.Helper()
	var all map[string]struct{ Status admin.ConnectorState }
	if err := json.Unmarshal([]byte(call(t, p, "GET", "/connectors?expand=status", http.StatusOK)), &all); err != nil {
		t.Fatal(err)
	}
	states := map[string]admin.ConnectorState{}
	for name, c := range all {
		states[name] = c.Status
	}
	return states
}

func allRun(all map[string]admin.ConnectorState) bool {
	for _, s := range all {
		if !running(s) {
			return false
		}
	}
	return len(all) == 3
}

func running(s admin.ConnectorState) bool {
	for _, task := range s.Tasks {
		if task.State != "RUNNING" || task.Worker == "" {
			return false
		}
	}
	return len(s.Tasks) > 0 && s.Connector.State == "RUNNING"
}

// call asks an instance's REST interface.
func call(t *testing.T, p *harness.Process, method, path string, want int) string {
	t.Helper()
	r, err := http.NewRequest(method, p.AdminURL(t)+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		t.Fatalf("%s %s: %s, want %d: %s %v", method, path, res.Status, want, body, err)
	}
	return string(body)
}
