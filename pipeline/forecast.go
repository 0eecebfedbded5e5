package pipeline

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/consumers/apply"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/pipeline/config"
)

// forecastCalls foresees the API calls of entities whose desired states would be others.
// The changes stand for all of them, where those are more.
func forecastCalls(ctx context.Context, cfg *config.Config, pool *pgxpool.Pool, changes []transform.Changed, all int64) (int64, error) {
	wanted := make([]apply.Wanted, len(changes))
	for i, c := range changes {
		wanted[i] = apply.Wanted{Key: c.Key, Desired: c.Desired}
	}
	calls, err := apply.Forecast(ctx, applyConfig(cfg), pool, wanted)
	if n := int64(len(wanted)); n > 0 && n < all {
		calls = calls * all / n
	}
	return calls, err
}
