package apply

import (
	"fmt"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
	sim "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// Each kind of call fails in each way in which nobody knows whether it had its
// effect; what is found after the settle time decides (hazards A2, A3, A7).
func TestUnknownOutcomesAreReadBack(t *testing.T) { // invariants 3, 4 and 6
	t.Parallel()
	cases := []struct {
		endpoint sim.Endpoint
		about    consumers.Kind
		next     map[string]any
	}{
		{sim.OrganizationsCreate, "", nil},
		{sim.OrganizationsUpdate, consumers.Organization, orgState("", "trusted_metadata", map[string]any{"x": 1})},
		{sim.OrganizationsDelete, consumers.Organization, nil},
		{sim.MembersCreate, "new", memberState("new@example.com")},
		{sim.PasswordsMigrate, "new", memberState("new@example.com", "password_hash", hashes[1])},
		{sim.MembersUpdate, consumers.Member, memberState("user@example.com", "name", "New", "password_hash", hashes[0])},
		{sim.MembersUpdate, consumers.Member, memberState("moved@example.com", "password_hash", hashes[0])},
		{sim.PasswordsMigrate, consumers.Member, memberState("moved@example.com", "password_hash", hashes[0])},
		{sim.MembersDeletePassword, consumers.Member, memberState("user@example.com", "password_hash", hashes[2])},
		{sim.PasswordsMigrate, consumers.Member, memberState("user@example.com", "password_hash", hashes[2])},
		{sim.MembersDelete, consumers.Member, nil},
	}
	for _, kind := range []sim.FaultKind{sim.Before, sim.After, sim.TimeoutAfter, sim.LateEffect, sim.StatusAfter} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{cfg: func(c *Config) { c.CallTimeout, c.Settle = 250*time.Millisecond, 600*time.Millisecond }})
			w.start()
			for i := range cases {
				o := fmt.Sprint("o", i)
				w.want(org(o), orgState(o))
				w.want(member(o, "1"), memberState("user@example.com", "password_hash", hashes[0]))
			}
			w.equal()
			seq := w.sim.Seq()
			faults := make([]*sim.Injected, len(cases))
			for i, c := range cases {
				o := fmt.Sprint("o", i)
				f := sim.Fault{Kind: kind, Endpoint: c.endpoint, Organization: o, Count: 1, Delay: 300 * time.Millisecond}
				key, next := member(o, "1"), c.next
				switch c.about {
				case "":
					f.Organization, key, next = "", org("new"), orgState("new")
				case consumers.Organization:
					key = org(o)
				case "new":
					key = member(o, "new")
				default: // the member that is there
				}
				faults[i] = w.sim.Inject(f)
				w.want(key, next)
			}
			w.equal(member("o2", "1")) // ended with its organization
			for i, f := range faults {
				if f.Hits() != 1 {
					t.Errorf("case %d: the fault was met %d times", i, f.Hits())
				}
			}
			if n := w.count("SELECT count(*) FROM backstitch.marks"); n != 0 {
				t.Errorf("%d marks stand", n)
			}
			if kind == sim.Before || kind == sim.LateEffect {
				return
			}
			seen := map[string]int{} // it had its effect: nothing is repeated
			for _, e := range w.writes(seq) {
				if seen[fmt.Sprint(e.Endpoint, e.OrganizationID, e.MemberID)]++; seen[fmt.Sprint(e.Endpoint, e.OrganizationID, e.MemberID)] > 1 {
					t.Errorf("%s was repeated", e.Endpoint)
				}
			}
		})
	}
}

// A delete times out, the read-back still finds the member, the person is back,
// and then the old request lands (hazard A3).
func TestDeleteThatLandsAfterItsRepair(t *testing.T) { // invariant 6
	t.Parallel()
	w := newWorld(t, options{cfg: func(c *Config) { c.CallTimeout = 200 * time.Millisecond }})
	w.start()
	k := member("o", "1")
	w.want(org("o"), orgState("o"))
	w.want(k, memberState("user@example.com", "password_hash", hashes[0]))
	w.equal()
	late := w.sim.Inject(sim.Fault{Kind: sim.LateEffect, Endpoint: sim.MembersDelete, Count: 1})
	w.want(k, nil)
	w.wantStatus(k, "deferred settling")
	w.want(k, memberState("user@example.com", "password_hash", hashes[0], "name", "Back"))
	w.wantStatus(k, "current")
	if late.Release() != 1 {
		t.Fatal("the delete was not held back")
	}
	if w.member("o", "1") != nil {
		t.Fatal("the late delete had no effect")
	}
	w.eventually("the second read finds that it is gone", func() (bool, string) { return w.member("o", "1") != nil, w.status(k) })
	w.equal()
}

// While a call's outcome is unknown the entity is left alone, and a newer revision
// waits for it (hazard A2).
func TestNothingIsSentWhileACallSettles(t *testing.T) { // invariants 3 and 4
	t.Parallel()
	w := newWorld(t, options{cfg: func(c *Config) { c.Settle = time.Second }})
	w.start()
	k := member("o", "1")
	w.want(org("o"), orgState("o"))
	w.want(k, memberState("user@example.com"))
	w.equal()
	w.sim.Inject(sim.Fault{Kind: sim.TimeoutAfter, Endpoint: sim.MembersUpdate, Count: 1})
	w.want(k, memberState("user@example.com", "name", "two"))
	w.wantStatus(k, "deferred settling")
	seq := w.sim.Seq()
	w.want(k, memberState("user@example.com", "name", "three"))
	w.eventually("the new revision had its turn", func() (bool, string) {
		return w.count("SELECT count(*) FROM backstitch.entities WHERE key = '1' AND tried_revision = revision") == 1, ""
	})
	if n := w.count("SELECT count(*) FROM backstitch.marks WHERE settle_until > now()"); n == 1 && w.sim.Seq() != seq {
		t.Error("a call was made while another settled")
	}
	w.equal()
}
