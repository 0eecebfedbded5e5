package stytch

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"
)

// Entry is one request that the simulator received.
type Entry struct {
	Seq            uint64    `json:"seq"`  // 1, 2, … over the simulator's life
	Time           time.Time `json:"time"` // of its arrival; of a late effect: when it came
	End            time.Time `json:"end"`  // of its answer, or of its being cut
	Method         string    `json:"method"`
	Endpoint       Endpoint  `json:"endpoint"` // "": no such route
	OrganizationID string    `json:"organization_id,omitempty"`
	MemberID       string    `json:"member_id,omitempty"`
	Fields         []string  `json:"fields"` // names of the body's fields, sorted
	// Body is what was sent, in memory only: it holds personal data (invariant 8). nil
	// above 16 KiB (invariant 9).
	Body json.RawMessage `json:"-"`
	// Status is the answer's; 0: there was none.
	Status int `json:"status"`
	// Effect is the status of an operation whose own answer a fault withheld; 0: it was
	// not performed, or Status is its own.
	Effect    int    `json:"effect,omitempty"`
	ErrorType string `json:"error_type,omitempty"`
	RequestID string `json:"request_id"`
	// Fault is the fault that took the request. A late effect has two entries: the
	// request, without status, and later its effect.
	Fault FaultKind `json:"fault,omitempty"`
}

// Filter selects entries; its zero fields select all.
type Filter struct {
	Endpoint       Endpoint
	OrganizationID string
	MemberID       string
	Status         int
	ErrorType      string
	After          uint64 // entries with a higher Seq
}

func (f Filter) fits(e *Entry) bool {
	return e.Seq > f.After &&
		(f.Endpoint == "" || f.Endpoint == e.Endpoint) &&
		(f.OrganizationID == "" || f.OrganizationID == e.OrganizationID) &&
		(f.MemberID == "" || f.MemberID == e.MemberID) &&
		(f.Status == 0 || f.Status == e.Status) &&
		(f.ErrorType == "" || f.ErrorType == e.ErrorType)
}

const maxJournalBody = 16 << 10

// journal is a ring of the newest entries and counters of all.
type journal struct {
	mu struct {
		sync.Mutex
		ring   []Entry
		seq    uint64
		counts map[Endpoint]map[int]int
	}
}

func newJournal(size int) *journal {
	j := &journal{}
	j.mu.ring = make([]Entry, size)
	j.mu.counts = map[Endpoint]map[int]int{}
	return j
}

func (j *journal) add(e Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.mu.seq++
	e.Seq = j.mu.seq
	if len(e.Body) > maxJournalBody {
		e.Body = nil
	}
	j.mu.ring[e.Seq%uint64(len(j.mu.ring))] = e
	if j.mu.counts[e.Endpoint] == nil {
		j.mu.counts[e.Endpoint] = map[int]int{}
	}
	j.mu.counts[e.Endpoint][e.Status]++
}

// Journal returns the entries that fit the filter, if one is given, and are still
// kept; oldest first.
func (s *Simulator) Journal(filter ...Filter) []Entry {
	var f Filter
	if len(filter) > 0 {
		f = filter[0]
	}
	j := s.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	size := uint64(len(j.mu.ring))
	from := max(f.After, j.mu.seq-min(j.mu.seq, size)) + 1
	entries := []Entry{}
	for seq := from; seq <= j.mu.seq; seq++ {
		if e := &j.mu.ring[seq%size]; f.fits(e) {
			entries = append(entries, *e)
		}
	}
	return entries
}

// Overlapping returns the pairs of writes to one member, or to one organization
// itself, that were in flight at once: none, where a caller keeps to one hand per
// entity. A write is known by the id it was about; a creation by the one it made.
func Overlapping(entries []Entry) [][2]Entry {
	last := map[string]Entry{} // by id, the one that ended last
	var pairs [][2]Entry
	byArrival := slices.Clone(entries)
	slices.SortStableFunc(byArrival, func(a, b Entry) int { return a.Time.Compare(b.Time) })
	for _, e := range byArrival {
		id := e.OrganizationID
		if e.Endpoint.ofMember() {
			id = e.MemberID
		}
		if !e.Endpoint.writes() || id == "" {
			continue
		}
		before, ok := last[id]
		if ok && e.Time.Before(before.End) {
			pairs = append(pairs, [2]Entry{before, e})
		}
		if !ok || before.End.Before(e.End) {
			last[id] = e
		}
	}
	return pairs
}

// Seq is the number of the newest entry: what Filter.After takes to see only what
// comes from now on.
func (s *Simulator) Seq() uint64 {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	return s.journal.mu.seq
}

// Counts is how many requests each endpoint answered with each status, since the
// simulator began. Status 0: no answer; endpoint "": no such route.
func (s *Simulator) Counts() map[Endpoint]map[int]int {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	counts := make(map[Endpoint]map[int]int, len(s.journal.mu.counts))
	for e, byStatus := range s.journal.mu.counts {
		counts[e] = maps.Clone(byStatus)
	}
	return counts
}
