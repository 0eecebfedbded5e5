package pipeline

import (
	"context"
	"crypto/sha256"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backstitch/backstitch/consumers/apply"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/producers/backfill"
	"github.com/backstitch/backstitch/producers/capture"
)

// sourceConfig is what the configuration says about the source connector.
func sourceConfig(cfg *config.Config) capture.Config {
	return capture.Config{
		Name: cfg.Name + "-source", Prefix: cfg.Kafka.Topics.Prefix,
		Slot: cfg.Source.Slot, Publication: cfg.Source.Publication,
		SlotMaxRetained: cfg.Source.SlotMaxRetained, SlotOnExceed: cfg.Source.SlotOnExceed,
		KeepPublication: !cfg.Source.CreatePublication,
		Tables:          cfg.Source.Tables,
		Partitions:      cfg.Kafka.Topics.Partitions, ReplicationFactor: int16(cfg.Kafka.Topics.ReplicationFactor),
		CreateTopics:     cfg.Kafka.Topics.Create,
		Heartbeat:        cfg.Source.Heartbeat,
		BackfillMaxPause: cfg.Backfill.MaxPause,
		Backfill:         backfill.Config{Workers: cfg.Backfill.Workers},
	}
}

// newSource wires Postgres to Kafka.
func newSource(cfg *config.Config, c *Clients, r *Rehearsal, owner string, log *slog.Logger, metrics prometheus.Registerer) *capture.Source {
	instance := sourceConfig(cfg)
	instance.Owner = owner
	instance.Volatile, instance.FirstEpoch = c.incarnation.Number > 0, c.incarnation.Epoch
	deps := capture.Deps{
		Source: c.Source, Kafka: c.Kafka, Registry: c.Registry, Logger: log, Metrics: metrics,
	}
	r.source(&instance, &deps)
	return capture.New(instance, deps)
}

// newTransform wires the source topics to the ledger and the apply topics.
func newTransform(cfg *config.Config, c *Clients, pool *pgxpool.Pool, plan *transform.Plan, owner string, log *slog.Logger, metrics prometheus.Registerer) *transform.Transform {
	return transform.New(
		transform.Config{
			Name: cfg.Name, Owner: owner, Digest: cfg.Digest(), Incarnation: c.incarnation.Number,
			Prefix: cfg.Kafka.Topics.Prefix, Tables: cfg.Source.Tables, Mappings: cfg.Mappings(),
			ApplyPartitions: cfg.Kafka.Topics.Partitions, Sweep: cfg.Sweep, AuditEvery: cfg.Audit,
		},
		transform.Deps{
			Ledger: pool, LedgerConn: c.Ledger, Plan: plan, Kafka: c.Kafka, Registry: c.Registry, Logger: log, Metrics: metrics,
			Describe: func(ctx context.Context) ([]transform.Captured, error) {
				conn, err := c.ConnectSource(ctx, cfg.Name+"-catalogue")
				if err != nil {
					return nil, err
				}
				defer conn.Close(ctx)
				return Captured(ctx, conn, cfg.Source.Tables)
			},
		})
}

// applyConfig is what the configuration says about the apply connector.
func applyConfig(cfg *config.Config) apply.Config {
	return apply.Config{
		Name: cfg.Name, Prefix: cfg.Kafka.Topics.Prefix, Partitions: cfg.Kafka.Topics.Partitions,
		RateLimit: float64(cfg.Stytch.RateLimit), Deletes: cfg.DeletePolicy(),
		OrganizationPrefix: cfg.ExternalIDPrefix.Organizations, MemberPrefix: cfg.ExternalIDPrefix.Members,
		ProjectID: cfg.Stytch.ProjectID, DigestKey: digestKey(cfg), AssumeEmailsVerified: cfg.Members.AssumeEmailsVerified,
		TemporaryEmailDomain: cfg.Members.TemporaryEmailDomain,
	}
}

// digestKey keys the digests of hashes and claimed values in the ledger. It is
// derived from what never rotates (hazard A20). The names are public, so whoever
// reads the ledger can guess at a digest; a random key would not change that: all
// instances need the same one, it would stand in the same ledger, and beside it
// stand the desired states with the values themselves. Digests leave the ledger
// nowhere but in temporary slugs and addresses, made of keys alone (invariant 8).
func digestKey(cfg *config.Config) []byte {
	key := sha256.Sum256([]byte("backstitch/digest/" + cfg.Name + "/" + cfg.Stytch.ProjectID))
	return key[:]
}

// newApply wires the apply topics to Stytch.
func newApply(cfg *config.Config, c *Clients, r *Rehearsal, pool *pgxpool.Pool, owner string, log *slog.Logger, metrics prometheus.Registerer) (*apply.Apply, error) {
	instance := applyConfig(cfg)
	instance.Owner, instance.Digest = owner, cfg.Digest()
	deps := apply.Deps{
		Ledger: pool, Client: c.Stytch, Kafka: c.Kafka, Logger: log, Metrics: metrics,
	}
	r.apply(&instance, &deps)
	return apply.New(instance, deps)
}
