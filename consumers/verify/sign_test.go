package verify

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A signed report is accepted as it was signed, in any layout, and in no other
// content, nor with another key.
func TestSignature(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	report := &Report{Version: 1, Pipeline: "acme", LSN: "16/B374D848", Verdict: Clean, Findings: []Finding{{Why: "a < b & c"}}}
	signed, err := Sign(report, private)
	if err != nil {
		t.Fatal(err)
	}
	file, err := json.MarshalIndent(signed, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Check(file, public); err != nil || got.LSN != report.LSN {
		t.Errorf("the report as it was signed: %+v, %v", got, err)
	}
	for from, to := range map[string]string{`"clean"`: `"drift"`, "16/B374D848": "16/B374D849"} {
		if _, err := Check(bytes.Replace(file, []byte(from), []byte(to), 1), public); err == nil {
			t.Errorf("a report with %s in the place of %s is accepted", to, from)
		}
	}
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Check(file, other); err == nil {
		t.Error("another key's signature is accepted")
	}
	unsigned, err := Sign(report, nil)
	if err != nil {
		t.Fatal(err)
	}
	if file, err = json.Marshal(unsigned); err != nil {
		t.Fatal(err)
	}
	if _, err := Check(file, public); err == nil || !strings.Contains(err.Error(), "not signed") {
		t.Errorf("an unsigned report: %v", err)
	}
}

// Who has no Backstitch checks a signature with the lines of docs/verify.md, whatever
// the report says.
func TestOthersCheckTheSignature(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"openssl", "jq", "base64"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("BACKSTITCH_REQUIRE_ALL") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	dir := t.TempDir()
	shell := func(lines string) ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", lines)
		cmd.Dir = dir
		return cmd.CombinedOutput()
	}
	page, err := os.ReadFile("../../docs/verify.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := func(contains string) string {
		for line := range strings.SplitSeq(string(page), "\n") {
			if command, ok := strings.CutPrefix(line, "$ "); ok && strings.Contains(command, contains) {
				return command + "\n"
			}
		}
		t.Fatalf("docs/verify.md has no line with %q", contains)
		return ""
	}
	if out, err := shell(documented("genpkey") + documented("-pubout")); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	pem, err := os.ReadFile(filepath.Join(dir, "verify.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := PrivateKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	report := &Report{
		Version: 1, Pipeline: "acme", LSN: "16/B374D848", Verdict: Clean,
		Findings: []Finding{{Why: "a < b & c > \u2028 é \x7f \t \"", Organization: "</org>"}},
	}
	signed, err := Sign(report, key)
	if err != nil {
		t.Fatal(err)
	}
	file, err := json.MarshalIndent(signed, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	check := documented("jq -cj") + documented("pkeyutl")
	for text, fits := range map[string]bool{string(file): true, strings.Replace(string(file), `"clean"`, `"drift"`, 1): false} {
		if err := os.WriteFile(filepath.Join(dir, "report.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := shell(check); (err == nil) != fits {
			t.Errorf("the signature fits: %v, want %v: %s", err, fits, out)
		}
	}
}

// Keys are read as openssl writes them; an error does not show one.
func TestKeys(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	rawPrivate, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	rawPublic, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: rawPrivate})
	if got, err := PrivateKey(text); err != nil || !got.Equal(private) {
		t.Errorf("a private key: %v", err)
	}
	if got, err := PublicKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: rawPublic})); err != nil || !got.Equal(public) {
		t.Errorf("a public key: %v", err)
	}
	if _, err := PublicKey(text); err == nil || strings.Contains(err.Error(), string(text[30:60])) {
		t.Errorf("a private key in the place of a public one: %v", err)
	}
	if _, err := PrivateKey([]byte("no key")); err == nil {
		t.Error("text is taken for a key")
	}
}
