package pipeline

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/stytch"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/internal/redact"
)

// KeptIDs counts objects in Stytch that keep an external id which the file's
// external_id_prefix does not make: the applier sets an external id when it creates an
// object, and changes none after.
type KeptIDs struct {
	Kind  consumers.Kind `json:"kind"`
	Count int64          `json:"count"`
	// Samples are keys.
	Samples []string `json:"samples"`
}

// generations of an external id that are recognised as the file's; each stands for a
// deleted object that kept the former one.
const generations = 8

// keptIDs looks through the external ids that are applied, one by one.
func (p *planner) keptIDs(ctx context.Context) error {
	prefixes := map[consumers.Kind]string{
		consumers.Organization: p.cfg.ExternalIDPrefix.Organizations, consumers.Member: p.cfg.ExternalIDPrefix.Members,
	}
	kept := map[consumers.Kind]*KeptIDs{}
	rows, err := p.pool.Query(ctx, `SELECT kind, key, coalesce(applied->CASE kind WHEN 'member' THEN 'external_id' ELSE 'organization_external_id' END->>'v', '')
		FROM backstitch.entities WHERE stytch_id IS NOT NULL AND desired IS NOT NULL AND status <> 'released' AND NOT adopted ORDER BY kind DESC, org_key, key`)
	if err == nil {
		var kind consumers.Kind
		var key, applied string
		_, err = pgx.ForEachRow(rows, []any{&kind, &key, &applied}, func() error {
			if applied == "" || ours(applied, stytch.ExternalID(prefixes[kind], key)) {
				return nil
			}
			if kept[kind] == nil {
				kept[kind] = &KeptIDs{Kind: kind}
			}
			k := kept[kind]
			if k.Count++; len(k.Samples) < planSamples {
				k.Samples = append(k.Samples, redact.ShownKey(key))
			}
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("compare external ids: %w", redact.SQLError(err))
	}
	for _, kind := range []consumers.Kind{consumers.Organization, consumers.Member} {
		if k := kept[kind]; k != nil {
			p.plan.KeptIDs = append(p.plan.KeptIDs, *k)
		}
	}
	return nil
}

func ours(applied, first string) bool {
	for n := range generations {
		if applied == stytch.Generation(first, n) {
			return true
		}
	}
	return false
}

// hideKeys shows of the samples what may be shown (invariant 8).
func hideKeys(kinds []transform.ForeseenKind) {
	for i := range kinds {
		for _, g := range groupsOf(&kinds[i]) {
			for j := range g.Samples {
				e := &g.Samples[j]
				e.Organization, e.Key = redact.ShownKey(e.Organization), redact.ShownKey(e.Key)
				if e.NewKey != "" {
					e.NewOrganization, e.NewKey = redact.ShownKey(e.NewOrganization), redact.ShownKey(e.NewKey)
				}
			}
		}
	}
}

func groupsOf(k *transform.ForeseenKind) []*transform.ForeseenGroup {
	return []*transform.ForeseenGroup{&k.Create, &k.Update, &k.Rename, &k.Delete, &k.Failed, &k.Released}
}

// counted is a plan without keys, for the ledger.
func counted(kinds []transform.ForeseenKind) map[consumers.Kind]map[string]int64 {
	all := map[consumers.Kind]map[string]int64{}
	for _, k := range kinds {
		all[k.Kind] = map[string]int64{
			"entities": k.Entities, "create": k.Create.Count, "update": k.Update.Count, "rename": k.Rename.Count, "delete": k.Delete.Count,
			"cannot_be_evaluated": k.Failed.Count, "released": k.Released.Count,
		}
	}
	return all
}
