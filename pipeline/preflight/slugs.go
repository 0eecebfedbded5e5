package preflight

import (
	"context"

	"github.com/backstitch/backstitch/consumers/stytch"
	"github.com/backstitch/backstitch/consumers/transform"
)

// slugs counts organizations that Stytch cannot hold under their slug: it refuses some,
// and keeps them unique in the project. One without a slug gets Stytch's own.
func (c *check) slugs(ctx context.Context, m *transform.CompiledMapping) {
	if !returns(m, "organization_slug") {
		return
	}
	var refused, shared int64
	err := c.count(ctx, `SELECT coalesce(sum(n) FILTER (WHERE refused), 0), coalesce(sum(n - 1) FILTER (WHERE NOT refused), 0)
		FROM (SELECT `+stytch.RefusedSlug("slug")+` AS refused, count(*) AS n
		      FROM (SELECT q.organization_slug::text AS slug FROM `+from(m)+` WHERE q.organization_external_id IS NOT NULL) s
		      WHERE slug IS NOT NULL GROUP BY slug) g`, &refused, &shared)
	if err != nil {
		c.uncounted("organizations.select", "slugs that Stytch refuses", err)
		return
	}
	if refused > 0 {
		c.find(Warning, "mapping.invalid_slug", "organizations.select", "Build a valid one in the SELECT: 2 to 128 letters, digits, '-', '.', '_' and '~'",
			"returns %s organizations whose slug Stytch refuses: they would be parked as invalid_slug, and their members blocked", thousands(refused))
	}
	if shared > 0 {
		c.find(Warning, "mapping.shared_slug", "organizations.select", "Change one of them in the legacy system, or make them differ in the SELECT",
			"returns %s organizations whose slug another one has: Stytch keeps it unique, they would be parked as duplicate_value", thousands(shared))
	}
}
