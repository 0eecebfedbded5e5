package transform

import (
	"context"
	"log/slog"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/registry"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Config is what a pipeline's file says about its transform.
type Config struct {
	// Name is the pipeline's; the connector and its consumer group are called
	// <Name>-transform.
	Name string
	// Prefix of the topics.
	Prefix string
	// Tables are the captured tables.
	Tables []schemas.Table
	// Mappings, one per kind.
	Mappings []consumers.Mapping
	// ApplyPartitions is the recorded number of partitions of the apply topics.
	ApplyPartitions int
	// Sweep is how often, at most, the mapping is recomputed for tables without a
	// route. Default 15 minutes.
	Sweep time.Duration
	// AuditEvery is how often the whole mapping is recomputed and compared, beside
	// the audit after loading. Default 24 hours.
	AuditEvery time.Duration
	// BatchRows and BatchBytes bound one fill transaction (hazard C14). Defaults
	// 20,000 rows and 16 MiB.
	BatchRows  int
	BatchBytes int
	// ReadBytes bounds what was read ahead of the fill, decoded, in all partitions
	// together (invariant 9). Default 48 MiB.
	ReadBytes int
	// KeyTimeout and PassTimeout bound a statement that evaluates the mapping: for
	// touched keys, and for a chunk of a pass. What takes longer is taken apart until
	// the entity is found, which is parked (hazard C20). Defaults 60 s and 10 minutes.
	KeyTimeout, PassTimeout time.Duration
	// Owner names this instance in the ledger. Default the host's name and the
	// process id.
	Owner string
	// Incarnation of an embedded broker, whose topics nobody else's offsets are of; 0
	// with a Kafka that outlives processes.
	Incarnation int64
	// Digest of mapping and policies: with another one accepted in the ledger, this
	// instance stands by (hazard C23). Empty: not compared.
	Digest string
	// Standby is how often a stand-by tries to become the owner. Default 250 ms.
	Standby time.Duration
	// Lease is how long an owner keeps the transform that the ledger does not hear of,
	// or that does not reach Kafka. Default 2.5 s.
	Lease time.Duration
}

const (
	defaultKeyTimeout  = time.Minute
	defaultPassTimeout = 10 * time.Minute
)

// withDefaults fills what the file leaves out.
func (c Config) withDefaults() Config {
	setDefault(&c.Sweep, 15*time.Minute)
	setDefault(&c.AuditEvery, 24*time.Hour)
	setDefault(&c.BatchRows, 20_000)
	setDefault(&c.BatchBytes, 16<<20)
	setDefault(&c.ReadBytes, 48<<20)
	setDefault(&c.KeyTimeout, defaultKeyTimeout)
	setDefault(&c.PassTimeout, defaultPassTimeout)
	setDefault(&c.Standby, 250*time.Millisecond)
	setDefault(&c.Lease, 2500*time.Millisecond)
	return c
}

func setDefault[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Deps are the clients that the pipeline builds and passes in.
type Deps struct {
	// Ledger is the pool of ledger sessions (ledger.Open).
	Ledger *pgxpool.Pool
	// LedgerConn opens dedicated sessions: the election's lock, the fill, audits.
	LedgerConn *pgx.ConnConfig
	// Describe reads the source's catalogue.
	Describe func(ctx context.Context) ([]Captured, error)
	// Plan is what the mappings read (Compile).
	Plan *Plan
	// Kafka are the client options: brokers, TLS, SASL.
	Kafka []kgo.Opt
	// Registry knows the writers' schemas.
	Registry *registry.Registry
	Logger   *slog.Logger
	Metrics  prometheus.Registerer
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Captured is a captured table as the source's catalogue shows it.
type Captured struct {
	Relation *schemas.Relation
	// Types are the statements that make the extensions, enums and domains of its
	// columns in the ledger, in order. Each may run again, and adds an enum's labels
	// that appeared since (hazard C19).
	Types []string
	// Indexes other than the primary key's; the mirror gets plain copies.
	Indexes []SourceIndex
}

// SourceIndex is an index without its uniqueness (hazard C7).
type SourceIndex struct {
	Name string
	// Definition is what stands behind USING.
	Definition string
	// Columns are the columns that it reads: the mirror copies the index only if it
	// has them all.
	Columns []string
}
