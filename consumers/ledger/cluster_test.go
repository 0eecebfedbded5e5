package ledger_test

import (
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
)

// An instance's tasks replace what it reported before; the one that runs a task
// stands for it, whatever the others say.
func TestReportedTasks(t *testing.T) {
	t.Parallel()
	ctx, pool := t.Context(), open(t)
	started := time.Now().Add(-time.Minute)
	report := func(id string, tasks ...ledger.Task) {
		t.Helper()
		if err := ledger.Report(ctx, pool, ledger.Instance{ID: id, State: "RUNNING", Digest: "d", StartedAt: started}, tasks); err != nil {
			t.Fatal(err)
		}
	}
	report("a:1", ledger.Task{Connector: "x-source", State: "RUNNING"}, ledger.Task{Connector: "x-apply", ID: 3, State: "RUNNING"})
	report("b:1", ledger.Task{Connector: "x-source", State: "FAILED", Trace: "held: no slot", Held: true})
	c, err := ledger.ReadCluster(ctx, pool)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Instances) != 2 || !c.Instances[0].Alive || len(c.Tasks) != 2 {
		t.Fatalf("got %+v", c)
	}
	if task := c.Tasks[1]; task.Connector != "x-source" || task.Instance != "a:1" || task.State != "RUNNING" {
		t.Errorf("the source's task: got %+v, want a:1 RUNNING", task)
	}
	since := c.Tasks[1].Since
	report("a:1", ledger.Task{Connector: "x-source", State: "RUNNING"})
	if c, err = ledger.ReadCluster(ctx, pool); err != nil {
		t.Fatal(err)
	}
	if len(c.Tasks) != 1 || !c.Tasks[0].Since.Equal(since) {
		t.Errorf("after the second report: got %+v, want the source alone, since %v", c.Tasks, since)
	}
	if err := ledger.Leave(ctx, pool, "a:1"); err != nil {
		t.Fatal(err)
	}
	if c, err = ledger.ReadCluster(ctx, pool); err != nil {
		t.Fatal(err)
	}
	if len(c.Tasks) != 1 || c.Tasks[0].Instance != "b:1" || !c.Tasks[0].Held {
		t.Errorf("after a:1 left: got %+v, want b:1 held", c.Tasks)
	}
}

// Targets are the cluster's; a restart leaves the state alone.
func TestTargets(t *testing.T) {
	t.Parallel()
	ctx, pool := t.Context(), open(t)
	for _, set := range []ledger.Target{ledger.TargetPaused, ledger.TargetStopped} {
		if err := ledger.SetTarget(ctx, pool, "x-apply", set, "a replay"); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := ledger.RequestRestart(ctx, pool, "x-apply", true); err != nil {
			t.Fatal(err)
		}
	}
	targets, err := ledger.Targets(ctx, pool)
	if err != nil {
		t.Fatal(err)
	}
	got := targets["x-apply"]
	if got.State != ledger.TargetStopped || got.Restarts != 2 || !got.FailedOnly || got.Reason != "a replay" {
		t.Errorf("got %+v", got)
	}
}
