package preflight

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

// LeftOut is what the captured tables hold and no entity is made of.
type LeftOut struct {
	// NullKey are rows that a mapping returns without a key, by kind.
	NullKey map[consumers.Kind]int64
	// NoOrganization are members whose organization is not returned, and Homeless the
	// keys of the first of them.
	NoOrganization int64
	Homeless       []consumers.Key
	// Unfed are rows that lead to no entity.
	Unfed []Unfed
	// Dangling are those of them that name a row which is not there.
	Dangling []Dangling
	// Uncounted says what was not counted, and why.
	Uncounted []string
}

// FindLeftOut counts on a database that holds the captured tables, such as a ledger
// with its mirror. A query gets at most countFor; homeless bounds the keys.
func FindLeftOut(ctx context.Context, conn *pgx.Conn, cfg *config.Config, plan *transform.Plan, countFor time.Duration, homeless int) (*LeftOut, error) {
	c := &check{cfg: cfg, deps: Deps{CountFor: countFor}, source: conn, plan: plan, report: &Report{}}
	var err error
	if c.captured, err = producers.DescribeTables(ctx, conn, cfg.Source.Tables); err != nil {
		return nil, err
	}
	out := &LeftOut{NullKey: map[consumers.Kind]int64{}}
	for i := range plan.Mappings {
		m := &plan.Mappings[i]
		n, err := c.nullKeys(ctx, m)
		if err != nil {
			c.uncounted(string(m.Kind)+"s.select", "rows without a key", err)
		}
		out.NullKey[m.Kind] = n
		if m.Kind == consumers.Member && plan.Mapping(consumers.Organization) != nil {
			if err := c.homelessKeys(ctx, m, homeless, out); err != nil {
				c.uncounted("members.select", "members whose organization is not returned", err)
			}
		}
	}
	c.unfed(ctx)
	out.Unfed = c.report.Unfed
	if out.Dangling, err = c.dangling(ctx); err != nil {
		c.uncounted("source.tables", "rows that name others which are not there", err)
	}
	for _, f := range c.report.Findings {
		out.Uncounted = append(out.Uncounted, f.Key+": "+f.What)
	}
	return out, ctx.Err()
}

func (c *check) nullKeys(ctx context.Context, m *transform.CompiledMapping) (n int64, err error) {
	missing := make([]string, len(m.Keys))
	for i, k := range m.Keys {
		missing[i] = "q." + schemas.QuoteIdent(k.Name) + " IS NULL"
	}
	err = c.count(ctx, "SELECT count(*) FROM "+from(m)+" WHERE "+strings.Join(missing, " OR "), &n)
	return n, err
}

// homelessKeys counts members whose organization is not returned, and lists the first.
func (c *check) homelessKeys(ctx context.Context, m *transform.CompiledMapping, most int, out *LeftOut) error {
	keys := make([]string, len(m.Keys))
	for i, k := range m.Keys {
		keys[i] = "q." + schemas.QuoteIdent(k.Name)
	}
	homeless := fmt.Sprintf("(SELECT DISTINCT %[1]s::text AS o, %[2]s::text AS k FROM %[3]s WHERE %[1]s IS NOT NULL AND %[2]s IS NOT NULL AND NOT %[4]s) h",
		keys[0], keys[len(keys)-1], from(m), c.inOrganization(m))
	return c.read(ctx, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM "+homeless).Scan(&out.NoOrganization); err != nil || out.NoOrganization == 0 {
			return redact.SQLError(err)
		}
		rows, err := tx.Query(ctx, fmt.Sprintf("SELECT o, k FROM %s ORDER BY 1, 2 LIMIT %d", homeless, most))
		if err != nil {
			return redact.SQLError(err)
		}
		k := consumers.Key{Kind: consumers.Member}
		_, err = pgx.ForEachRow(rows, []any{&k.Organization, &k.Entity}, func() error {
			out.Homeless = append(out.Homeless, k)
			return nil
		})
		return redact.SQLError(err)
	})
}
