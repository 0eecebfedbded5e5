package publisher

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Registrar registers a schema under a subject and returns its id. It is asked
// while a batch is filled, never inside a Kafka transaction (hazard S18).
type Registrar interface {
	Register(ctx context.Context, subject, schema string) (int, error)
}

// Config is what a publisher is told.
type Config struct {
	// Prefix of topics and of the transactional id.
	Prefix string
	// Database is the source database's name, for the records' source block.
	Database string
	// Partitions of a data topic that is created; default 1.
	Partitions int
	// ReplicationFactor of a topic that is created; default 1.
	ReplicationFactor int16
	// CreateTopics: create what is missing. Otherwise a missing topic holds.
	CreateTopics bool
	// TopicConfigs are added to, or replace, the configuration of topics that are created.
	TopicConfigs map[string]string
	// MaxRecordBytes is max.message.bytes of created topics; default 16 MiB.
	MaxRecordBytes int
	// MinGap is the least time from one commit to the next transaction (hazard
	// S17); default 5 ms.
	MinGap time.Duration
	// GiveUp is the least bound of one Kafka transaction (hazard S15); default 3 s.
	GiveUp time.Duration
	// Patience is that bound, made longer by a slow Kafka. Publishers that follow one
	// another share one; nil makes a new one from GiveUp.
	Patience *Patience
	// Answered, when it is set, is called whenever Kafka took a commit or a probe.
	Answered func()
	// Now is the clock; default time.Now.
	Now func() time.Time

	Kafka    []kgo.Opt
	Registry Registrar
	Logger   *slog.Logger
	Metrics  *Metrics
}

// WithDefaults fills in what is not set.
func (c Config) WithDefaults() Config {
	if c.Partitions <= 0 {
		c.Partitions = 1
	}
	if c.ReplicationFactor <= 0 {
		c.ReplicationFactor = 1
	}
	if c.MaxRecordBytes <= 0 {
		c.MaxRecordBytes = 16 << 20
	}
	if c.MinGap <= 0 {
		c.MinGap = 5 * time.Millisecond
	}
	if c.GiveUp <= 0 {
		c.GiveUp = 3 * time.Second
	}
	if c.Patience == nil {
		c.Patience = NewPatience(c.GiveUp)
	}
	if c.Answered == nil {
		c.Answered = func() {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	return c
}

// TransactionalID is the id that fences a source's owners.
func TransactionalID(prefix string) string { return "backstitch." + prefix }
