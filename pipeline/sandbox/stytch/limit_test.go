package stytch

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a time that a test moves.
type clock struct{ nanoseconds atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_800_000_000, c.nanoseconds.Load()) }
func (c *clock) advance(d time.Duration) { c.nanoseconds.Add(int64(d)) }

// The windows begin with the clock's second: 2 at its end and 2 at the next one's
// beginning pass, though they are close together (hazard A16).
func TestRateLimitWindows(t *testing.T) {
	t.Parallel()
	var c clock
	b := newBundle(t, Options{RateLimit: 2, RetryAfter: true, Now: c.now})
	get := func() answer { return b.do("GET", "organizations/x", nil) }
	c.advance(900 * time.Millisecond)
	for range 2 {
		if a := get(); a.status != http.StatusNotFound {
			t.Fatalf("within the limit: %d", a.status)
		}
	}
	a := get()
	if a.status != http.StatusTooManyRequests || a.body["error_type"] != "too_many_requests" || a.header.Get("Retry-After") != "1" {
		t.Errorf("over the limit: %d %v, Retry-After %q", a.status, a.body["error_type"], a.header.Get("Retry-After"))
	}
	if a := b.do("GET", "organizations/x/metrics", nil); a.status != http.StatusNotFound {
		t.Errorf("another endpoint has its own window: %d", a.status)
	}
	c.advance(100 * time.Millisecond)
	for range 2 {
		if a := get(); a.status != http.StatusNotFound {
			t.Errorf("in the next window: %d", a.status)
		}
	}
	if a := get(); a.status != http.StatusTooManyRequests {
		t.Errorf("over the limit again: %d", a.status)
	}
	if n := b.sim.Counts()[OrganizationsGet]; n[429] != 2 || n[404] != 4 {
		t.Errorf("counts %v", n)
	}
}

func TestSearchLimitIsPerMinute(t *testing.T) {
	t.Parallel()
	var c clock
	b := newBundle(t, Options{SearchLimit: 1, Now: c.now})
	c.advance(30 * time.Second)
	search := func() answer { return b.do("POST", "organizations/search", nil) }
	if a := search(); a.status != 200 {
		t.Fatalf("first search: %d", a.status)
	}
	c.advance(29 * time.Second)
	if a := search(); a.status != 429 || a.header.Get("Retry-After") != "" {
		t.Errorf("second search of the minute: %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
	c.advance(time.Second)
	if a := search(); a.status != 200 {
		t.Errorf("in the next minute: %d", a.status)
	}
	l := newLimiter(0, Options{}.withDefaults().SearchLimit)
	passed := 0
	for range 200 {
		if _, ok := l.take(MembersSearch, c.now()); ok {
			passed++
		}
	}
	if passed != 100 {
		t.Errorf("%d searches a minute pass by default", passed)
	}
}

func TestNoEffectWhenThrottledOrUnauthorized(t *testing.T) {
	t.Parallel()
	var c clock
	b := newBundle(t, Options{RateLimit: 1, Now: c.now})
	b.organization("acme")
	if a := b.do("POST", "organizations", fields{"organization_name": "x", "organization_slug": "xx"}); a.status != 429 {
		t.Fatalf("status %d", a.status)
	}
	if n := b.sim.State().Organizations; n != 1 {
		t.Errorf("%d organizations", n)
	}
	// The journal says who was throttled and with what.
	b.do("PUT", "organizations/organization-test-1/members/member-test-1", nil)
	b.do("PUT", "organizations/organization-test-1/members/member-test-1", fields{"name": "x"})
	throttled := b.sim.Journal(Filter{Status: 429, MemberID: "member-test-1", OrganizationID: "organization-test-1"})
	if len(throttled) != 1 || len(throttled[0].Fields) != 1 || throttled[0].ErrorType != "too_many_requests" {
		t.Errorf("%d entries of the throttled call", len(throttled))
	}
}
