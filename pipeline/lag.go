package pipeline

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/pipeline/lag"
)

// NewLagReader makes who looks at a pipeline's lag, in whatever process it runs.
func NewLagReader(cfg *config.Config, c *Clients, pool *pgxpool.Pool) (*lag.Reader, error) {
	return lag.NewReader(
		lag.Config{
			Name: cfg.Name, Prefix: cfg.Kafka.Topics.Prefix, Tables: cfg.Source.Tables,
			Slot: cfg.Source.Slot, Heartbeat: cfg.Source.Heartbeat,
		},
		lag.Deps{
			Kafka: c.Kafka, NoTopics: c.noTopics(), Ledger: pool,
			Source: func(ctx context.Context) (*pgx.Conn, error) { return c.ConnectSource(ctx, cfg.Name+"-lag") },
		})
}
