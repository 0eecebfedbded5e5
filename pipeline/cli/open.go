package cli

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/pipeline/preflight"
)

// session is a configuration with its clients and an open ledger, for commands
// that look at a pipeline from outside.
type session struct {
	cfg     *config.Config
	clients *pipeline.Clients
	pool    *pgxpool.Pool
}

// within opens the session of a configuration for run, and closes it after.
func (a *app) within(path *string, run func(cmd *cobra.Command, s *session, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		s, err := a.open(cmd.Context(), *path)
		if err != nil {
			return err
		}
		defer s.pool.Close()
		return run(cmd, s, args)
	}
}

// open reads the configuration and connects to its ledger. It migrates one that a
// pipeline has used, because a newer command may meet an older ledger; it makes none.
func (a *app) open(ctx context.Context, path string) (*session, error) {
	cfg, err := load(path)
	if err != nil {
		return nil, err
	}
	clients, err := pipeline.NewClients(cfg)
	if err != nil {
		return nil, usage(err)
	}
	pool, err := ledger.Open(ctx, cfg.Ledger.Reveal(), cfg.Name+"-cli")
	if err != nil {
		return nil, clients.Explain(preflight.WireLedger, err)
	}
	var used bool
	err = redact.SQLError(pool.QueryRow(ctx, "SELECT to_regclass('backstitch.identity') IS NOT NULL").Scan(&used))
	switch {
	case err != nil:
	case !used:
		err = fmt.Errorf("%s: the ledger is empty: no pipeline has used it yet. Start with `backstitch run -c %s`", cfg.Where("ledger"), path)
	default:
		err = ledger.Migrate(ctx, cfg.Ledger.Reveal())
	}
	if err != nil {
		pool.Close()
		return nil, err
	}
	return &session{cfg: cfg, clients: clients, pool: pool}, nil
}
