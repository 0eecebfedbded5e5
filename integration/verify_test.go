package integration_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
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

// What the ledger says is applied is in Stytch, and verify says so. Its exit codes and
// refusals are what scripts rely on, its report is signed and can be checked.
func TestVerify(t *testing.T) {
	t.Parallel()
	w := verifyWorld(t)
	dir := t.TempDir()
	private, public := signingKeys(t, dir)
	r := verified(t, w, 0, "--sign-key", private)
	if r.Verdict != verify.Clean || r.Classes[verify.Match] == 0 || r.Classes[verify.NamedLoss] == 0 || r.LSN == "0/0" {
		t.Errorf("the report of a pipeline that has caught up: %+v", r)
	}

	file := filepath.Join(dir, "report.json")
	out := w.Output(t, "verify", "-o", "json", "--report", file, "--sign-key", private)
	if raw, err := os.ReadFile(file); err != nil || string(raw) != out {
		t.Errorf("--report and -o json differ: %v", err)
	}
	out, code := checkReport(t, w, file, "--public-key", public)
	if code != 0 || !strings.Contains(out, "the signature fits") || !strings.Contains(out, "clean after") {
		t.Errorf("check-report exits with %d:\n%s", code, out)
	}
	changed := filepath.Join(dir, "changed.json")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(changed, []byte(strings.Replace(string(raw), `"missing": 0`, `"missing": 1`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := checkReport(t, w, changed, "--public-key", public); code != 1 || !strings.Contains(out, "the signature does not fit") {
		t.Errorf("check-report of a changed one exits with %d:\n%s", code, out)
	}
	if out, code := checkReport(t, w, file); code != 2 || !strings.Contains(out, "--public-key FILE") {
		t.Errorf("check-report without a key exits with %d:\n%s", code, out)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"verify", "nonsense"}, 2, "nonsense"},
		{[]string{"verify", "--share", "2"}, 2, "--share 2"},
		{[]string{"verify", "--timeout", "-1s"}, 2, "--timeout -1s"},
		{[]string{"verify", "-o", "html"}, 2, "--output html"},
		{[]string{"verify", "--sign-key", public}, 2, "no Ed25519 private key"},
		{[]string{"verify", "--canaries", file}, 2, "want a list of organization, member"},
	} {
		out, code := w.Command(t, c.args...)
		if code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%v exits with %d, want %d and %q:\n%s", c.args, code, c.code, c.says, out)
		}
	}

	// Something waits for a person: nobody can tell.
	w.Exec(t, "UPDATE users SET email = 'no address' WHERE id = 1")
	untilCaughtUp(t, w, 3)
	if r := verified(t, w, 1); r.Verdict != verify.CouldNotTell || r.Classes[verify.Unverifiable] == 0 {
		t.Errorf("with a parked member: %s %v", r.Verdict, r.Classes)
	}
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

func checkReport(t *testing.T, w *harness.World, args ...string) (string, int) {
	t.Helper()
	p := w.Start(t, append([]string{"verify", "check-report"}, args...)...)
	code := p.Wait(t, time.Minute)
	return p.Log(), code
}

// signingKeys writes a pair of Ed25519 keys in PEM.
func signingKeys(t *testing.T, dir string) (private, public string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	rawPublic, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	private, public = filepath.Join(dir, "verify.key"), filepath.Join(dir, "verify.pub")
	for path, block := range map[string]*pem.Block{private: {Type: "PRIVATE KEY", Bytes: raw}, public: {Type: "PUBLIC KEY", Bytes: rawPublic}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return private, public
}
