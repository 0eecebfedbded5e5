package integration_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers/verify"
	"github.com/backstitch/backstitch/integration/harness"
)

// verifyWorld is a pipeline that has caught up and ended.
func verifyWorld(t *testing.T) *harness.World {
	t.Helper()
	o := harness.Example()
	o.Schema += harness.ExampleRows(8)
	w := harness.New(t, o)
	untilCaughtUp(t, w, 0)
	return w
}

// verified is the report of `backstitch verify`, which must end with a code.
func verified(t *testing.T, w *harness.World, code int, args ...string) *verify.Report {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.json")
	out, got := w.Command(t, append([]string{"verify", "--timeout", "10s", "--report", file}, args...)...)
	if got != code {
		t.Fatalf("verify %v exits with %d, want %d:\n%s", args, got, code, out)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s verify.Signed
	var r verify.Report
	if err := json.Unmarshal(raw, &s); err == nil {
		err = json.Unmarshal(s.Report, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "corp.example") || strings.Contains(string(raw), "$2a$") { // invariant 8
		t.Errorf("the report holds values:\n%s", raw)
	}
	return &r
}

// What the ledger says is applied is in Stytch, and verify says so; a run after a
// change in Stytch behind our back names it.
func TestVerify(t *testing.T) {
	t.Parallel()
	w := verifyWorld(t)
	r := verified(t, w, 0)
	if r.Verdict != verify.Clean || r.Classes[verify.Match] == 0 || r.Classes[verify.NamedLoss] == 0 {
		t.Errorf("the report of a pipeline that has caught up: %+v", r)
	}
	t.Logf("%+v", r)
}
