package integration_test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/integration/testenv"
)

// The source's server is down and the only instance is killed. One that starts then,
// and has never seen the source, evaluates and applies what stands in Kafka. When the
// server is back, the stream goes on.
func TestInstanceStartsWhileTheSourceIsDown(t *testing.T) {
	t.Parallel()
	testenv.RealKafka(t)
	ctx := context.Background()
	server := testenv.OwnPostgres(t, nil)
	url, err := server.CreateDatabase(ctx, "legacy")
	if err != nil {
		t.Fatal(err)
	}
	o := harness.Example()
	o.Legacy = url
	o.Schema += harness.ExampleRows(10)
	w := harness.New(t, o)
	first := w.Run(t)
	w.CaughtUp(t, 2*time.Minute)
	// what the source committed stands in Kafka, not evaluated
	transform := "/connectors/" + w.Prefix + "-transform"
	call(t, first, "PUT", transform+"/pause", 202)
	harness.Eventually(t, time.Minute, "the transform is paused", func() bool {
		return connectors(t, first)[w.Prefix+"-transform"].Connector.State == "PAUSED"
	})
	w.Exec(t, "UPDATE users SET name = 'In Kafka' WHERE id % 2 = 0")
	w.Exec(t, "DELETE FROM team_members WHERE user_id = 21")
	var want int
	if err := w.Pool.QueryRow(ctx, `SELECT count(*) FROM team_members m JOIN users u ON u.id = m.user_id JOIN teams t ON t.id = m.team_id
		WHERE t.deleted_at IS NULL AND u.name = 'In Kafka'`).Scan(&want); err != nil || want == 0 {
		t.Fatal(want, err)
	}
	drains(t, w)
	if err := server.Halt(syscall.SIGKILL); err != nil {
		t.Logf("the server was killed: %v", err)
	}
	first.Kill()
	second := w.Run(t)
	call(t, second, "PUT", transform+"/resume", 202)
	harness.Eventually(t, 2*time.Minute, "what stood in Kafka is applied", func() bool {
		var named, gone int
		err := w.LedgerPool.QueryRow(ctx, `SELECT count(*) FILTER (WHERE desired->>'name' = 'In Kafka'), count(*) FILTER (WHERE desired IS NULL)
			FROM backstitch.entities WHERE kind = 'member' AND status = 'current'`).Scan(&named, &gone)
		return err == nil && named == want && gone > 0
	})
	if log := second.Log(); !strings.Contains(log, "this instance starts with its catalogue as it was read last") ||
		!strings.Contains(log, "the transform works with its catalogue as it was read last") {
		t.Errorf("the log does not say that the source is down:\n%s", tail(log))
	}
	harness.Eventually(t, time.Minute, "the status says so", func() bool {
		s := w.Status(t).Connectors[1]
		return s.State == "RUNNING" && strings.Contains(s.Trace, "the source cannot be reached since")
	})
	second.Live(t, time.Second)
	if err := server.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	w.Pool.Reset()
	w.Exec(t, "UPDATE users SET name = 'After' WHERE id = 3")
	w.CaughtUp(t, 2*time.Minute)
	harness.Eventually(t, time.Minute, "the status says so no more", func() bool { return w.Status(t).Connectors[1].Trace == "" })
	if code := second.Stop(t); code != 0 {
		t.Errorf("the process ends with %d", code)
	}
	harness.NothingAside(t, w.Clean(t))
	w.OneHand(t)
}
