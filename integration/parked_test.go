package integration_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/integration/harness"
)

// A person finds out why an entity is parked and what to do, gives it up, takes that
// back, and a change of its row brings it back in any case (invariant 6).
func TestParkedCommands(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(8)
	w := harness.New(t, o)
	untilCaughtUp(t, w, 0)
	w.Exec(t, "UPDATE users SET email = 'no address' WHERE id = 1")
	untilCaughtUp(t, w, 3)

	out := w.Output(t, "parked", "list", "--key", "1", "--kind", "member")
	if !strings.Contains(out, "invalid_email") {
		t.Fatalf("parked list: %s", out)
	}
	t.Logf("$ backstitch parked list\n%s", out)
	out = w.Output(t, "parked", "show", "1")
	t.Logf("$ backstitch parked show 1\n%s", out)
	for _, want := range []string{"parked invalid_email", "fix ", "Correct the address in the legacy system", "planned: ", "call: ", "differs in"} {
		if !strings.Contains(out, want) {
			t.Errorf("parked show lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "no address") {
		t.Error("parked show prints a value") // invariant 8
	}
	var shown []map[string]any
	if err := json.Unmarshal([]byte(w.Output(t, "parked", "show", "1", "-o", "json")), &shown); err != nil || len(shown) == 0 || shown[0]["fix"] == "" {
		t.Errorf("parked show -o json: %v, %v", shown, err)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"parked", "show"}, 2, "want one key"},
		{[]string{"parked", "show", "nobody"}, 1, "no organization or member has this key"},
		{[]string{"parked", "list", "--reason", "nonsense"}, 2, "there is no such reason"},
		{[]string{"parked", "list", "--kind", "person"}, 2, "--kind person"},
		{[]string{"parked", "drop"}, 2, "want --key, --organization or --reason"},
		{[]string{"parked", "drop", "--key", "1"}, 2, "--yes"},
		{[]string{"parked", "drop", "--key", "nobody"}, 0, "nothing parked is chosen"},
	} {
		if out, code := w.Command(t, c.args...); code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%v exits with %d, want %d and %q:\n%s", c.args, code, c.code, c.says, out)
		}
	}

	out = w.Output(t, "parked", "drop", "--key", "1", "--yes")
	t.Logf("$ backstitch parked drop --key 1 --yes\n%s", out)
	if strings.HasPrefix(out, "0 ") {
		t.Errorf("parked drop says: %s", out)
	}
	untilCaughtUp(t, w, 0) // nothing waits for a person any more
	if out := w.Output(t, "parked", "list"); strings.Count(out, "\n") != 1 {
		t.Errorf("after the drop parked lists: %s", out)
	}
	if out := w.Output(t, "parked", "list", "--dropped"); !strings.Contains(out, "dropped") {
		t.Errorf("what was dropped is not listed: %s", out)
	}
	if out := w.Output(t, "parked", "retry", "--key", "1"); strings.HasPrefix(out, "0 ") {
		t.Errorf("parked retry of what was dropped says: %s", out)
	}
	untilCaughtUp(t, w, 3)
	w.Output(t, "parked", "drop", "--reason", "invalid_email", "--yes")
	w.Exec(t, "UPDATE users SET email = 'user1@corp.example' WHERE id = 1")
	untilCaughtUp(t, w, 0)
	harness.NothingAside(t, w.Clean(t))
}
