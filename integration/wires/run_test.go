package wires_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
)

// run: a whole run, backfill to Stytch, with every wire under TLS and every server
// asking for credentials. Whatever made a client of its own would be refused.
func (s *servers) run(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(8)
	o.Brokers = []string{s.kafka.Addr()} // the test's own way in
	o.Legacy, o.Ledger = s.made(t, "run_legacy"), s.made(t, "run_ledger")
	w := harness.New(t, o)
	right := s.right()
	secrets := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(secrets, name)
		if err := os.WriteFile(path, []byte(content+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return "${file:" + path + "}"
	}
	text := read(t, w.Config)
	for old, new := range map[string]string{
		w.Legacy: s.overTLS(t, w.Legacy), w.Ledger: s.overTLS(t, w.Ledger), w.Registry: right.registry,
		"  brokers: [" + s.kafka.Addr() + "]": fmt.Sprintf("  brokers: [%s]\n%s\n%s", right.brokers, right.kafka, right.auth),
	} {
		text = strings.Replace(text, old, new, 1)
	}
	text = strings.ReplaceAll(text, fmt.Sprintf("%q", password), `"`+file("password", password)+`"`)
	w.Config = filepath.Join(secrets, "tls.yaml")
	if err := os.WriteFile(w.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := w.Run(t, "--until-caught-up")
	if code := p.Wait(t, 80*time.Second); code != 0 && code != 3 { // some rows are made to be parked
		t.Fatalf("exit code %d", code)
	}
	w.Clean(t)
	for _, secret := range []string{password, url.QueryEscape(password), "p%25ss"} {
		if strings.Contains(p.Log(), secret) {
			t.Errorf("the run shows a password (invariant 8)")
		}
	}
}

// made is a database, as the superuser sees it.
func (s *servers) made(t *testing.T, name string) string {
	t.Helper()
	s.exec(t, "CREATE DATABASE "+name)
	return strings.Replace(s.admin, "/postgres?", "/"+name+"?", 1)
}

// overTLS is the same database as our user reaches it.
func (s *servers) overTLS(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User, u.RawQuery = url.UserPassword(user, password), "sslmode=verify-full&sslrootcert="+s.ours.CA
	return u.String()
}
