package hash

import (
	"context"
	"maps"
	"net/http/httptest"
	"testing"

	"github.com/backstitch/backstitch/consumers/stytch"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// TestSimulatorAuthenticates: every class goes through passwords/migrate, and the
// password that it was made from signs in, as it would after a cut-over.
func TestSimulatorAuthenticates(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server := httptest.NewServer(simulator.New(simulator.Options{ProjectID: "project-test-1", Secret: "s"}))
	defer server.Close()
	c := stytch.New(stytch.Options{BaseURL: server.URL, ProjectID: "project-test-1", Secret: "s"})
	defer c.Close()
	org, err := c.CreateOrganization(ctx, stytch.Fields{"organization_name": "Acme", "organization_slug": "acme"})
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range known {
		converted, err := Convert(k.legacy, Options{PlainDigests: true})
		if err != nil {
			t.Fatal(err)
		}
		email := "user" + string(rune('a'+i)) + "@example.com"
		body := stytch.Fields{"organization_id": org.ID, "email_address": email}
		maps.Copy(body, converted.Fields)
		if _, err := c.MigratePassword(ctx, body); err != nil {
			t.Errorf("%s: %v", k.class, err)
			continue
		}
		for candidate, want := range map[string]bool{password: true, password + "x": false} {
			if ok, err := c.AuthenticatePassword(ctx, org.ID, email, candidate); err != nil || ok != want {
				t.Errorf("%s: authenticated %v, %v, want %v", k.class, ok, err, want)
			}
		}
	}
}
