package report

import (
	"time"

	"github.com/backstitch/backstitch/consumers"
)

// Change is what differs from a former rehearsal, entity by entity.
type Change struct {
	// Mapping and the other facts of the former one.
	Mapping string    `json:"mapping_digest"`
	LSN     string    `json:"lsn"`
	Ended   time.Time `json:"ended_at"`
	// SameMapping: the data changed, not the mapping.
	SameMapping bool `json:"same_mapping"`
	// Kinds are empty where the former rehearsal's states were not found: NoStates says
	// why, and only counts are compared.
	Kinds    []KindChange `json:"kinds"`
	NoStates string       `json:"no_states,omitempty"`
	// Classes that differ in number, the largest difference first.
	Classes []ClassChange `json:"classes"`
	// Fields that another number of entities has a value in, the largest difference first.
	Fields []FieldChange `json:"fields"`
	// Verdict, Before (its counts), Seconds and Calls are the former ones.
	Verdict Verdict `json:"verdict"`
	Before  []Kind  `json:"before"`
	Seconds float64 `json:"seconds"`
	Calls   int64   `json:"calls"`
}

// KindChange counts the organizations, or the members, that are not what they were.
type KindChange struct {
	Kind consumers.Kind `json:"kind"`
	// Same in outcome and desired state.
	Same int64 `json:"same"`
	// Appeared are entities that the mapping did not return; Vanished those that it
	// returns no more.
	Appeared ChangeGroup `json:"appeared"`
	Vanished ChangeGroup `json:"vanished"`
	// Desired: the same outcome, another desired state.
	Desired ChangeGroup `json:"desired"`
	// Moves are other outcomes or causes, the most frequent first.
	Moves []Move `json:"moves"`
	// Fields that hold other values in some entity; known only where no entity appeared
	// and none vanished.
	Fields      []string `json:"fields"`
	FieldsKnown bool     `json:"fields_known"`
}

// ChangeGroup counts entities, and lists some.
type ChangeGroup struct {
	Count   int64    `json:"count"`
	Samples []Sample `json:"samples"`
}

// Move is one outcome and cause to another: parked, duplicate_email to created.
type Move struct {
	From Standing `json:"from"`
	To   Standing `json:"to"`
	ChangeGroup
}

// Standing is an outcome with its cause.
type Standing struct {
	Outcome Outcome `json:"outcome"`
	Class   Class   `json:"class,omitempty"`
}

// ClassChange is a finding's count, then and now.
type ClassChange struct {
	Class  Class  `json:"class"`
	Title  string `json:"title"`
	Before int64  `json:"before"`
	Now    int64  `json:"now"`
}

// FieldChange is how many entities have a value in a field, then and now.
type FieldChange struct {
	Kind   consumers.Kind `json:"kind"`
	Field  string         `json:"field"`
	Before int64          `json:"before"`
	Now    int64          `json:"now"`
}
