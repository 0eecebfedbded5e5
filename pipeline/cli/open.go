package cli

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/pipeline/config"
)

// session is a configuration with its clients and an open ledger, for commands
// that look at a pipeline from outside.
type session struct {
	cfg     *config.Config
	clients *pipeline.Clients
	pool    *pgxpool.Pool
}

// open reads the configuration and connects to its ledger, which it migrates: a
// newer command may meet an older ledger.
func (a *app) open(ctx context.Context, path string) (*session, error) {
	cfg, err := load(path)
	if err != nil {
		return nil, err
	}
	clients, err := pipeline.NewClients(cfg)
	if err != nil {
		return nil, usage(err)
	}
	if err := ledger.Migrate(ctx, cfg.Ledger.Reveal()); err != nil {
		return nil, err
	}
	pool, err := ledger.Open(ctx, cfg.Ledger.Reveal(), cfg.Name+"-cli")
	if err != nil {
		return nil, err
	}
	return &session{cfg: cfg, clients: clients, pool: pool}, nil
}
