package pipeline

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/consumers/apply"
	"github.com/backstitch/backstitch/pipeline/config"
)

// Replay sets the apply connector of a stopped pipeline back to the beginning of
// its topics. With force every entity is read back from Stytch and repaired.
func Replay(ctx context.Context, cfg *config.Config, c *Clients, pool *pgxpool.Pool, force bool) (apply.Replayed, error) {
	return apply.Replay(ctx, applyConfig(cfg), pool, c.Kafka, force)
}
