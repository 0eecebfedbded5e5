package stytch

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"
)

// create tries to create a member and returns what the caller sees.
func (b *bundle) create(ctx context.Context, email string) (answer, error) {
	return b.request(ctx, "POST", "/v1/b2b/organizations/acme/members", `{"email_address":"`+email+`"}`)
}

// giveUp makes a call that a fault lets hang, and gives up once the condition holds.
func (b *bundle) giveUp(condition func() bool, act func(context.Context) (answer, error)) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	seen := make(chan error, 1)
	go func() {
		_, err := act(ctx)
		seen <- err
	}()
	b.eventually(condition)
	cancel()
	if err := <-seen; !errors.Is(err, context.Canceled) {
		b.Errorf("the caller sees %v", err)
	}
}

// exists looks without HTTP, so that no fault is in the way.
func (b *bundle) exists(email string) bool {
	for o := range b.sim.Dump() {
		for _, m := range o.Members {
			if m.Member.EmailAddress == email {
				return true
			}
		}
	}
	return false
}

const patience = 10 * time.Second

func TestFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		fault  Fault
		status int // 0: no answer
		kind   string
		effect bool
	}{
		{Fault{Kind: Before}, 0, "", false},
		{Fault{Kind: After}, 0, "", true},
		{Fault{Kind: Timeout}, 0, "", false},
		{Fault{Kind: TimeoutAfter}, 0, "", true},
		{Fault{Kind: LateEffect}, 0, "", false},
		{Fault{Kind: Status}, 500, "internal_server_error", false},
		{Fault{Kind: Status, Status: 429}, 429, "too_many_requests", false},
		{Fault{Kind: Status, Status: 503}, 503, "server_unavailable", false},
		{Fault{Kind: Status, Status: 400, ErrorType: "invalid_email"}, 400, "invalid_email", false},
		{Fault{Kind: StatusAfter, Status: 504}, 504, "server_unavailable", true},
	}
	for _, test := range tests {
		t.Run(string(test.fault.Kind)+"/"+test.kind, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t, Options{})
			b.organization("acme")
			test.fault.Endpoint, test.fault.Count = MembersCreate, 1
			in := b.sim.Inject(test.fault)
			if slices.Contains([]FaultKind{Timeout, TimeoutAfter, LateEffect}, test.fault.Kind) {
				b.giveUp(func() bool { return in.Hits() == 1 && b.exists("a@corp.example") == test.effect },
					func(ctx context.Context) (answer, error) { return b.create(ctx, "a@corp.example") })
			} else if a, err := b.create(t.Context(), "a@corp.example"); (err == nil) != (test.status != 0) || a.status != test.status ||
				err == nil && a.body["error_type"] != test.kind {
				t.Errorf("the caller sees %d %v %v", a.status, a.body["error_type"], err)
			}
			if got := b.exists("a@corp.example"); got != test.effect {
				t.Errorf("effect: %v, want %v", got, test.effect)
			}
			if in.Hits() != 1 {
				t.Errorf("%d hits", in.Hits())
			}
			if a, err := b.create(t.Context(), "b@corp.example"); err != nil || a.status != 200 {
				t.Errorf("after Count calls it is over: %d %v", a.status, err)
			}
			in.Release() // what is late is not left behind
			// A call that hung is written down when it ends, which may be after the next one.
			var faulted Entry
			b.eventually(func() bool {
				entries := b.sim.Journal(Filter{Endpoint: MembersCreate})
				i := slices.IndexFunc(entries, func(e Entry) bool { return e.Fault == test.fault.Kind && e.Status == test.status })
				if i >= 0 {
					faulted = entries[i]
				}
				return i >= 0
			})
			effect := 0
			if test.effect {
				effect = 200
			}
			if faulted.Effect != effect {
				t.Errorf("the journal says effect %d", faulted.Effect)
			}
		})
	}
}

// eventually polls a condition that a request in flight will make true.
func (b *bundle) eventually(condition func() bool) {
	b.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			b.Fatal("the condition did not come true")
		}
	}
}

// hazard A3: the caller has given up, reads back, repairs; then the old request lands.
func TestLateEffect(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	b.organization("acme")
	id := b.member("acme", "jane@corp.example")
	in := b.sim.Inject(Fault{Kind: LateEffect, Endpoint: MembersDelete, Count: 1})
	b.giveUp(func() bool { return in.info().Waiting == 1 }, func(ctx context.Context) (answer, error) {
		return b.request(ctx, "DELETE", "/v1/b2b/organizations/acme/members/"+id, "")
	})
	b.ok("PUT", "organizations/acme/members/"+id, fields{"name": "Jane"})
	in.Remove() // does not take back what is under way
	if n := in.Release(); n != 1 {
		t.Errorf("%d effects released", n)
	}
	b.refused(404, "member_not_found", "GET", "organizations/acme/member?member_id="+id, nil)
	late := b.sim.Journal(Filter{Endpoint: MembersDelete, Status: 200})
	if len(late) != 1 || late[0].Fault != LateEffect || late[0].MemberID != id {
		t.Errorf("the journal has %d entries of the effect", len(late))
	}
	if n := in.Release(); n != 0 {
		t.Errorf("%d effects released again", n)
	}
}

func TestLateEffectByItself(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	b.organization("acme")
	b.sim.Inject(Fault{Kind: LateEffect, Endpoint: MembersCreate, Delay: time.Millisecond})
	b.giveUp(func() bool { return b.exists("a@corp.example") },
		func(ctx context.Context) (answer, error) { return b.create(ctx, "a@corp.example") })
}

// A time-out that has an end: the connection is cut after it.
func TestTimeoutEnds(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	b.organization("acme")
	b.sim.Inject(Fault{Kind: Timeout, Endpoint: MembersCreate, Delay: time.Millisecond})
	if _, err := b.create(t.Context(), "a@corp.example"); err == nil {
		t.Error("an answer came")
	}
}

func TestFaultSelectors(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	acme := b.organization("acme", fields{"organization_external_id": "ten_1"})
	b.organization("other")
	jane := b.member("acme", "jane@corp.example", fields{"external_id": "usr_1"})
	b.member("acme", "john@corp.example", fields{"external_id": "usr_2"})
	get := func(path string) int { return b.do("GET", path, nil).status }
	for _, organization := range []string{acme, "acme", "ten_1"} {
		in := b.sim.Inject(Fault{Kind: Status, Organization: organization})
		for _, path := range []string{"organizations/acme", "organizations/ten_1/member?email_address=john@corp.example"} {
			if got := get(path); got != 500 {
				t.Errorf("%s: GET %s: %d", organization, path, got)
			}
		}
		if got := get("organizations/other"); got != 200 {
			t.Errorf("%s: another organization: %d", organization, got)
		}
		in.Remove()
	}
	for _, member := range []string{jane, "usr_1", "Jane@corp.example"} {
		in := b.sim.Inject(Fault{Kind: Status, Member: member})
		if got := get("organizations/acme/member?member_id=" + jane); got != 500 {
			t.Errorf("%s: GET: %d", member, got)
		}
		if got := get("organizations/acme/member?member_id=usr_2"); got != 200 {
			t.Errorf("%s: another member: %d", member, got)
		}
		if a := b.do("PUT", "organizations/acme/members/usr_1", fields{"name": "x"}); a.status != 500 {
			t.Errorf("%s: PUT: %d", member, a.status)
		}
		in.Remove()
	}
	b.sim.Inject(Fault{Kind: Status, Member: "new@corp.example"})
	if a := b.migrate("acme", "new@corp.example"); a.status != 500 {
		t.Errorf("a member that the call names: %d", a.status)
	}
}

func TestFaultEveryAndProbability(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	b.organization("acme")
	run := func(f Fault) (failed []int) {
		in := b.sim.Inject(f)
		defer in.Remove()
		for i := range 40 {
			if b.do("GET", "organizations/acme", nil).status == 500 {
				failed = append(failed, i)
			}
		}
		return failed
	}
	if got := run(Fault{Kind: Status, Every: 15}); !slices.Equal(got, []int{14, 29}) {
		t.Errorf("every 15th: %v", got)
	}
	one, same, other := run(Fault{Kind: Status, Probability: 0.3, Seed: 1}), run(Fault{Kind: Status, Probability: 0.3, Seed: 1}), run(Fault{Kind: Status, Probability: 0.3, Seed: 2})
	if len(one) < 3 || len(one) > 25 || !slices.Equal(one, same) || slices.Equal(one, other) {
		t.Errorf("probability 0.3: %v, %v with the same seed, %v with another", one, same, other)
	}
}

func TestFaultBody(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	b.sim.Inject(Fault{Kind: Status, Status: 502, Body: "<html>bad gateway</html>"})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.server.URL+"/v1/b2b/organizations/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(testProject, testSecret)
	res, err := b.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 502 || string(raw) != "<html>bad gateway</html>" {
		t.Errorf("%d %q %v", res.StatusCode, raw, err)
	}
}

func TestUnknownFaultPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("an unknown kind of fault was taken")
		}
	}()
	New(Options{}).Inject(Fault{Kind: "sometimes"})
}

func TestLatency(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{Latency: 20 * time.Millisecond})
	began := time.Now()
	b.organization("acme")
	if took := time.Since(began); took < 20*time.Millisecond {
		t.Errorf("a request took %s", took)
	}
	// A caller that gives up before has no effect. That its call has arrived shows in
	// the rate limit's window.
	slow := newBundle(t, Options{Latency: time.Hour, RateLimit: 1000, Now: new(clock).now})
	slow.giveUp(func() bool {
		slow.sim.limits.mu.Lock()
		defer slow.sim.limits.mu.Unlock()
		return slow.sim.limits.mu.windows[OrganizationsCreate] != nil
	}, func(ctx context.Context) (answer, error) {
		return slow.request(ctx, "POST", "/v1/b2b/organizations", `{"organization_name":"x"}`)
	})
	slow.eventually(func() bool { return slow.sim.Counts()[OrganizationsCreate][0] == 1 })
	if n := slow.sim.State().Organizations; n != 0 {
		t.Errorf("%d organizations", n)
	}
}
