package apply

import (
	"fmt"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	sim "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
	"github.com/backstitch/backstitch/schemas"
)

func TestMembersOfAParkedOrganizationBlockNobody(t *testing.T) { // hazards A5 and A23, invariant 6
	t.Parallel()
	w := newWorld(t, options{cfg: func(c *Config) { c.Partitions = 1 }})
	w.start()
	w.want(org("bad"), orgState("bad", "organization_slug", "ü"))
	w.wantStatus(org("bad"), "parked invalid_slug")
	for i := range 5 {
		w.want(member("bad", fmt.Sprint(i)), memberState(fmt.Sprintf("user%d@example.com", i)))
	}
	w.want(org("good"), orgState("good"))
	w.want(member("good", "1"), memberState("user@example.com"))
	w.wantStatus(member("good", "1"), "current")
	for i := range 5 {
		w.wantStatus(member("bad", fmt.Sprint(i)), "blocked organization_blocked")
	}
	w.caughtUp() // their offsets have passed
	w.want(org("bad"), orgState("bad", "organization_slug", "fine"))
	w.equal()
}

// Members whose organization is not there yet: its own wake-up lies deep in the
// other lane, or was not published at all.
func TestMembersPromoteTheirOrganization(t *testing.T) { // hazards A6 and A22, invariant 4
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	revision := w.store(org("o"), orgState("o"), true, schemas.LaneBackfill)
	w.want(member("o", "1"), memberState("user@example.com"))
	w.want(member("o", "2"), memberState("user2@example.com", "password_hash", hashes[0]))
	w.equal()
	seq := w.sim.Seq()
	w.announce(org("o"), revision, schemas.LaneBackfill) // at last, and twice
	w.announce(org("o"), revision, schemas.LaneBackfill)
	w.caughtUp()
	if w.sim.Seq() != seq {
		t.Error("a late wake-up made a call")
	}
}

func TestOrganizationsTakeTheirMembersAlong(t *testing.T) { // hazards A10, A11 and A25
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	w.want(org("o"), orgState("o"))
	for i := range 12 {
		w.want(member("o", fmt.Sprint(i)), memberState(fmt.Sprintf("user%d@example.com", i), "password_hash", hashes[i%8]))
	}
	w.equal()
	t.Log("the organization's delete ends its members'")
	seq := w.sim.Seq()
	var all []any
	for i := range 6 {
		all = append(all, member("o", fmt.Sprint(i)), nil)
	}
	all = append(all, org("o"), nil)
	for i := range 5 {
		all = append(all, member("o", fmt.Sprint(i+6)), nil)
	}
	w.together(all...)
	w.settled()
	if got := endpoints(w.writes(seq)); len(got) != 1 || got[0] != string(sim.OrganizationsDelete) {
		t.Errorf("%v, want one delete", got)
	}
	if s := w.status(member("o", "11")); s != "current" { // the mapping still returns it, alone: not desired
		t.Errorf("a member of an organization that is not desired is %s", s)
	}
	t.Log("re-created, it gets the member whose own state did not change")
	w.want(org("o"), orgState("o"))
	w.equal()
	if w.member("o", "11") == nil {
		t.Error("the new organization stayed empty")
	}
	if n := w.count("SELECT count(*) FROM backstitch.claims WHERE kind = 'member'"); n != 1 {
		t.Errorf("%d claims for one member", n)
	}
}

func TestSlugThatLooksLikeAnExternalID(t *testing.T) { // hazard A14
	t.Parallel()
	w := newWorld(t, options{})
	if _, err := w.sim.Behind().CreateOrganization(map[string]any{"organization_name": "Tenant", "organization_slug": "42"}); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.sim.Inject(sim.Fault{Kind: sim.Before, Endpoint: sim.OrganizationsCreate, Count: 1})
	w.want(org("42"), orgState("42", "organization_slug", "forty-two"))
	w.want(member("42", "1"), memberState("user@example.com"))
	w.settled()
	for o := range w.sim.Dump() {
		if o.Organization.OrganizationSlug == "42" && len(o.Members) > 0 {
			t.Fatal("a member was made in another tenant's organization")
		}
	}
	if w.member("42", "1") == nil {
		t.Error("the member is missing")
	}
}

func TestReleasedOrganizationsAreNotWritten(t *testing.T) { // invariant 12, hazard A15
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	w.want(org("o"), orgState("o"))
	w.want(member("o", "1"), memberState("user@example.com"))
	w.equal()
	w.exec("UPDATE backstitch.entities SET released_at = now() WHERE kind = $1", consumers.Organization)
	seq := w.sim.Seq()
	w.want(member("o", "1"), memberState("new@example.com"))
	w.want(member("o", "2"), memberState("user2@example.com"))
	w.want(org("o"), nil)
	for _, k := range []consumers.Key{member("o", "1"), member("o", "2"), org("o")} {
		w.wantStatus(k, "released")
	}
	if w.sim.Seq() != seq {
		t.Error("a released organization was touched")
	}
}
