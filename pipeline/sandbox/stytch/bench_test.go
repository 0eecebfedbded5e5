package stytch

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// BenchmarkMigrate measures one passwords/migrate over HTTP, client included.
func BenchmarkMigrate(b *testing.B) {
	sim := New(Options{ProjectID: testProject, Secret: testSecret, RateLimit: 1 << 30})
	addr, stop, err := Serve(b.Context(), "127.0.0.1:0", sim)
	if err != nil {
		b.Fatal(err)
	}
	defer stop()
	if _, err := sim.Behind().CreateOrganization(fields{"organization_name": "Acme", "organization_slug": "acme"}); err != nil {
		b.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for n := 0; b.Loop(); n++ {
		body := fmt.Sprintf(`{"organization_id":"acme","email_address":"m%d@corp.example","external_id":"usr_%d","name":"A name",
			"hash":%q,"hash_type":"bcrypt","trusted_metadata":{"plan":"free","since":2019}}`, n, n, horseHash)
		r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://"+addr.String()+"/v1/b2b/passwords/migrate", strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		r.SetBasicAuth(testProject, testSecret)
		res, err := client.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
			b.Fatal(res.StatusCode, err)
		}
		res.Body.Close()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}
