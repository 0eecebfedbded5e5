package pipeline

import (
	"context"

	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/pipeline/preflight"
)

// Check is the pre-flight of a configuration: it changes nothing anywhere.
func Check(ctx context.Context, cfg *config.Config) (*preflight.Report, error) {
	c, err := NewClients(cfg)
	if err != nil {
		return nil, err
	}
	return preflight.Check(ctx, cfg, preflight.Deps{
		Source: c.Source, Ledger: c.Ledger, Kafka: c.Kafka, Registry: c.Registry, Stytch: c.Stytch,
	}), nil
}
