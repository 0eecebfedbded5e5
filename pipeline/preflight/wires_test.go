package preflight

import (
	"strings"
	"testing"

	"github.com/backstitch/backstitch/pipeline/config"
)

// TestInTheClear: what others on the network could read is warned of, and nothing
// on the machine itself is.
func TestInTheClear(t *testing.T) {
	t.Parallel()
	const yaml = `name: acme
source:
  postgres: postgres://u:hidden@HOST/x?sslmode=require
  tables: [teams]
ledger: postgres://u:hidden@HOST/ledger
kafka:
  brokers: ["127.0.0.1:9092", "HOST:9092"]
  registry: http://u:hidden@HOST:8081
  sasl: {mechanism: PLAIN, username: u, password: hidden}
stytch: {project_id: project-test-1, secret: hidden}
organizations:
  select: SELECT 1
`
	for host, want := range map[string]string{"localhost": "", "db.internal": "source.tls@3 ledger.tls@5 kafka.sasl@9 kafka.registry_auth@6"} {
		cfg, err := config.Parse("acme.yaml", []byte(strings.ReplaceAll(yaml, "HOST", host)), nil)
		if err != nil {
			t.Fatal(err)
		}
		c := &check{cfg: cfg, report: &Report{}}
		c.unverified(WireSource, cfg.Source.Postgres)
		c.unverified(WireLedger, cfg.Ledger)
		c.credentials()
		var got []string
		for _, f := range c.report.Findings {
			got = append(got, f.Code+"@"+strings.TrimPrefix(f.Where, "acme.yaml:"))
			if f.Severity != Warning || f.Fix == "" {
				t.Errorf("%+v", f)
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: got %s, want %s", host, s, want)
		}
		if text := c.report.Text(); strings.Contains(text, "hidden") {
			t.Errorf("a secret shows (invariant 8): %s", text)
		}
	}
}
