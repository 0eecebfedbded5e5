package integration_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
)

// replayed is what `replay transform -o json` prints.
type replayed struct {
	Records, Entities, Differ int64
	Calls                     int64 `json:"api_calls"`
	Changes                   struct{ Appear, Vanish int64 }
	Replayed                  bool
}

func replayTransform(t *testing.T, w *harness.World, args ...string) (r replayed) {
	t.Helper()
	out := w.Output(t, append([]string{"replay", "transform", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return r
}

// ledgerText is one text that a query over the ledger returns; "" for no row.
func ledgerText(w *harness.World, sql string, args ...any) (s string) {
	_ = w.LedgerPool.QueryRow(context.Background(), sql, args...).Scan(&s) // no ledger, no row yet
	return s
}

const desiredStates = `SELECT md5(string_agg(kind || org_key || key || revision || coalesce(desired::text, '') || earned, ',' ORDER BY kind, org_key, key)) FROM backstitch.entities`

func nothingTouched(t *testing.T, w *harness.World) {
	t.Helper()
	harness.Eventually(t, 2*time.Minute, "everything touched is evaluated", func() bool {
		return ledgerText(w, "SELECT count(*)::text FROM backstitch.touched") == "0"
	})
}

// On a cluster of three: the entities of every source record again change no desired
// state and cost no call (invariant 5), and the mirror and its offsets stay. What the
// stored state differs in is found, foreseen and repaired.
func TestReplayTransform(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(20)
	w := harness.New(t, o)
	p, _, _ := w.Run(t), w.Run(t), w.Run(t)
	w.CaughtUp(t, 2*time.Minute)
	w.Drained(t, time.Minute)
	transform := w.Prefix + "-transform"
	target := func() string {
		return ledgerText(w, "SELECT state || ' ' || reason FROM backstitch.targets WHERE connector = $1", transform)
	}
	offsets := func() string {
		return ledgerText(w, "SELECT string_agg(topic || partition || ':' || next_offset, ',' ORDER BY topic, partition) FROM backstitch.offsets WHERE topic NOT LIKE '%checkpoints'")
	}

	if out, code := w.Command(t, "replay", "transform", "--to-earliest"); code != 2 || !strings.Contains(out, "--yes") {
		t.Errorf("with nobody to ask it exits with %d: %s", code, out)
	}
	out := w.Output(t, "replay", "transform", "--to-earliest", "--dry-run")
	for _, want := range []string{"CURRENT-OFFSET", w.Prefix + ".public.users", "the offsets stay", "differ", "API calls", transform + " is stopped"} {
		if !strings.Contains(out, want) {
			t.Errorf("--dry-run does not show %s:\n%s", want, out)
		}
	}
	if target() != "" {
		t.Errorf("to look set the target %s", target())
	}
	away := w.Variant(t, "away", func(o *harness.Options) { o.Legacy = "postgres://nobody@127.0.0.1:1/nowhere" })
	if out := w.Output(t, "replay", "transform", "--to-earliest", "--dry-run", "-c", away); !strings.Contains(out, "the offsets stay") {
		t.Errorf("with the source away: %s", out)
	}
	states, at, seq := ledgerText(w, desiredStates), offsets(), w.Simulator.Seq()
	if r := replayTransform(t, w, "--to-earliest", "--yes"); r.Records == 0 || r.Entities == 0 || r.Differ != 0 || r.Calls != 0 || !r.Replayed {
		t.Errorf("it says %+v", r)
	}
	if target() != "RUNNING " {
		t.Errorf("afterwards the target is %s", target())
	}
	nothingTouched(t, w)
	w.CaughtUp(t, 2*time.Minute)
	w.Drained(t, time.Minute)
	if n := w.Simulator.Seq() - seq; n != 0 || ledgerText(w, desiredStates) != states || offsets() != at {
		t.Errorf("a replay of unchanged rows made %d calls; states changed: %v; offsets %s, were %s", n, ledgerText(w, desiredStates) != states, offsets(), at)
	}
	harness.NothingAside(t, w.Clean(t))

	// a change that was missed: the mirror has it, and nobody was touched
	if _, err := w.LedgerPool.Exec(t.Context(), "UPDATE public.users SET name = 'Missed' WHERE id = 8"); err != nil {
		t.Fatal(err)
	}
	teams := ledgerText(w, "SELECT count(*)::text FROM public.team_members WHERE user_id = 8")
	r := replayTransform(t, w, "--to-earliest", "--topic", w.Prefix+".public.users", "--yes")
	if teams != "2" || r.Differ != 2 || r.Calls != 2 {
		t.Errorf("of the user in %s teams it foresees %+v", teams, r)
	}
	missed := func() int { return len(w.Compare(t).Fields) }
	harness.Eventually(t, 2*time.Minute, "Stytch has it", func() bool { return missed() > 0 })
	w.Exec(t, "UPDATE users SET name = 'Seen' WHERE id = 8") // and the mirror is right again
	w.CaughtUp(t, 2*time.Minute)
	harness.NothingAside(t, w.Clean(t))

	// what a person paused stays so, and one organization stops nothing
	call(t, p, "PUT", "/connectors/"+transform+"/pause", http.StatusAccepted)
	w.Output(t, "replay", "transform", "--to-datetime", "2000-01-01T00:00:00.000", "--yes")
	if !strings.HasPrefix(target(), "PAUSED ") || ledgerText(w, "SELECT (count(*) > 0)::text FROM backstitch.touched") != "true" {
		t.Errorf("of a paused connector the target is %s", target())
	}
	call(t, p, "PUT", "/connectors/"+transform+"/resume", http.StatusAccepted)
	nothingTouched(t, w)
	if out := w.Output(t, "replay", "transform", "--to-earliest", "--organization", "3", "--yes"); !strings.Contains(out, "nothing was stopped") || strings.Contains(out, "is stopped in all") {
		t.Errorf("one organization: %s", out)
	}
	w.CaughtUp(t, 2*time.Minute)
	nothingTouched(t, w)
	out = w.Output(t, "replay", "transform", "--to-offset", "9999999", "--topic", w.Prefix+".public.users:0", "--dry-run")
	if !strings.Contains(out, "above the end") || !strings.Contains(out, "nothing to replay") {
		t.Errorf("an offset out of range: %s", out)
	}
	for _, topic := range []string{"nowhere", w.Prefix + ".checkpoints"} {
		if out, code := w.Command(t, "replay", "transform", "--to-earliest", "--topic", topic); code != 2 || !strings.Contains(out, ".public.users") {
			t.Errorf("topic %s exits with %d: %s", topic, code, out)
		}
	}
	w.CaughtUp(t, 2*time.Minute)
	harness.NothingAside(t, w.Clean(t))
}

// A replay of the transform that is killed leaves it stopped and says so; the next one
// goes on, while the legacy system writes.
func TestReplayTransformThatDies(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(5)
	w := harness.New(t, o)
	p := w.Run(t)
	w.CaughtUp(t, 2*time.Minute)
	w.Drained(t, time.Minute)
	target := func() string {
		return ledgerText(w, "SELECT state || ' ' || reason FROM backstitch.targets WHERE connector = $1", w.Prefix+"-transform")
	}
	p.Signal(syscall.SIGSTOP) // it does not obey
	r := w.Start(t, "replay", "transform", "--to-earliest", "--yes", "-c", w.Config)
	harness.Eventually(t, 2*time.Minute, "it stops the connector", func() bool { return strings.HasPrefix(target(), "STOPPED replay ") })
	r.Kill()
	if got := target(); !strings.Contains(got, "replay transform --to-earliest") || !strings.Contains(got, "was RUNNING") {
		t.Errorf("a killed replay leaves %q", got)
	}
	p.Signal(syscall.SIGCONT)
	w.Exec(t, "UPDATE users SET name = 'Written meanwhile' WHERE id = 3")
	harness.Eventually(t, 2*time.Minute, "the transform has no tasks", func() bool {
		s := connectors(t, p)[w.Prefix+"-transform"]
		return s.Connector.State == "STOPPED" && len(s.Tasks) == 0
	})
	w.Output(t, "replay", "transform", "--to-earliest", "--yes")
	if target() != "RUNNING " {
		t.Errorf("the next replay leaves %q", target())
	}
	w.CaughtUp(t, 2*time.Minute)
	nothingTouched(t, w)
	harness.NothingAside(t, w.Clean(t))
}

// The transform's offsets through REST mean what replay transform does: the mirror and
// what GET shows stay.
func TestTransformOffsetsThroughREST(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(6)
	w := harness.New(t, o)
	p := w.Run(t)
	w.CaughtUp(t, 2*time.Minute)
	w.Drained(t, time.Minute)
	path := "/connectors/" + w.Prefix + "-transform"
	patch := func(topic, offset string, want int) string {
		t.Helper()
		body := `{"offsets": [{"partition": {"kafka_topic": "` + topic + `", "kafka_partition": 0}, "offset": ` + offset + `}]}`
		r, err := http.NewRequest("PATCH", p.AdminURL(t)+path+"/offsets", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != want {
			t.Errorf("PATCH %s to %s: %s, want %d: %s %v", topic, offset, res.Status, want, answer, err)
		}
		return string(answer)
	}
	users := w.Prefix + ".public.users"
	call(t, p, "DELETE", path+"/offsets", http.StatusBadRequest)
	patch(users, `{"kafka_offset": 0}`, http.StatusBadRequest)
	call(t, p, "PUT", path+"/stop", http.StatusNoContent)
	harness.Eventually(t, 2*time.Minute, "the transform has no tasks", func() bool { return len(connectors(t, p)[w.Prefix+"-transform"].Tasks) == 0 })
	at, seq := call(t, p, "GET", path+"/offsets", http.StatusOK), w.Simulator.Seq()
	if answer := patch(users, `{"kafka_offset": 99999}`, http.StatusBadRequest); !strings.Contains(answer, "replay transform") {
		t.Errorf("ahead of the mirror it answers %s", answer)
	}
	patch("nowhere", `{"kafka_offset": 0}`, http.StatusBadRequest)
	patch(w.Prefix+".checkpoints", `{"kafka_offset": 0}`, http.StatusOK) // GET lists it; no entity comes of it
	touched := func() string {
		return ledgerText(w, "SELECT count(*)::text FROM backstitch.touched WHERE cause = 'replay' AND NOT earned")
	}
	if touched() != "0" {
		t.Errorf("what was refused, or means nothing, touched %s keys", touched())
	}
	patch(users, `null`, http.StatusOK)
	some := touched()
	call(t, p, "DELETE", path+"/offsets", http.StatusOK)
	if all := touched(); some == "0" || all == some {
		t.Errorf("%s keys are touched of one partition, %s of all", some, all)
	}
	if got := call(t, p, "GET", path+"/offsets", http.StatusOK); got != at {
		t.Errorf("the offsets are %s and were %s", got, at)
	}
	call(t, p, "PUT", path+"/resume", http.StatusAccepted)
	nothingTouched(t, w)
	w.CaughtUp(t, 2*time.Minute)
	w.Drained(t, time.Minute)
	if n := w.Simulator.Seq() - seq; n != 0 {
		t.Errorf("offsets of unchanged rows made %d calls", n)
	}
	harness.NothingAside(t, w.Clean(t))
}
