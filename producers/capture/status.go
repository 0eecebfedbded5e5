package capture

import (
	"maps"
	"sync"
	"time"

	"github.com/backstitch/backstitch/schemas"
)

// State is a connector's state, in Kafka Connect's words; STANDBY is ours.
type State string

// The states of a source.
const (
	StateUnassigned State = "UNASSIGNED" // not started, or stopped
	StateRunning    State = "RUNNING"
	StateStandby    State = "STANDBY" // another instance owns the source
	StateRestarting State = "RESTARTING"
	StateFailed     State = "FAILED" // held: see reason and fix; a backfill request makes it try again
)

// Status is what a source says about itself.
type Status struct {
	State State `json:"state"`
	// Since is when it entered the state.
	Since time.Time `json:"since"`
	// Owner is the instance that owns the source, as far as this one knows: itself
	// while it runs, and while it stands by who holds the slot. Empty when unknown, and
	// for an owner without a name (Config.Owner).
	Owner  string `json:"owner,omitempty"`
	Reason string `json:"reason,omitempty"`
	Fix    string `json:"fix,omitempty"`

	Epoch uint32 `json:"epoch"`
	// Position is the last committed checkpoint's.
	Position schemas.Position `json:"position"`
	// Confirmed is what the slot was confirmed to.
	Confirmed schemas.LSN `json:"confirmed_lsn"`
	// Slot is the guardian's last look at the slot, also of an instance that owns nothing.
	Slot SlotStatus `json:"slot"`
	// KafkaSilentSince is when Kafka answered last, while it does not answer.
	KafkaSilentSince *time.Time `json:"kafka_silent_since,omitempty"`
	// Phase is what the stream does: reading (paused for a backfill) or streaming.
	Phase string `json:"phase,omitempty"`
	// Backfill is the progress by table.
	Backfill      map[string]TableStatus `json:"backfill,omitempty"`
	FirstComplete bool                   `json:"first_complete"`
	Run           int64                  `json:"run"`
	// Waiting says what keeps a backfill's next slice from starting.
	Waiting string `json:"backfill_waits_for,omitempty"`

	// Records is how many records were committed since the process started, and
	// PerSecond their rate over the last seconds.
	Records   int64     `json:"records"`
	PerSecond float64   `json:"records_per_second"`
	UpdatedAt time.Time `json:"updated_at"`
}

// TableStatus is a table's backfill progress.
type TableStatus struct {
	Done     bool  `json:"done"`
	Rows     int64 `json:"rows"`
	Estimate int64 `json:"estimate"`
	Ranges   int   `json:"ranges"`
}

// statusBox guards the status.
type statusBox struct {
	mu     sync.Mutex
	status Status
	since  time.Time
	base   int64
}

// set changes the status and returns the state that it had before.
func (b *statusBox) set(change func(*Status)) State {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.status.State
	change(&b.status)
	return before
}

// setState enters a state and returns the one before. What it is about stands in
// reason and fix.
func (s *Source) setState(state State, reason, fix string) State {
	return s.status.set(func(st *Status) {
		if st.State != state {
			st.Since = s.deps.Clock().UTC()
		}
		st.State, st.Reason, st.Fix = state, reason, fix
		switch state {
		case StateRunning:
			st.Owner = s.cfg.Owner
		case StateStandby: // the poll knows
		default:
			st.Owner = ""
		}
		s.metrics.owner.Set(0)
		if state == StateRunning {
			s.metrics.owner.Set(1)
		}
	})
}

const rateWindow = 5 * time.Second

func (b *statusBox) committed(c *schemas.Checkpoint, records int, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	st := &b.status
	st.Epoch, st.Position, st.UpdatedAt = c.Source.Epoch, c.Position, now
	st.FirstComplete, st.Run = c.Backfill.FirstComplete, c.Backfill.Run
	tables := make(map[string]TableStatus, len(c.Backfill.Tables))
	for name, p := range c.Backfill.Tables {
		tables[name] = TableStatus{Done: p.Done, Rows: p.Rows, Estimate: p.Estimate, Ranges: len(p.Ranges)}
	}
	st.Backfill = tables
	st.Records += int64(records)
	if elapsed := now.Sub(b.since); elapsed >= rateWindow {
		if !b.since.IsZero() {
			st.PerSecond = float64(st.Records-b.base) / elapsed.Seconds()
		}
		b.since, b.base = now, st.Records
	}
}

// Status is a snapshot of what the source knows about itself.
func (s *Source) Status() Status {
	s.status.mu.Lock()
	defer s.status.mu.Unlock()
	st := s.status.status
	st.Backfill = maps.Clone(st.Backfill)
	return st
}
