package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/producers/replication"
)

// sourcePatience is how long a start waits for the source to answer.
const sourcePatience = 5 * time.Second

// readPlan learns what the mappings read: from the source or, while that cannot be
// reached, from what an owner of the transform read of it and kept in the ledger. An
// instance that starts then evaluates and applies what stands in Kafka (decision
// 0020).
func (p *Pipeline) readPlan(ctx context.Context) (*transform.Plan, error) {
	plan, err := compile(ctx, p.cfg, p.clients)
	if err == nil || !transform.Unreachable(err) || ctx.Err() != nil {
		return plan, err
	}
	kept, failed := transform.Recall(ctx, p.pool, p.cfg.Kafka.Topics.Prefix, p.cfg.Source.Tables, p.cfg.Mappings())
	var none *transform.NoCatalogueError
	switch {
	case errors.As(failed, &none):
		return nil, fmt.Errorf("%w; without the source the mapping cannot be compiled, and %w", err, none)
	case failed != nil:
		return nil, errors.Join(err, failed)
	}
	p.log.WarnContext(ctx, "the source cannot be reached; this instance starts with its catalogue as it was read last, and did not compare the source's identity",
		"read_at", kept.ReadAt, "error", redact.SQLError(err))
	return kept.Plan, nil
}

// sourceIdentity is who the source is; nothing while it cannot be reached: what the
// ledger is told then comes from Kafka, whose identity is compared, and the source
// connector compares the source with its checkpoint before it streams (hazards C22,
// S10).
func (c *Clients) sourceIdentity(ctx context.Context) (system replication.System, err error) {
	within, cancel := context.WithTimeout(ctx, sourcePatience)
	defer cancel()
	conn, err := replication.Connect(within, c.Source, c.cfg.Name+"-identity")
	if err == nil {
		system, err = conn.Identify(within)
		err = errors.Join(err, conn.Close())
	}
	if transform.Unreachable(err) && ctx.Err() == nil {
		return replication.System{}, nil
	}
	return system, err
}
