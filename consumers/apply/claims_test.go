package apply

import (
	"fmt"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/schemas"
)

// pair stores several states as one evaluation would, then announces them in the
// order given, which may be the wrong one.
func (w *world) together(states ...any) {
	w.t.Helper()
	type wake struct {
		key      consumers.Key
		revision int64
	}
	var wakes []wake
	for i := 0; i < len(states); i += 2 {
		k := states[i].(consumers.Key)
		d, _ := states[i+1].(map[string]any)
		wakes = append(wakes, wake{k, w.store(k, d, true, schemas.LaneLive)})
	}
	for _, x := range wakes {
		w.announce(x.key, x.revision, schemas.LaneLive)
	}
}

func TestValuesChangeHands(t *testing.T) { // hazard A4
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	for _, o := range []string{"1", "2", "3"} {
		w.want(org(o), orgState(o))
	}
	a, b, c := member("1", "a"), member("1", "b"), member("1", "c")
	w.want(a, memberState("a@example.com", "password_hash", hashes[0]))
	w.want(b, memberState("b@example.com", "password_hash", hashes[1]))
	w.want(c, memberState("c@example.com"))
	w.equal()

	t.Log("the taker comes before the giver")
	w.together(b, memberState("a@example.com", "password_hash", hashes[1]), a, memberState("new@example.com", "password_hash", hashes[0]))
	w.equal()
	t.Log("a new member takes the address of one that leaves")
	w.together(member("1", "d"), memberState("c@example.com"), c, nil)
	w.equal()
	t.Log("two members exchange their addresses")
	w.together(a, memberState("a@example.com", "password_hash", hashes[0]), b, memberState("new@example.com", "password_hash", hashes[1]))
	w.equal()
	t.Log("three in a ring")
	w.together(a, memberState("new@example.com"), b, memberState("c@example.com"), member("1", "d"), memberState("A@example.com"))
	w.equal()
	t.Log("slugs in a ring, across partitions")
	w.together(org("1"), orgState("1", "organization_slug", "slug-2"), org("2"), orgState("2", "organization_slug", "slug-3"), org("3"), orgState("3", "organization_slug", "slug-1"))
	w.equal()
	if n := w.count("SELECT count(*) FROM backstitch.claims"); n != 3+3 {
		t.Errorf("%d claims for 3 slugs and 3 addresses", n)
	}
}

func TestDuplicatesAreParkedAndWoken(t *testing.T) { // hazards A4 and A23, invariant 6
	t.Parallel()
	w := newWorld(t, options{cfg: func(c *Config) { c.TemporaryEmailDomain = "" }})
	w.start()
	w.want(org("1"), orgState("1"))
	a, b := member("1", "a"), member("1", "b")
	w.want(a, memberState("same@example.com"))
	w.wantStatus(a, "current")
	w.want(b, memberState("Same@Example.com"))
	w.wantStatus(b, "parked duplicate_value")
	seq := w.sim.Seq()
	w.want(member("1", "other"), memberState("other@example.com")) // nobody else waits
	w.wantStatus(member("1", "other"), "current")
	if n := len(w.writes(seq)); n != 1 {
		t.Errorf("%d calls, want the other member's only", n)
	}
	w.want(a, memberState("moved@example.com"))
	w.equal()

	t.Log("an exchange without a domain for temporary addresses")
	w.together(a, memberState("same@example.com"), b, memberState("moved@example.com"))
	w.eventually("the exchange is parked", func() (bool, string) {
		sa, sb := w.status(a), w.status(b)
		return sa == "parked duplicate_value" || sb == "parked duplicate_value", fmt.Sprint(sa, sb)
	})

	t.Log("who waits for a parked holder is blocked")
	c, d := member("1", "c"), member("1", "d")
	w.want(c, memberState("c@example.com"))
	w.wantStatus(c, "current")
	w.want(c, memberState("not an address"))
	w.wantStatus(c, "parked invalid_email")
	w.want(d, memberState("c@example.com"))
	w.wantStatus(d, "blocked holder_blocked")
	w.want(c, memberState("fine@example.com"))
	w.wantStatus(d, "current")
}
