package integration_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(s.Report, &r); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "corp.example") || strings.Contains(string(raw), "$2a$") { // invariant 8
		t.Errorf("the report holds values:\n%s", raw)
	}
	return &r
}

// A verification that is killed goes on where it was: what a search has shown is not
// asked for again.
func TestVerifyGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	w := verifyWorld(t)
	p := w.Start(t, "verify", "-c", w.Config, "--share", "0.2") // its second search has to wait for 3 s
	harness.Eventually(t, time.Minute, "the organizations are compared", func() bool {
		var phase string
		err := w.LedgerPool.QueryRow(context.Background(), "SELECT phase FROM backstitch.verifications").Scan(&phase)
		return err == nil && phase == "members"
	})
	p.Kill()
	out, code := w.Command(t, "verify")
	if code != 0 || !strings.Contains(out, "run 1 goes on where it was interrupted") || !strings.Contains(out, "clean after 2 searches") {
		t.Errorf("verify after a kill exits with %d:\n%s", code, out)
	}
}
