package verify

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
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
