package stytch

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// FaultKind says how a call fails.
type FaultKind string

// The kinds of fault.
const (
	// Before cuts the connection; the call has no effect.
	Before FaultKind = "before"
	// After performs the call, then cuts the connection.
	After FaultKind = "after"
	// Timeout does not answer; the call has no effect.
	Timeout FaultKind = "timeout"
	// TimeoutAfter performs the call and does not answer.
	TimeoutAfter FaultKind = "timeout_after"
	// LateEffect does not answer; the call has its effect after Delay, or when
	// [Injected.Release] is called (hazard A3).
	LateEffect FaultKind = "late_effect"
	// Status answers Fault.Status instead of performing the call.
	Status FaultKind = "status"
	// StatusAfter performs the call and answers Fault.Status.
	StatusAfter FaultKind = "status_after"
)

var faultKinds = []FaultKind{Before, After, Timeout, TimeoutAfter, LateEffect, Status, StatusAfter}

// Fault describes calls that fail and how. Its zero selectors fit every call.
type Fault struct {
	Kind     FaultKind `json:"kind"`
	Endpoint Endpoint  `json:"endpoint,omitempty"`
	// Organization fits calls about one organization: Stytch id, slug or external id.
	Organization string `json:"organization,omitempty"`
	// Member fits calls about one member: Stytch id, external id or e-mail address,
	// of the member that the call is about or as the call itself names it.
	Member string `json:"member,omitempty"`

	// Count is how many calls fail at most. 0: all.
	Count int `json:"count,omitempty"`
	// Every fails only each n-th call that fits. 0 and 1: each.
	Every int `json:"every,omitempty"`
	// Probability, when above 0, fails a call that fits with this chance, drawn from
	// Seed.
	Probability float64 `json:"probability,omitempty"`
	Seed        uint64  `json:"seed,omitempty"`

	// Delay is how long Timeout and TimeoutAfter hang at most (0: until the caller
	// gives up), and when LateEffect has its effect by itself (0: only by Release).
	Delay time.Duration `json:"delay_ns,omitempty"`

	// Status, ErrorType and Body are the answer of Status and StatusAfter. Status 0:
	// 500. ErrorType "": the usual one of the status. Body, when set, is sent as HTML
	// instead of an error object, as a proxy would.
	Status    int    `json:"status,omitempty"`
	ErrorType string `json:"error_type,omitempty"`
	Body      string `json:"body,omitempty"`
}

// Injected is a fault that is in force.
type Injected struct {
	id   int
	set  *faults
	hits atomic.Int64

	// Guarded by set.mu.
	fault   Fault
	fits    int
	random  *rand.Rand
	pending []func() bool // each says whether it had its effect now
}

type faults struct {
	mu struct {
		sync.Mutex
		all    []*Injected // by id, from 1
		active []*Injected
	}
}

// Inject puts a fault in force. Where several fit a call, the oldest takes it. It
// panics on a kind that does not exist.
func (s *Simulator) Inject(f Fault) *Injected {
	in, err := s.inject(f)
	if err != nil {
		panic(err)
	}
	return in
}

func (s *Simulator) inject(f Fault) (*Injected, error) {
	if !slices.Contains(faultKinds, f.Kind) {
		return nil, fmt.Errorf("inject: unknown kind of fault %q; one of %v", f.Kind, faultKinds)
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	in := &Injected{id: len(s.faults.mu.all) + 1, set: s.faults, fault: f, random: rand.New(rand.NewPCG(f.Seed, f.Seed))}
	s.faults.mu.all = append(s.faults.mu.all, in)
	s.faults.mu.active = append(s.faults.mu.active, in)
	return in, nil
}

// Hits is how many calls the fault has failed.
func (in *Injected) Hits() int { return int(in.hits.Load()) }

// Remove ends the fault. Late effects that are due still come.
func (in *Injected) Remove() {
	in.set.mu.Lock()
	defer in.set.mu.Unlock()
	in.set.mu.active = slices.DeleteFunc(in.set.mu.active, func(o *Injected) bool { return o == in })
}

// Release lets the late effects that wait happen now, oldest first, and returns how
// many there were. It returns after them.
func (in *Injected) Release() int {
	in.set.mu.Lock()
	pending := in.pending
	in.pending = nil
	in.set.mu.Unlock()
	released := 0
	for _, effect := range pending {
		if effect() {
			released++
		}
	}
	return released
}

// pick finds the fault that takes a call, if any.
func (f *faults) pick(s *Simulator, c *call) *Injected {
	f.mu.Lock()
	idle := len(f.mu.active) == 0
	f.mu.Unlock()
	if idle {
		return nil
	}
	names := s.subject(c)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, in := range f.mu.active {
		if in.takes(c, names) {
			in.hits.Add(1)
			return in
		}
	}
	return nil
}

func (in *Injected) takes(c *call, names subject) bool {
	f := in.fault
	if f.Endpoint != "" && f.Endpoint != c.endpoint ||
		f.Organization != "" && !slices.Contains(names.organization, f.Organization) ||
		f.Member != "" && !slices.Contains(names.member, strings.ToLower(f.Member)) ||
		f.Count > 0 && in.Hits() >= f.Count {
		return false
	}
	in.fits++
	if f.Every > 1 && in.fits%f.Every != 0 {
		return false
	}
	return f.Probability <= 0 || in.random.Float64() < f.Probability
}

// fail lets a call fail the way the fault says.
func (s *Simulator) fail(w http.ResponseWriter, r *http.Request, c *call, route *route, in *Injected) {
	f := in.fault
	switch f.Kind {
	case Before:
	case After:
		s.withhold(c, route)
	case Timeout:
		hang(r, f.Delay)
	case TimeoutAfter:
		s.withhold(c, route)
		hang(r, f.Delay)
	case LateEffect:
		s.postpone(c, route, in)
		hang(r, 0)
	case Status:
		s.answerFault(w, c, f)
		return
	case StatusAfter:
		s.withhold(c, route)
		s.answerFault(w, c, f)
		return
	}
	s.abort(c, f.Kind)
}

// withhold performs a call whose answer nobody gets.
func (s *Simulator) withhold(c *call, route *route) {
	_, err := route.perform(s, c)
	c.effect = statusOf(err)
}

func statusOf(err error) int {
	if err != nil {
		return asRefusal(err).status
	}
	return http.StatusOK
}

func (s *Simulator) postpone(c *call, route *route, in *Injected) {
	late := *c // the request itself is written down meanwhile
	in.later(func() {
		late.arrived = s.options.Now() // a call that waits is not in flight
		_, err := route.perform(s, &late)
		s.record(&late, statusOf(err), err, LateEffect)
	})
}

// later keeps an effect until Release or the fault's delay, whichever is first.
func (in *Injected) later(effect func()) {
	var once sync.Once
	run := func() (now bool) {
		once.Do(func() { effect(); now = true })
		return now
	}
	in.set.mu.Lock()
	in.pending = append(in.pending, run)
	in.set.mu.Unlock()
	if in.fault.Delay > 0 {
		time.AfterFunc(in.fault.Delay, func() { run() })
	}
}

func hang(r *http.Request, limit time.Duration) {
	if limit > 0 {
		pause(r, limit)
		return
	}
	<-r.Context().Done()
}

func (s *Simulator) answerFault(w http.ResponseWriter, c *call, f Fault) {
	refused := &refusal{status: f.Status, kind: f.ErrorType, message: "An injected fault."}
	if refused.status == 0 {
		refused.status = http.StatusInternalServerError
	}
	if refused.kind == "" {
		refused.kind = usualErrorType(refused.status)
	}
	if f.Body == "" {
		s.answer(w, c, f.Kind, nil, refused)
		return
	}
	s.record(c, refused.status, refused, f.Kind)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(refused.status)
	// The caller may be gone; there is nobody else to tell.
	_, _ = w.Write([]byte(f.Body))
}

func usualErrorType(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "unauthorized_credentials"
	case http.StatusNotFound:
		return "route_not_found"
	case http.StatusTooManyRequests:
		return "too_many_requests"
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "server_unavailable"
	}
	if status >= http.StatusInternalServerError {
		return "internal_server_error"
	}
	return "bad_request"
}

// subject is every name of the organization and member that a call is about; the
// member's in lower case.
type subject struct{ organization, member []string }

func (s *Simulator) subject(c *call) subject {
	var named struct {
		OrganizationID         string `json:"organization_id"`
		OrganizationSlug       string `json:"organization_slug"`
		OrganizationExternalID string `json:"organization_external_id"`
		MemberID               string `json:"member_id"`
		ExternalID             string `json:"external_id"`
		EmailAddress           string `json:"email_address"`
	}
	// A body that does not decode names nobody; the operation refuses it.
	_ = c.decode(&named)
	organization := first(c.path["organization"], named.OrganizationID)
	id := first(c.path["member"], c.query.Get("member_id"), named.MemberID)
	names := subject{
		organization: []string{organization, named.OrganizationSlug, named.OrganizationExternalID},
		member:       []string{id, named.ExternalID, named.EmailAddress, c.query.Get("email_address")},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.mu.members[id]
	if o, err := s.mu.organization(organization); err == nil {
		names.organization = append(names.organization, o.view.OrganizationID, o.view.OrganizationSlug, o.view.OrganizationExternalID)
		for _, found := range []*member{o.byExternalID[id], o.byEmail[strings.ToLower(named.EmailAddress)], s.mu.byPassword[c.path["password"]]} {
			if m == nil {
				m = found
			}
		}
	}
	if m != nil {
		c.about(m.org, m)
		names.member = append(names.member, m.view.MemberID, m.view.ExternalID, m.view.EmailAddress)
	}
	for i, n := range names.member {
		names.member[i] = strings.ToLower(n)
	}
	return names
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
