package apply

import (
	"context"
	"slices"
	"sync"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/schemas"
)

// task is an entity whose turn is wanted.
type task struct {
	key       consumers.Key
	partition int32
	lane      schemas.Lane
	term      int64 // of the partition's lease when the turn began

	acks    []ack // of wake-ups that this turn will cover
	running bool
	queued  bool
	again   []ack // wake-ups that came while it was running
	rerun   bool
}

// scheduler orders turns: one at a time per entity, an organization apart from its
// members, live before backfill by queues of their own. All in memory: what is
// lost with it is delivered or due again.
type scheduler struct {
	mu      sync.Mutex
	tasks   map[consumers.Key]*task
	queues  map[schemas.Lane][]*task
	orgs    map[string]*organizationTurns
	terms   map[int32]int64 // leases by partition
	closed  bool
	changed map[schemas.Lane]*sync.Cond
	idle    *sync.Cond
	running map[int32]int

	// ordered is Config.Ordered; organizations is how many of them have their turn.
	ordered       bool
	organizations int
}

// organizationTurns keeps an organization's turn and its members' apart: while one
// is created or deleted, no member of it is in flight (invariant 4, hazard A11).
type organizationTurns struct {
	members int // running
	alone   bool
	pending *task   // the organization's, waiting for its members to end
	waiting []*task // members, waiting for the organization to end
}

func newScheduler() *scheduler {
	s := &scheduler{
		tasks: map[consumers.Key]*task{}, queues: map[schemas.Lane][]*task{}, orgs: map[string]*organizationTurns{},
		terms: map[int32]int64{}, running: map[int32]int{},
	}
	s.changed = map[schemas.Lane]*sync.Cond{schemas.LaneLive: sync.NewCond(&s.mu), schemas.LaneBackfill: sync.NewCond(&s.mu)}
	s.idle = sync.NewCond(&s.mu)
	return s
}

// add wants a turn. A wake-up is covered by a turn that has not begun; one that
// came during a turn gets another. Without ack nothing is added to a known task.
func (s *scheduler) add(key consumers.Key, partition int32, lane schemas.Lane, a *ack) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.terms[partition]; !ok || s.closed {
		return false
	}
	t, ok := s.tasks[key]
	switch {
	case !ok:
		t = &task{key: key, partition: partition, lane: lane}
		s.tasks[key] = t
		s.push(t)
	case t.running:
		if a != nil {
			t.again, t.rerun = append(t.again, *a), true
		}
		return true
	case lane == schemas.LaneLive && t.lane != lane: // promoted
		t.lane = lane
		if t.queued {
			s.queues[schemas.LaneBackfill] = slices.DeleteFunc(s.queues[schemas.LaneBackfill], func(o *task) bool { return o == t })
			s.push(t)
		}
	}
	if a != nil {
		t.acks = append(t.acks, *a)
	}
	return true
}

func (s *scheduler) push(t *task) {
	t.queued = true
	s.queues[t.lane] = append(s.queues[t.lane], t)
	s.changed[t.lane].Signal()
}

// next waits for a turn of a lane; nil when the scheduler is closed.
func (s *scheduler) next(lane schemas.Lane) *task {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.closed {
			return nil
		}
		q := s.queues[lane]
		if len(q) == 0 {
			s.changed[lane].Wait()
			continue
		}
		t := q[0]
		if s.ordered && t.key.Kind == consumers.Organization && s.organizations > 0 {
			s.changed[lane].Wait()
			continue
		}
		s.queues[lane] = q[1:]
		t.queued = false
		if s.start(t) {
			return t
		}
	}
}

// start begins a turn unless its organization's or members' turns forbid it.
func (s *scheduler) start(t *task) bool {
	term, ok := s.terms[t.partition]
	if !ok {
		delete(s.tasks, t.key)
		return false
	}
	o := s.orgs[t.key.Organization]
	if o == nil {
		o = &organizationTurns{}
		s.orgs[t.key.Organization] = o
	}
	switch {
	case t.key.Kind == consumers.Organization && o.members > 0:
		o.pending = t
		return false
	case t.key.Kind == consumers.Organization:
		o.alone = true
		s.organizations++
	case o.alone || o.pending != nil || s.ordered && o.members > 0:
		o.waiting = append(o.waiting, t)
		return false
	default:
		o.members++
	}
	t.running, t.term = true, term
	s.running[t.partition]++
	return true
}

// finish ends a turn and lets go who waited for it.
func (s *scheduler) finish(t *task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.running = false
	if s.running[t.partition]--; s.running[t.partition] == 0 {
		s.idle.Broadcast()
	}
	o := s.orgs[t.key.Organization]
	if t.key.Kind == consumers.Organization {
		o.alone = false
		s.organizations--
	} else {
		o.members--
	}
	if o.members == 0 && o.pending != nil {
		s.front(o.pending)
		o.pending = nil
	} else if !o.alone && o.pending == nil && len(o.waiting) > 0 {
		free := len(o.waiting)
		if s.ordered {
			free = 1
		}
		s.front(o.waiting[:free]...)
		o.waiting = o.waiting[free:]
	}
	if s.ordered {
		for _, c := range s.changed {
			c.Broadcast()
		}
	}
	if o.members == 0 && !o.alone && o.pending == nil && len(o.waiting) == 0 {
		delete(s.orgs, t.key.Organization)
	}
	delete(s.tasks, t.key)
	if _, owned := s.terms[t.partition]; t.rerun && owned && !s.closed {
		n := &task{key: t.key, partition: t.partition, lane: t.lane, acks: t.again}
		s.tasks[t.key] = n
		s.push(n)
	}
}

// front puts tasks at the head of their queues.
func (s *scheduler) front(tasks ...*task) {
	by := map[schemas.Lane][]*task{}
	for _, t := range tasks {
		t.queued = true
		by[t.lane] = append(by[t.lane], t)
	}
	for lane, list := range by {
		s.queues[lane] = append(list, s.queues[lane]...)
		s.changed[lane].Broadcast()
	}
}

// own takes partitions with their terms.
func (s *scheduler) own(terms map[int32]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, t := range terms {
		s.terms[p] = t
	}
}

// disown drops what is queued of partitions; running turns go on.
func (s *scheduler) disown(partitions []int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range partitions {
		delete(s.terms, p)
	}
	gone := func(t *task) bool { return slices.Contains(partitions, t.partition) }
	for lane, q := range s.queues {
		s.queues[lane] = slices.DeleteFunc(q, gone)
	}
	for key, o := range s.orgs {
		o.waiting = slices.DeleteFunc(o.waiting, gone)
		if o.pending != nil && gone(o.pending) {
			o.pending = nil
			s.front(o.waiting...)
			o.waiting = nil
		}
		if o.members == 0 && !o.alone && o.pending == nil && len(o.waiting) == 0 {
			delete(s.orgs, key)
		}
	}
	for key, t := range s.tasks {
		if gone(t) && !t.running {
			delete(s.tasks, key)
		}
	}
}

// settled waits until no turn of partitions is running.
func (s *scheduler) settled(ctx context.Context, partitions []int32) {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.idle.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for ctx.Err() == nil && slices.ContainsFunc(partitions, func(p int32) bool { return s.running[p] > 0 }) {
		s.idle.Wait()
	}
}

// holds says whether a partition's lease is still the one with this term.
func (s *scheduler) holds(partition int32, term int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.terms[partition]
	return ok && t == term
}

// owned lists the partitions with their terms.
func (s *scheduler) owned() map[int32]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := make(map[int32]int64, len(s.terms))
	for p, t := range s.terms {
		m[p] = t
	}
	return m
}

// waiting counts what is wanted and not running, and what is running.
func (s *scheduler) waiting() (waiting, running int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.running {
		running += n
	}
	return len(s.tasks) - running, running
}

// close ends next; running turns go on.
func (s *scheduler) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, c := range s.changed {
		c.Broadcast()
	}
}
