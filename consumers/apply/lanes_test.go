package apply

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	sim "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
	"github.com/backstitch/backstitch/schemas"
)

// The backfill record of an entity that changed meanwhile comes last and finds
// nothing to do; a burst of revisions is one call, of the newest.
func TestOlderRevisionsFindNothingToDo(t *testing.T) { // invariants 3 and 5
	t.Parallel()
	w := newWorld(t, options{})
	k := member("o", "1")
	old := w.store(k, memberState("user@example.com", "name", "old"), true, schemas.LaneBackfill)
	w.want(org("o"), orgState("o"))
	for i := range 20 {
		w.want(k, memberState("user@example.com", "name", fmt.Sprint("revision ", i)))
	}
	w.start()
	w.equal()
	if n := len(w.writes(0)); n != 2 {
		t.Errorf("%d calls for one organization and one member: %v", n, endpoints(w.writes(0)))
	}
	seq := w.sim.Seq()
	w.announce(k, old, schemas.LaneBackfill)
	w.caughtUp()
	if w.sim.Seq() != seq {
		t.Error("an older revision made a call")
	}
}

func TestThrottledCallsAreRetriedNeverParked(t *testing.T) { // hazard A16
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	w.want(org("o"), orgState("o"))
	w.equal()
	f := w.sim.Inject(sim.Fault{Kind: sim.Status, Status: 429, Endpoint: sim.MembersCreate, Count: 5})
	for i := range 5 {
		w.want(member("o", fmt.Sprint(i)), memberState(fmt.Sprintf("user%d@example.com", i)))
	}
	w.equal()
	if f.Hits() != 5 {
		t.Errorf("the fault was met %d times", f.Hits())
	}
	halved := func() bool { return w.count("SELECT count(*) FROM backstitch.budget WHERE halved_until > now()") == 1 }
	if halved() {
		t.Error("backfill was halved for one crowded second")
	}
	w.sim.Inject(sim.Fault{Kind: sim.Status, Status: 429, Endpoint: sim.MembersCreate, Count: crowdedSeconds + 1})
	w.want(member("o", "again"), memberState("again@example.com"))
	w.equal()
	if !halved() {
		t.Error("backfill was not halved while somebody else spends the limit")
	}
}

func TestStopsAtAnyTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	never, err := New(w.cfg, Deps{Ledger: w.pool, Client: w.client, Kafka: w.brokers})
	if err != nil {
		t.Fatal(err)
	}
	if err := never.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	w.want(org("o"), orgState("o"))
	for i := range 200 {
		w.want(member("o", fmt.Sprint(i)), memberState(fmt.Sprintf("user%d@example.com", i)))
	}
	for range 3 { // each takes some of the work
		a := w.start()
		for i := range 2 {
			w.eventually("a call", func() (bool, string) { return w.sim.Seq() > uint64(i), "" })
		}
		if err := w.stop(a); err != nil {
			t.Error(err)
		}
		if err := w.stop(a); err != nil {
			t.Error(err)
		}
	}
	if n := w.count("SELECT count(*) FROM backstitch.marks"); n != 0 {
		t.Errorf("%d marks stand after a clean stop", n)
	}
	w.start()
	w.equal()
}

func TestConfigurationIsChecked(t *testing.T) {
	t.Parallel()
	good := Config{Name: "n", Prefix: "p", ProjectID: "x", Partitions: 1, RateLimit: 1, DigestKey: []byte("k")}
	if err := good.withDefaults().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*Config){
		"name":       func(c *Config) { c.Name = "" },
		"partitions": func(c *Config) { c.Partitions = 0 },
		"rate":       func(c *Config) { c.RateLimit = 0 },
		"floor":      func(c *Config) { c.BackfillFloor = 2 },
		"key":        func(c *Config) { c.DigestKey = nil },
	} {
		c := good
		edit(&c)
		if c.withDefaults().Validate() == nil {
			t.Errorf("a wrong %s was accepted", name)
		}
	}
}

func TestSlicesAreSmall(t *testing.T) { // hazard A18
	t.Parallel()
	for rate, most := range map[float64]int{900: 90, 60: 6, 5: 1, 0.5: 1} {
		share := 1.0
		p := newPacer(nil, ledger.Pace{Rate: rate}, 1, func() float64 { return share }, nil)
		if n := p.slice(); n != most {
			t.Errorf("at %g/s a slice is %d requests, want %d", rate, n, most)
		}
		share = 1.0 / 3
		if n := p.slice(); n != max(1, most/3) {
			t.Errorf("at %g/s a slice of one in three instances is %d requests", rate, n)
		}
	}
}

// Instances that meet in one window of the server's are throttled now and then; only
// who is throttled again and again shares the limit with somebody else.
func TestOnlyRepeatedThrottlingIsSomebodyElses(t *testing.T) { // hazard A16
	t.Parallel()
	p := newPacer(nil, ledger.Pace{Rate: 100}, 1, nil, nil)
	at := time.Unix(1_000_000, 0)
	for i, step := range []struct {
		after   time.Duration
		crowded bool
	}{
		{0, false}, {100 * time.Millisecond, false}, {2 * time.Second, false}, {30 * time.Second, false}, // now and then
		{2 * time.Second, false}, {2 * time.Second, true}, {2 * time.Second, true}, // again and again
	} {
		at = at.Add(step.after)
		if got := p.crowded(at, time.Second); got != step.crowded {
			t.Errorf("429 number %d: somebody else is %v", i, got)
		}
	}
}
