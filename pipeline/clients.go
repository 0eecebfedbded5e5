package pipeline

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/stytch"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/pipeline/preflight"
	"github.com/backstitch/backstitch/producers/capture"
	"github.com/backstitch/backstitch/producers/replication"
	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/registry"
)

// Clients are the connections that the configuration describes, built in one place
// and passed to the stages.
type Clients struct {
	Source   *pgx.ConnConfig
	Ledger   *pgx.ConnConfig
	Kafka    []kgo.Opt
	Registry *registry.Registry
	Stytch   *stytch.Client

	cfg *config.Config
	// incarnation of the embedded broker; zero with a Kafka that outlives processes.
	incarnation ledger.Incarnation
}

// NewClients reads addresses and credentials; nothing is dialled yet.
func NewClients(cfg *config.Config) (*Clients, error) {
	source, err := pgx.ParseConfig(cfg.Source.Postgres.Reveal())
	if err != nil {
		return nil, fmt.Errorf("%s: source.postgres is not a PostgreSQL connection URL", cfg.Where("source.postgres"))
	}
	led, err := ledger.ConnConfig(cfg.Ledger.Reveal(), cfg.Name)
	if err != nil {
		return nil, fmt.Errorf("%s: ledger is not a PostgreSQL connection URL", cfg.Where("ledger"))
	}
	kafka, err := kafkaOptions(cfg)
	if err != nil {
		return nil, err
	}
	reg, err := newRegistry(cfg)
	if err != nil {
		return nil, err
	}
	return &Clients{
		Source:   source,
		Ledger:   led,
		Kafka:    kafka,
		Registry: reg,
		Stytch: stytch.New(stytch.Options{
			BaseURL: cfg.Stytch.BaseURL, ProjectID: cfg.Stytch.ProjectID, Secret: cfg.Stytch.Secret.Reveal(),
		}),
		cfg: cfg,
	}, nil
}

// ConnectSource opens an ordinary session on the source, with its formats pinned.
func (c *Clients) ConnectSource(ctx context.Context, application string) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, replication.Session(c.Source, application))
	if err != nil {
		return nil, c.Explain(preflight.WireSource, fmt.Errorf("connect to the source: %w", redact.SQLError(err)))
	}
	return conn, nil
}

// heartbeat writes a transaction of our own into the source, and returns its LSN.
func (c *Clients) heartbeat(ctx context.Context, name string) (schemas.LSN, error) {
	conn, err := c.ConnectSource(ctx, name+"-heartbeat")
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	lsn, err := capture.Heartbeat(ctx, conn)
	if err != nil {
		return 0, fmt.Errorf("write a heartbeat into the source: %w", err)
	}
	return lsn, nil
}

// identity is who the outside servers are, for the ledger to compare (hazard C22).
func (c *Clients) identity(ctx context.Context, cfg *config.Config) (ledger.Identity, error) {
	system, err := c.sourceIdentity(ctx)
	if err != nil {
		return ledger.Identity{}, c.Explain(preflight.WireSource, err)
	}
	cluster := embeddedCluster
	if !cfg.Kafka.Embedded {
		if cluster, err = c.clusterID(ctx); err != nil {
			return ledger.Identity{}, err
		}
	}
	return ledger.Identity{
		Name: cfg.Name, SystemID: system.ID, Database: system.Database, ClusterID: cluster,
		Prefix: cfg.Kafka.Topics.Prefix, ProjectID: cfg.Stytch.ProjectID, Digest: cfg.Digest(),
		ApplyPartitions: cfg.Kafka.Topics.Partitions,
	}, nil
}

func (c *Clients) clusterID(ctx context.Context) (string, error) {
	client, err := kgo.NewClient(c.Kafka...)
	if err != nil {
		return "", fmt.Errorf("kafka: %w", err)
	}
	defer client.Close()
	meta, err := kadm.NewClient(client).BrokerMetadata(ctx)
	if err != nil {
		return "", c.Explain(preflight.WireKafka, fmt.Errorf("kafka: ask the brokers who they are: %w", err))
	}
	return meta.Cluster, nil
}

// ensureApplyTopics creates both lanes before anything reads or writes them.
func (c *Clients) ensureApplyTopics(ctx context.Context, cfg *config.Config) error {
	client, err := kgo.NewClient(c.Kafka...)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer client.Close()
	topics := cfg.Kafka.Topics
	return transform.EnsureApplyTopics(ctx, client, topics.Prefix, topics.Partitions, topics.ReplicationFactor)
}
