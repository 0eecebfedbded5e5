package transform

import (
	"context"

	"github.com/backstitch/backstitch/consumers"
	"github.com/jackc/pgx/v5"
)

// gather reads what was found into memory: counts, a few keys, and the desired states
// whose calls can be forecast.
func (f *Foreseen) gather(ctx context.Context, tx pgx.Tx, d *ForeseeDeps, entities map[consumers.Kind]int64) error {
	for _, m := range d.Plan.Mappings {
		k := ForeseenKind{Kind: m.Kind, Entities: entities[m.Kind], Fields: map[string]int64{}}
		for outcome, group := range map[string]*ForeseenGroup{
			outcomeAppear: &k.Create, outcomeChange: &k.Update, outcomeVanish: &k.Delete,
			outcomeRename: &k.Rename, outcomeFailed: &k.Failed, outcomeReleased: &k.Released,
		} {
			if err := group.read(ctx, tx, m.Kind, outcome, d.Samples); err != nil {
				return err
			}
		}
		if err := k.countFields(ctx, tx); err != nil {
			return err
		}
		f.Kinds = append(f.Kinds, k)
	}
	err := tx.QueryRow(ctx, `SELECT coalesce(sum(hashtextextended(
			jsonb_build_array(kind, org_key, key, outcome, new_org, new_key, desired)::text, 0)::numeric), 0)::text FROM pg_temp.backstitch_foreseen`).Scan(&f.Sum)
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT kind, org_key, key, desired::text FROM pg_temp.backstitch_foreseen
		WHERE outcome IN ('change', 'appear', '`+outcomeRenamed+`') AND desired IS NOT NULL ORDER BY kind DESC, org_key, key LIMIT $1`, d.Changes)
	f.Changes, err = collectChanged(rows, err)
	return err
}

func (g *ForeseenGroup) read(ctx context.Context, tx pgx.Tx, kind consumers.Kind, outcome string, samples int) error {
	g.Samples = []ForeseenEntry{}
	err := tx.QueryRow(ctx, "SELECT count(*) FROM pg_temp.backstitch_foreseen WHERE kind = $1 AND outcome = $2", kind, outcome).Scan(&g.Count)
	if err != nil || g.Count == 0 {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT org_key, key, coalesce(new_org, ''), coalesce(new_key, ''), fields FROM pg_temp.backstitch_foreseen
		WHERE kind = $1 AND outcome = $2 ORDER BY org_key, key LIMIT $3`, kind, outcome, samples)
	if err != nil {
		return err
	}
	g.Samples, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (e ForeseenEntry, err error) {
		return e, row.Scan(&e.Organization, &e.Key, &e.NewOrganization, &e.NewKey, &e.Fields)
	})
	return err
}

func (k *ForeseenKind) countFields(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, "SELECT field, count(*) FROM pg_temp.backstitch_foreseen, unnest(fields) field WHERE kind = $1 AND outcome = 'change' GROUP BY 1", k.Kind)
	if err != nil {
		return err
	}
	var field string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&field, &n}, func() error {
		k.Fields[field] = n
		return nil
	})
	return err
}
