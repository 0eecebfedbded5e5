package apply

import (
	"fmt"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	sim "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
	"github.com/backstitch/backstitch/schemas"
)

func (w *world) populate(orgs, members int) {
	w.t.Helper()
	for o := range orgs {
		w.want(org(fmt.Sprint(o)), orgState(fmt.Sprint(o)))
		for m := range members {
			w.want(member(fmt.Sprint(o), fmt.Sprint(m)), memberState(fmt.Sprintf("user%d@example.com", m)))
		}
	}
	w.equal()
}

// approve answers the one open question.
func (w *world) approve(kind string) {
	w.t.Helper()
	list, err := ledger.List(w.t.Context(), w.pool, false)
	if err != nil {
		w.t.Fatal(err)
	}
	var open []ledger.Consent
	for _, c := range list {
		if !c.Approved() {
			open = append(open, c)
		}
	}
	if len(open) != 1 || open[0].Kind != kind {
		w.t.Fatalf("open questions %+v, want one of kind %s", open, kind)
	}
	if _, err := ledger.Approve(w.t.Context(), w.pool, open[0].ID, "operator"); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) live() (n int) {
	for _, o := range w.orgs() {
		n += len(o.Members)
	}
	return n
}

func TestUnearnedDeletesWaitForConsent(t *testing.T) { // invariant 7
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	w.populate(2, 3)
	for m := range 3 { // a TRUNCATE, a mapping edit: not caused by a row's change
		k := member("0", fmt.Sprint(m))
		w.announce(k, w.store(k, nil, false, schemas.LaneLive), schemas.LaneLive)
	}
	w.announce(org("1"), w.store(org("1"), nil, false, schemas.LaneLive), schemas.LaneLive)
	for m := range 3 {
		w.wantStatus(member("0", fmt.Sprint(m)), "awaiting_consent delete_unearned")
		k := member("1", fmt.Sprint(m))
		w.announce(k, w.store(k, nil, false, schemas.LaneLive), schemas.LaneLive)
	}
	w.wantStatus(org("1"), "awaiting_consent delete_unearned")
	for m := range 3 {
		w.wantStatus(member("1", fmt.Sprint(m)), "blocked organization_blocked") // hazard A23
	}
	if n := w.live(); n != 6 {
		t.Fatalf("%d members are left without a person's consent, want 6", n)
	}
	for _, c := range []string{"members", "organizations"} {
		if _, err := w.pool.Exec(t.Context(), "UPDATE backstitch.consents SET approved_at = now() WHERE subject = $1", c); err != nil {
			t.Fatal(err)
		}
	}
	w.exec("UPDATE backstitch.entities SET due_at = now() WHERE status = 'awaiting_consent'")
	w.equal()
	t.Log("a deletion that comes later asks anew")
	w.want(member("0", "9"), memberState("user9@example.com"))
	w.equal()
	k := member("0", "9")
	w.announce(k, w.store(k, nil, false, schemas.LaneLive), schemas.LaneLive)
	w.wantStatus(k, "awaiting_consent delete_unearned")
}

func TestHeldDeletesWaitForConsent(t *testing.T) { // invariant 7
	t.Parallel()
	w := newWorld(t, options{cfg: func(c *Config) { c.Deletes.Organizations = consumers.DeleteHold }})
	w.start()
	w.populate(1, 2)
	w.want(org("0"), nil)
	w.wantStatus(org("0"), "awaiting_consent delete_hold")
	if w.live() != 2 {
		t.Fatal("a held delete was sent")
	}
	w.approve(ledger.ConsentHold)
	w.equal(member("0", "0"), member("0", "1"))
	if len(w.orgs()) != 0 {
		t.Error("the approved delete was not sent")
	}
}

func TestBrakeLatches(t *testing.T) { // hazard A12, invariant 7
	t.Parallel()
	w := newWorld(t, options{cfg: func(c *Config) { c.Deletes.MaxPerHour = 5 }})
	a := w.start()
	w.populate(2, 12)
	for m := range 12 {
		w.want(member("0", fmt.Sprint(m)), nil)
	}
	w.settled()
	if n := w.live(); n != 24-5 {
		t.Fatalf("%d members left, want all but 5", n)
	}
	t.Log("an hour later the brake has not let go")
	w.exec("DELETE FROM backstitch.deletes")
	w.want(member("1", "0"), nil)
	w.wantStatus(member("1", "0"), "awaiting_consent delete_brake")
	if err := w.stop(a); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.settled()
	if n := w.live(); n != 24-5 {
		t.Fatalf("%d members left after a restart", n)
	}
	w.approve(ledger.ConsentDeletes)
	w.equal()
	t.Log("and it brakes again")
	for m := range 11 {
		w.want(member("1", fmt.Sprint(m+1)), nil)
	}
	w.settled()
	if n := w.live(); n != 11-5 {
		t.Errorf("%d members left, want 6", n)
	}
}

func TestBrakeCountsAnOrganizationWithItsMembers(t *testing.T) { // hazard A25
	t.Parallel()
	w := newWorld(t, options{cfg: func(c *Config) { c.Deletes.MaxPerHour = 5 }})
	w.start()
	w.populate(1, 6)
	w.want(org("0"), nil)
	w.wantStatus(org("0"), "awaiting_consent delete_brake")
	if w.live() != 6 {
		t.Fatal("one delete took six members past a brake of five")
	}
	w.approve(ledger.ConsentDeletes)
	w.eventually("the approved delete is sent", func() (bool, string) { return len(w.orgs()) == 0, w.status(org("0")) })
}

func TestIncidentStopsParking(t *testing.T) { // hazard A13
	t.Parallel()
	w := newWorld(t, options{cfg: func(c *Config) { c.Workers = 4 }})
	a := w.start()
	w.populate(1, 0)
	f := w.sim.Inject(sim.Fault{Kind: sim.Status, Status: 400, ErrorType: "invalid_email", Endpoint: sim.MembersCreate})
	for i := range 80 {
		w.want(member("0", fmt.Sprint(i)), memberState(fmt.Sprintf("user%d@example.com", i)))
	}
	b := w.start() // another instance, which met nothing itself
	w.eventually("every instance is held", func() (bool, string) { return a.Held() != nil && b.Held() != nil, w.status(member("0", "79")) })
	if h := b.Held(); !strings.Contains(h.Reason, "invalid_email") || !strings.Contains(h.Fix, "approve") {
		t.Errorf("held with %v", h)
	}
	w.eventually("no turn runs", func() (bool, string) {
		return w.count("SELECT count(*) FROM backstitch.marks") == 0, "marks"
	})
	f.Remove()
	if n := w.count("SELECT count(*) FROM backstitch.entities WHERE status = 'parked'"); n > incidentLimit {
		t.Errorf("%d are parked, want at most %d", n, incidentLimit)
	}
	seq := w.sim.Seq()
	if err := w.stop(a); err != nil { // a restart does not clear it
		t.Fatal(err)
	}
	c := w.start()
	w.eventually("the new instance is held", func() (bool, string) { return c.Held() != nil, "" })
	w.want(member("0", "later"), memberState("later@example.com"))
	if w.sim.Seq() != seq {
		t.Errorf("%d calls while an incident is open", w.sim.Seq()-seq)
	}
	id := w.count("SELECT id FROM backstitch.consents WHERE kind = 'incident' AND done_at IS NULL")
	if _, err := ledger.Approve(t.Context(), w.pool, id, "test"); err != nil {
		t.Fatal(err)
	}
	w.equal() // what was parked is tried again too
}

func TestWrongCredentialsStopTheConnector(t *testing.T) { // invariant 6
	t.Parallel()
	w := newWorld(t, options{})
	f := w.sim.Inject(sim.Fault{Kind: sim.Status, Status: 401, ErrorType: "unauthorized_credentials"})
	a := w.start()
	w.want(org("0"), orgState("0"))
	<-a.Done()
	if _, held := asHeld(a.Err()); !held {
		t.Fatalf("ended with %v, want a hold", a.Err())
	}
	f.Remove()
	w.start()
	w.equal()
}
