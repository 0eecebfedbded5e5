package admin

import (
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/schemas"
)

// Status is the answer of `backstitch status --output json` and of GET /status. Its
// fields are a contract: they are added to, never renamed or removed.
type Status struct {
	// Name is the pipeline's.
	Name string `json:"name"`
	// Time of the report.
	Time time.Time `json:"time"`
	// Connectors are <name>-source, -transform and -apply.
	Connectors []Connector `json:"connectors"`
	// Instances are the processes that run the connectors, or stand by.
	Instances []ledger.Instance `json:"instances,omitempty"`
	// Source is how far the source topics reach; nil before the first checkpoint.
	Source *Source `json:"source,omitempty"`
	// Backfill is the progress of the current or last run, by table.
	Backfill []Table `json:"backfill"`
	// Transform is how far the mapping was evaluated.
	Transform Transform `json:"transform"`
	// Lag is what consumers have not read yet, by topic.
	Lag []Lag `json:"lag"`
	// Entities counts organizations and members by state.
	Entities ledger.Summary `json:"entities"`
	// Apply is the rate of the apply connector in this process; zero from another one.
	Apply Apply `json:"apply"`
	// Consents wait for `backstitch approve`.
	Consents []ledger.Consent `json:"consents"`
	// Problems are parts of this report that could not be read, and why.
	Problems []string `json:"problems,omitempty"`
}

// Connector is one of the three, with Kafka Connect's states.
type Connector struct {
	Name string `json:"name"`
	// State: RUNNING, RESTARTING, UNASSIGNED (nobody runs it), PAUSED, STOPPED, FAILED.
	State string `json:"state"`
	// Worker is the instance that runs it; of apply, the one with the lowest task.
	Worker string `json:"worker_id,omitempty"`
	// Since is when its tasks came into this state.
	Since *time.Time `json:"since,omitempty"`
	// Tasks by id; of a stopped connector none.
	Tasks []ledger.Task `json:"tasks,omitempty"`
	// Trace says why it failed, and the fix when it is held.
	Trace string `json:"trace,omitempty"`
	// Held: FAILED until a person acts.
	Held bool `json:"held,omitempty"`
}

// Source is the source connector's position.
type Source struct {
	Epoch uint32 `json:"epoch"`
	// CommitLSN is the last commit in the topics, EndLSN what the slot may be confirmed to.
	CommitLSN  string    `json:"commit_lsn"`
	EndLSN     string    `json:"end_lsn"`
	CommitTime time.Time `json:"commit_time"`
	// SlotActive, ConfirmedLSN, RestartLSN, RetainedBytes (from RestartLSN on),
	// WALStatus and SafeWALSize come from pg_replication_slots.
	SlotActive    bool   `json:"slot_active"`
	ConfirmedLSN  string `json:"confirmed_lsn,omitempty"`
	RestartLSN    string `json:"restart_lsn,omitempty"`
	RetainedBytes int64  `json:"retained_bytes"`
	WALStatus     string `json:"wal_status,omitempty"`
	SafeWALSize   *int64 `json:"safe_wal_size,omitempty"`
	// SlotLagBytes is the log after ConfirmedLSN, SlotLagSeconds the age of the last
	// commit that is in the topics: 0 while nothing more is known to come, absent while
	// that is not known.
	SlotLagBytes   int64    `json:"slot_lag_bytes"`
	SlotLagSeconds *float64 `json:"slot_lag_seconds,omitempty"`
}

// Table is a table's part of a backfill.
type Table struct {
	Table string `json:"table"`
	// Rows read so far; Estimate is the planner's count when the run began.
	Rows     int64 `json:"rows"`
	Estimate int64 `json:"estimate"`
	Done     bool  `json:"done"`
	// RowsPerSecond over the last minute, and how long the rest takes at that rate.
	// Absent of a table that is read, or while there is no rate.
	RowsPerSecond *float64 `json:"rows_per_second,omitempty"`
	ETASeconds    *float64 `json:"eta_seconds,omitempty"`
}

// Transform is the transform connector's position.
type Transform struct {
	// Phase: "", loading or following.
	Phase string `json:"phase"`
	// EvaluatedLSN is the commit LSN of the last evaluated state.
	EvaluatedLSN string `json:"evaluated_lsn,omitempty"`
	// Audits are the newest evaluations of the whole mapping, one of each cause, the
	// newest first.
	Audits []Audit `json:"audits"`
	// Mirror is the last comparison of the mirror with the source; absent before the first.
	Mirror *MirrorAudit `json:"mirror,omitempty"`
}

// Audit is an evaluation of the whole mapping.
type Audit struct {
	// Cause: load, mapping (another one was accepted), rebuild, audit or sweep.
	Cause     string `json:"cause"`
	CommitLSN string `json:"commit_lsn"`
	// Entities looked at, and how many were Changed: written, or found different.
	Entities int64 `json:"entities"`
	Changed  int64 `json:"changed"`
	// Missed entities were different although no route had touched them: the route of
	// one of the Suspects misses changes. Audits find and repair these.
	Missed   int64    `json:"missed"`
	Suspects []string `json:"suspects,omitempty"`
	// NullKeys are rows of the mapping without a whole key: nothing comes of them.
	NullKeys  int64     `json:"null_keys"`
	StartedAt time.Time `json:"started_at"`
	// EndedAt is absent while it runs, and when it was given up.
	EndedAt *time.Time `json:"ended_at,omitempty"`
}

// Lag of a group on a topic, up to the last stable offset: what a read_committed
// reader can see. A group that has caught up has none.
type Lag struct {
	Group string `json:"group"`
	Topic string `json:"topic"`
	// Lane of an apply topic; absent of a source topic.
	Lane schemas.Lane `json:"lane,omitempty"`
	// Records are offsets: an upper bound where records were compacted away, or where
	// transactions' markers lie between them.
	Records int64 `json:"records"`
	// Bytes is an estimate: the topic's size on disk by the share of its offsets that
	// was not read. Absent where the brokers do not tell.
	Bytes *int64 `json:"bytes,omitempty"`
	// Seconds is the age of the oldest record that was not processed; absent where it
	// could not be read.
	Seconds *float64 `json:"seconds,omitempty"`
	// Partitions by number.
	Partitions []LagPartition `json:"partitions,omitempty"`
}

// LagPartition is one partition's part of a Lag.
type LagPartition struct {
	Partition int32 `json:"partition"`
	// CurrentOffset is the next one that the group processes, LogEndOffset the last
	// stable one.
	CurrentOffset int64    `json:"current_offset"`
	LogEndOffset  int64    `json:"log_end_offset"`
	Records       int64    `json:"records"`
	Bytes         *int64   `json:"bytes,omitempty"`
	Seconds       *float64 `json:"seconds,omitempty"`
}

// Apply is what the apply connector does now.
type Apply struct {
	// CallsPerSecond over the last seconds, and all calls of this process.
	CallsPerSecond float64 `json:"calls_per_second"`
	Calls          int64   `json:"calls"`
	// ETASeconds until nothing waits, at the cluster's rate of the last seconds; 0 when
	// unknown, and when nothing waits.
	ETASeconds float64 `json:"eta_seconds"`
}

// FromCheckpoint fills what a checkpoint says.
func (s *Status) FromCheckpoint(c *schemas.Checkpoint) {
	s.Source = &Source{
		Epoch:      c.Source.Epoch,
		CommitLSN:  c.Position.Version.Commit.String(),
		EndLSN:     c.Position.EndLSN.String(),
		CommitTime: c.Position.CommitTime,
	}
	s.Backfill = []Table{}
	for _, name := range sortedKeys(c.Backfill.Tables) {
		t := c.Backfill.Tables[name]
		s.Backfill = append(s.Backfill, Table{Table: name, Rows: t.Rows, Estimate: t.Estimate, Done: t.Done})
	}
}
