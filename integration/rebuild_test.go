package integration_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
)

// A slot is lost, and with it a deletion and a change. --rebuild reads the source again
// beside the old mirror and shows what that changes; a command that is killed leaves
// that waiting for a person. What vanished waits for a consent of its own (invariant 7).
func TestRebuild(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(10)
	w := harness.New(t, o)
	untilCaughtUp(t, w, 0)
	w.Exec(t, "SELECT pg_drop_replication_slot($1)", "backstitch_"+w.Prefix)
	w.Exec(t, "UPDATE users SET name = 'Nobody saw it' WHERE id = 3") // in two teams
	w.Exec(t, "DELETE FROM team_members WHERE id = (SELECT min(id) FROM team_members WHERE user_id = 4)")
	p, _, _ := w.Run(t), w.Run(t), w.Run(t)
	harness.Eventually(t, 2*time.Minute, "the source to be held", func() bool { return w.Status(t).Connectors[0].Held })
	seq := w.Simulator.Seq()

	out := w.Output(t, "replay", "transform", "--rebuild", "--dry-run")
	if !strings.Contains(out, "public.users") || !strings.Contains(out, "no way back") || ledgerText(w, "SELECT count(*)::text FROM backstitch.rebuilds") != "0" {
		t.Errorf("--dry-run: %s", out)
	}
	if out, code := w.Command(t, "replay", "transform", "--rebuild"); code != 2 || !strings.Contains(out, "--yes") {
		t.Errorf("with nobody to ask it exits with %d: %s", code, out)
	}
	for what, done := range map[string]func() bool{ // in either order: what died before the source was asked is gone on with
		"it is asked for":          func() bool { return ledgerText(w, "SELECT count(*)::text FROM backstitch.rebuilds") == "1" },
		"the source is read again": func() bool { return w.Phase() == "rebuilding" },
	} {
		r := w.Start(t, "replay", "transform", "--rebuild", "--yes", "-c", w.Config)
		harness.Eventually(t, 2*time.Minute, what, done)
		r.Kill()
	}
	harness.Eventually(t, 2*time.Minute, "the difference is shown by the status", func() bool {
		c := w.Status(t).Connectors[1]
		return c.Held && strings.Contains(c.Trace, "backstitch approve") && strings.Contains(c.Trace, "3 differ, 0 of them appear and 1 vanish")
	})
	if n := w.Simulator.Seq() - seq; n != 0 || w.Phase() != "rebuilding" {
		t.Errorf("%d calls before the swap, phase %s", n, w.Phase())
	}
	w.Exec(t, "UPDATE users SET name = 'While it waits' WHERE id = 5")

	var done struct {
		Swapped bool
		Rebuild struct {
			Compared struct{ Differ, Vanish, Appear int64 }
		}
	}
	out = w.Output(t, "replay", "transform", "--rebuild", "--yes", "-o", "json")
	if err := json.Unmarshal([]byte(out), &done); err != nil || !done.Swapped || done.Rebuild.Compared.Differ != 3 || done.Rebuild.Compared.Vanish != 1 {
		t.Errorf("it says %s, %v", out, err)
	}
	if epoch := ledgerText(w, "SELECT max(epoch)::text FROM backstitch.transform"); epoch < "2" || w.Phase() != "following" {
		t.Errorf("afterwards the phase is %s in epoch %s", w.Phase(), epoch)
	}
	w.CaughtUp(t, 2*time.Minute)
	if r := w.Clean(t); len(r.Awaiting) != 1 || deletes(w) != 0 {
		t.Errorf("%d await consent, %d deletes were sent", len(r.Awaiting), deletes(w))
	}
	id, question := consent(t, w)
	if !strings.Contains(question, "No deletion of a row was read for these") {
		t.Errorf("the question is %s", question)
	}
	w.Output(t, "approve", id)
	harness.Eventually(t, 2*time.Minute, "the delete is sent", func() bool { return len(w.Compare(t).Awaiting) == 0 })
	harness.NothingAside(t, w.Clean(t))
	if n := deletes(w); n != 1 {
		t.Errorf("%d deletes", n)
	}
	p.Stop(t)
}
