package apply

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	sim "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
	"github.com/backstitch/backstitch/schemas"
)

// before counts, by what their bodies hold, the successful writes that came after
// seq and before the last one whose body holds mark.
func (w *world) before(seq uint64, mark string) (backfill, live int) {
	w.t.Helper()
	n := [2]int{}
	found := false
	for _, e := range w.writes(seq) {
		switch body := string(e.Body); {
		case strings.Contains(body, mark):
			backfill, live, found = n[0], n[1], true
			n[1]++
		case strings.Contains(body, "backfill-"):
			n[0]++
		}
	}
	if !found {
		w.t.Fatalf("no call for %s", mark)
	}
	return backfill, live
}

// queue announces a long backfill, of members of organizations that are there.
func (w *world) queue(orgs, members int) {
	for o := range orgs {
		w.want(org(strconv.Itoa(o)), orgState(strconv.Itoa(o)))
	}
	for i := range members {
		k := member(strconv.Itoa(i%orgs), fmt.Sprint("b", i))
		w.announce(k, w.store(k, memberState(fmt.Sprintf("backfill-%d@example.com", i)), true, schemas.LaneBackfill), schemas.LaneBackfill)
	}
}

// A change that is announced while a long backfill is queued passes it: between its
// wake-up and its call come no more backfill calls than a slice and the workers hold.
func TestLiveBeforeBackfill(t *testing.T) { // hazard A18
	t.Parallel()
	const queued = 400
	w := newWorld(t, options{cfg: func(c *Config) { c.RateLimit = 100 }})
	w.queue(8, queued)
	w.start()
	for n := range 3 {
		w.eventually("backfill runs", func() (bool, string) {
			return len(w.sim.Journal(sim.Filter{Endpoint: sim.MembersCreate})) >= 10*(n+1), ""
		})
		seq, mark := w.sim.Seq(), fmt.Sprintf("live-%d@example.com", n)
		w.want(member(strconv.Itoa(n), "live"), memberState(mark))
		w.eventually("the live call", func() (bool, string) {
			for _, e := range w.writes(seq) {
				if strings.Contains(string(e.Body), mark) {
					return true, ""
				}
			}
			return false, ""
		})
		backfill, _ := w.before(seq, mark)
		t.Logf("%d backfill calls came first", backfill)
		if backfill > 100 { // one second's requests
			t.Errorf("%d of %d queued backfill calls came before the live one", backfill, queued)
		}
	}
}

// While live requests saturate the limit, backfill keeps its floor.
func TestBackfillKeepsItsFloor(t *testing.T) { // hazard A18
	t.Parallel()
	const changes = 200
	w := newWorld(t, options{cfg: func(c *Config) { c.RateLimit = 100 }})
	w.queue(8, 300)
	for i := range changes {
		w.want(member(strconv.Itoa(i%8), fmt.Sprint("l", i)), memberState(fmt.Sprintf("live-%d@example.com", i)))
	}
	w.start()
	w.eventually("the live calls", func() (bool, string) {
		n := 0
		for _, e := range w.writes(0) {
			if strings.Contains(string(e.Body), "live-") {
				n++
			}
		}
		return n >= changes, fmt.Sprint(n)
	})
	backfill, live := w.before(0, "live-")
	t.Logf("%d backfill calls among %d live ones", backfill, live)
	if backfill < live/20 { // half of the floor of a tenth: the pressure begins and ends somewhere
		t.Errorf("backfill made %d calls while live made %d", backfill, live)
	}
	if backfill > live {
		t.Errorf("backfill made %d calls while live made only %d", backfill, live)
	}
}
