package schemas

import (
	"encoding/json"
	"fmt"
	"time"
)

// Checkpoint is the record that the producer commits in the same Kafka
// transaction as the changes before it (invariants 1 and 2). Whoever has
// consumed every partition up to Ends of a checkpoint that ends a source
// transaction holds the legacy state at that LSN.
type Checkpoint struct {
	Source   Source   `json:"source"`
	Position Position `json:"position"`
	// Backfill is the progress of the current or last run.
	Backfill Backfill `json:"backfill"`
	// Topics holds, by topic name, the data topics' identity and ends.
	Topics map[string]TopicEnds `json:"topics"`
	// Creating is set in the one record that precedes the slot's creation (hazard S12).
	Creating bool `json:"creating,omitempty"`
	// WrittenAt is the producer's wall clock, for display only.
	WrittenAt time.Time `json:"written_at"`
}

// Source identifies where the changes come from (hazards S10, S11, C22).
type Source struct {
	SystemID    string `json:"system_id"`
	Timeline    uint32 `json:"timeline"`
	Database    string `json:"database"`
	Slot        string `json:"slot"`
	Publication string `json:"publication"`
	Epoch       uint32 `json:"epoch"`
}

// Position is how far the source topics reach.
type Position struct {
	Version Version `json:"version"`
	// EndLSN is TransactionEndLSN of the last whole transaction: what the slot may
	// be confirmed to, and nothing else. Never compared with versions.
	EndLSN LSN `json:"end_lsn"`
	// EndsTransaction: the mapping may be evaluated here (invariant 11).
	EndsTransaction bool `json:"ends_transaction"`
	// CommitTime is the commit time of the last change, zero before the first.
	CommitTime time.Time `json:"commit_time"`
}

// Backfill is the durable progress of a backfill run.
type Backfill struct {
	// Run numbers runs within the prefix, from 1; 0 before the first.
	Run int64 `json:"run"`
	// Tables holds, by table (Table.String()), what the run has finished.
	Tables map[string]TableProgress `json:"tables,omitempty"`
	// FirstComplete: every captured table was read whole at least once in this
	// epoch, so that loading may end (design, Loading).
	FirstComplete bool `json:"first_complete"`
}

// TableProgress is one table's part of a run.
type TableProgress struct {
	Done bool `json:"done"`
	// Ranges are the finished primary-key ranges, merged (hazard S16).
	Ranges []Range `json:"ranges,omitempty"`
	Rows   int64   `json:"rows"`
	// Estimate is the planner's row count when the run began.
	Estimate int64 `json:"estimate"`
	// Point is the consistent point of the last finished range.
	Point LSN `json:"point"`
	// Run is the run that last completed this table.
	Run int64 `json:"run,omitempty"`
}

// Range is a half-open range (From, To] of primary keys, each a tuple of text
// values in the key's order; nil means unbounded.
type Range struct {
	From []string `json:"from,omitempty"`
	To   []string `json:"to,omitempty"`
}

// TopicEnds are a data topic's identity and the ends of its partitions: last
// committed data record + 1 as its promise reported it, carried over when
// untouched, 0 when never written (hazards S22, S28).
type TopicEnds struct {
	ID   string  `json:"id"`
	Ends []int64 `json:"ends"`
}

// Control is a record in the checkpoints topic, under a key of its own, for
// events that data topics cannot carry: TRUNCATE, a table dropped and made again
// (hazard S25), a column that appeared or changed type (hazard C9). It holds the
// transform until a person consents (invariant 7).
type Control struct {
	Kind    string    `json:"kind"` // one of the Control… constants
	Table   Table     `json:"table"`
	Columns []string  `json:"columns,omitempty"`
	Version Version   `json:"version"`
	Time    time.Time `json:"time"`
}

// The kinds of control records.
const (
	ControlTruncate  = "truncate"
	ControlRecreated = "recreated" // another OID under the same name
	ControlColumns   = "columns"   // columns appeared or changed type: incomplete until backfilled again
)

// Keys of the checkpoints topic. A barrier has a key of its own, so that it
// never supersedes a checkpoint in the compacted topic (hazard S13).
const (
	KeyCheckpoint    = "checkpoint"
	KeyBarrier       = "barrier"
	KeyControlPrefix = "control/" // + Version.String()
)

// Encode is the JSON form of a checkpoint or control record.
func Encode(v any) ([]byte, error) { return json.Marshal(v) }

// DecodeCheckpoint reads a checkpoint record's value.
func DecodeCheckpoint(b []byte) (*Checkpoint, error) {
	var c Checkpoint
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("decode checkpoint: %w", err)
	}
	return &c, nil
}

// DecodeControl reads a control record's value.
func DecodeControl(b []byte) (*Control, error) {
	var c Control
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("decode control record: %w", err)
	}
	return &c, nil
}
