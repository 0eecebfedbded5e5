package capture

import (
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/producers/backfill"
	"github.com/backstitch/backstitch/producers/publisher"
	"github.com/backstitch/backstitch/producers/replication"
	"github.com/backstitch/backstitch/schemas"
)

// What happens when a slot retains more than Config.SlotMaxRetained.
const (
	OnExceedAlert = "alert"
	OnExceedDrop  = "drop"
)

// Config is what a source is told. The zero value of a duration or size means its
// default.
type Config struct {
	// Name is the connector's, for logs and the server's application_name.
	Name string
	// Owner identifies this instance among those that run the same connector, for
	// example host:port. It stands in the application_name of the walsender's session
	// and in the status; default none.
	Owner string
	// Prefix of topics and of the transactional id.
	Prefix string
	// Slot and Publication; default backstitch_<prefix>.
	Slot        string
	Publication string
	// KeepPublication: somebody else creates and changes the publication; where it is
	// not as it must be the source is held with the statement to run.
	KeepPublication bool
	// Tables to capture.
	Tables []schemas.Table
	// SnapshotOnly reads one state of the source and nothing that comes after it, and
	// leaves nothing there: see snapshot.go.
	SnapshotOnly bool

	// Volatile: the topics end with this process, so a start is a new one (volatile.go).
	// Its epoch is FirstEpoch, above that of any start before; default 1.
	Volatile   bool
	FirstEpoch uint32

	// Partitions and ReplicationFactor of data topics that are created; default 1.
	Partitions        int
	ReplicationFactor int16
	// CreateTopics: create what is missing; otherwise a missing topic holds.
	CreateTopics bool
	// TopicConfigs are added to the configuration of topics that are created.
	TopicConfigs map[string]string
	// MaxRecordBytes is max.message.bytes of created topics; default 16 MiB.
	MaxRecordBytes int

	// Heartbeat is the pace of transactional heartbeats; default 10 s.
	Heartbeat time.Duration
	// CommitInterval bounds a Kafka transaction's age while the stream is busy; default 50 ms.
	CommitInterval time.Duration
	// MinGap is the least time between two Kafka transactions (hazard S17); default 5 ms.
	MinGap time.Duration
	// GiveUp: when Kafka has not taken a commit, or without work not answered, for so
	// long, the slot is given up (hazard S15). Default 3 s; it grows to four times
	// that while Kafka is slow.
	GiveUp time.Duration
	// SenderTimeout is wal_sender_timeout of the connection that holds the slot: an
	// owner that is stopped or cut off from the source loses the slot after it. Status
	// replies go out five times as often. Default 2.5 s.
	SenderTimeout time.Duration
	// StandbyPoll is the pace at which a stand-by looks whether the slot has become
	// free. It is a read of one row that touches nothing (hazard S14). Default 200 ms.
	StandbyPoll time.Duration
	// GuardEvery is the pace of the guardian's look at the slot; default 2 s.
	GuardEvery time.Duration
	// Recheck is the pace at which a held source looks whether the cause is gone, where
	// the way out is not a backfill; default 10 s.
	Recheck time.Duration

	// SlotMaxRetained is how much write-ahead log, in bytes, the slot may make the
	// server keep; 0: no limit.
	SlotMaxRetained int64
	// SlotOnExceed is what happens beyond: OnExceedAlert (the default) warns,
	// OnExceedDrop drops the slot to protect the primary's disk and holds the source.
	SlotOnExceed string

	// BackfillMaxPause bounds a pause of the stream for a slice; default 10 s.
	BackfillMaxPause time.Duration
	// Backfill is how rows are read.
	Backfill backfill.Config

	// BatchRecords and BatchBytes bound a Kafka transaction; default 20,000 records
	// or 8 MiB, whichever comes first. One row always fits.
	BatchRecords int
	BatchBytes   int
}

func (c Config) withDefaults() Config {
	if c.Slot == "" {
		c.Slot = DefaultSlot(c.Prefix)
	}
	if c.Publication == "" {
		c.Publication = DefaultSlot(c.Prefix)
	}
	if c.Name == "" {
		c.Name = c.Prefix + "-source"
	}
	for _, d := range []struct {
		value   *time.Duration
		initial time.Duration
	}{
		{&c.Heartbeat, 10 * time.Second},
		{&c.CommitInterval, 50 * time.Millisecond},
		{&c.MinGap, 5 * time.Millisecond},
		{&c.GiveUp, 3 * time.Second},
		{&c.SenderTimeout, replication.DefaultSenderTimeout},
		{&c.StandbyPoll, 200 * time.Millisecond},
		{&c.GuardEvery, 2 * time.Second},
		{&c.Recheck, 10 * time.Second},
		{&c.BackfillMaxPause, 10 * time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.initial
		}
	}
	if c.SlotOnExceed == "" {
		c.SlotOnExceed = OnExceedAlert
	}
	if c.BatchRecords <= 0 {
		c.BatchRecords = 20_000
	}
	if c.BatchBytes <= 0 {
		c.BatchBytes = 8 << 20
	}
	return c
}

// DefaultSlot is the name of slot and publication of a prefix: what a slot's name
// may not hold becomes an underscore.
func DefaultSlot(prefix string) string {
	name := []byte("backstitch_" + prefix)
	for i, c := range name {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_':
		case c >= 'A' && c <= 'Z':
			name[i] = c - 'A' + 'a'
		default:
			name[i] = '_'
		}
	}
	return string(name[:min(len(name), 55)]) // 63 less the suffix of a temporary slot
}

// Deps are the ready-made parts that a source works with.
type Deps struct {
	// Source connects ordinary sessions; replication sessions derive from it.
	Source *pgx.ConnConfig
	// Kafka holds seeds, TLS and authentication.
	Kafka []kgo.Opt
	// Registry registers schemas.
	Registry publisher.Registrar
	Logger   *slog.Logger
	// Metrics may be nil.
	Metrics prometheus.Registerer
	// Clock is time.Now unless a test says otherwise.
	Clock func() time.Time
}
