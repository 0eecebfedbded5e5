package demo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/pipeline/sandbox/compare"
)

// report prints a comparison and says whether it is what the seeded traps explain.
func (d *demo) report(ctx context.Context, r *compare.Result) error {
	d.say("\nEvery organization and member in Stytch, compared field by field with the mapping over the legacy database:")
	d.say("  match      %7d", r.Match)
	d.say("  missing    %7d", r.Missing)
	d.say("  extra      %7d", r.Extra)
	d.say("  different  %7d   %s", r.Different, counts(r.Fields))
	d.say("  parked     %7d   %s", len(r.Parked), reasons(r.Parked))
	d.say("  blocked    %7d   %s", len(r.Blocked), reasons(r.Blocked))
	d.say("  awaiting   %7d   %s", len(r.Awaiting), reasons(r.Awaiting))
	for _, l := range slices.Sorted(maps.Keys(r.Losses)) {
		d.say("  named loss %7d   %s", r.Losses[l], strings.ReplaceAll(string(l), "_", " "))
	}
	if err := d.unfed(ctx); err != nil {
		return err
	}
	for _, s := range r.Samples {
		d.say("    %s", s)
	}
	unexplained, err := d.unexplained(ctx, r)
	if err != nil {
		return err
	}
	for _, u := range unexplained {
		d.say("    %s", u)
	}
	if !r.Clean() || len(unexplained) > 0 {
		return ErrDiffers
	}
	d.say("Nothing was lost; what is parked or blocked is what the seed made impossible.\n")
	return nil
}

// unfed counts the legacy rows that feed no entity.
func (d *demo) unfed(ctx context.Context) error {
	var n int
	err := d.conn.QueryRow(ctx, `SELECT count(*) FROM "User" u WHERE NOT EXISTS (SELECT FROM "TeamMember" m WHERE m."userId" = u.id)`).Scan(&n)
	if err != nil {
		return err
	}
	d.say("  no entity  %7d   users in no team", n)
	return nil
}

// unexplained lists what is parked without being a seeded trap, and what is blocked
// behind anything else.
func (d *demo) unexplained(ctx context.Context, r *compare.Result) ([]string, error) {
	twins := map[string]bool{}
	rows, err := d.conn.Query(ctx, `SELECT id FROM "User" WHERE lower(email) = ANY($1)`, slices.Collect(maps.Keys(d.legacy.CaseTwins)))
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		twins[id] = true
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	var list []string
	for key, reason := range r.Parked {
		trap := key.Kind == consumers.Organization && d.legacy.Refused[key.Organization] || key.Kind == consumers.Member && twins[key.Entity]
		if !trap {
			list = append(list, fmt.Sprintf("parked, and no trap: %s, %s", key.Kind, reason))
		}
	}
	for key, reason := range r.Blocked {
		if key.Kind != consumers.Member || !d.legacy.Refused[key.Organization] {
			list = append(list, fmt.Sprintf("blocked, and not behind a trap: %s, %s", key.Kind, reason))
		}
	}
	for key, reason := range r.Awaiting {
		list = append(list, fmt.Sprintf("awaiting consent, and nothing asked for it: %s, %s", key.Kind, reason))
	}
	return list, nil
}

func reasons(m map[consumers.Key]consumers.Reason) string {
	n := map[string]int{}
	for key, reason := range m {
		n[string(key.Kind)+" "+strings.ReplaceAll(string(reason), "_", " ")]++
	}
	return counts(n)
}

func counts(m map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%d %s", m[name], name))
	}
	return strings.Join(parts, ", ")
}
