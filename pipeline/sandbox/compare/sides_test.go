package compare

import (
	"slices"
	"testing"

	"github.com/backstitch/backstitch/consumers"
)

// What a mapping leaves to Stytch with a NULL is no difference; what it empties is.
func TestNullSettings(t *testing.T) {
	t.Parallel()
	m := consumers.Mapping{Kind: consumers.Organization}
	row := map[string]any{"organization_name": "A", "organization_slug": nil, "email_allowed_domains": nil, "organization_logo_url": nil}
	got := map[string]any{"organization_name": "A", "organization_slug": "a-of-stytch", "email_allowed_domains": []string{"a.example"}, "organization_logo_url": "https://a.example/a.png"}
	if fields := differences(normalise(m, row), got); !slices.Equal(fields, []string{"organization_logo_url"}) {
		t.Errorf("differs in %v, want the logo alone, which the mapping says is empty", fields)
	}
}
