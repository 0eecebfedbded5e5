package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/schemas"
	"github.com/twmb/franz-go/pkg/kadm"
)

func TestInstancesShareEntitiesOneHandEach(t *testing.T) { // invariant 4, hazard A1
	t.Parallel()
	w := newWorld(t, options{realKafka: true})
	s := &spy{API: w.client}
	watched := func(name string) func(*Config, *Deps) {
		return func(c *Config, d *Deps) { c.Owner, d.Client = name, s }
	}
	a := w.start(watched("a"))
	for o := range 8 {
		w.want(org(fmt.Sprint(o)), orgState(fmt.Sprint(o)))
	}
	b := w.start(watched("b"))
	for round := range 4 {
		for o := range 8 {
			for m := range 6 {
				lane := lanes[(o+m+round)%2]
				k := member(fmt.Sprint(o), fmt.Sprint(m))
				w.announce(k, w.store(k, memberState(fmt.Sprintf("user%d@example.com", m), "name", fmt.Sprint("round ", round)), true, lane), lane)
			}
		}
	}
	w.eventually("both instances own partitions", func() (bool, string) {
		pa, pb := a.Status().Partitions, b.Status().Partitions
		for p := range pa {
			if _, both := pb[p]; both {
				return false, fmt.Sprint("both own ", p)
			}
		}
		return len(pa) > 0 && len(pb) > 0 && len(pa)+len(pb) == w.cfg.Partitions, fmt.Sprint(pa, pb)
	})
	if err := w.stop(a); err != nil {
		t.Fatal(err)
	}
	w.equal()
	if s.worst != 1 {
		t.Errorf("%d calls in flight for one entity", s.worst)
	}
}

func TestPartitionCountsMustAgree(t *testing.T) { // hazard A1
	t.Parallel()
	w := newWorld(t, options{})
	if _, err := kadm.NewClient(w.producer).CreatePartitions(context.Background(), 1, schemas.ApplyTopic(w.cfg.Prefix, schemas.LaneLive)); err != nil {
		t.Fatal(err)
	}
	a := w.start()
	<-a.Done()
	if held, ok := asHeld(a.Err()); !ok || !strings.Contains(held.Reason, "5 partitions") {
		t.Fatalf("ended with %v, want a hold that names the counts", a.Err())
	}
}

// An owner stands still between its mark and its write; its successor settles,
// reads back and applies the next revision; then the owner wakes (hazard A2).
func TestZombieNeitherWritesNorRecords(t *testing.T) { // invariants 3, 4 and 10
	t.Parallel()
	w := newWorld(t, options{cfg: func(c *Config) { c.Partitions = 1 }})
	w.overtaken = true // the zombie may notice before it is stopped
	var stand atomic.Bool
	standing, wake := make(chan struct{}), make(chan struct{})
	zombie := w.start(func(c *Config, d *Deps) {
		c.Owner = "zombie"
		d.Client = &spy{API: w.client, before: func(step, _ string) {
			if step == stepUpdateMember && stand.CompareAndSwap(true, false) {
				close(standing)
				<-wake
			}
		}}
	})
	k := member("o", "1")
	w.want(org("o"), orgState("o"))
	w.want(k, memberState("user@example.com", "name", "one"))
	w.equal()
	stand.Store(true)
	w.want(k, memberState("user@example.com", "name", "two"))
	<-standing
	// What a rebalance does once the group thinks that the owner is dead.
	if _, err := ledger.NewApplier(w.pool).TakeLeases(context.Background(), "successor", "", []int32{0}); err != nil {
		t.Fatal(err)
	}
	successor, err := New(func() Config { c := w.cfg; c.Name += "-successor"; c.Owner = "successor"; return c }(), Deps{Ledger: w.pool, Client: w.client, Kafka: w.brokers})
	if err != nil {
		t.Fatal(err)
	}
	successor.Start(context.Background())
	defer func() {
		if err := w.stop(successor); err != nil {
			t.Error(err)
		}
	}()
	w.want(k, memberState("user@example.com", "name", "three"))
	w.equal()
	seq, revision := w.sim.Seq(), w.count("SELECT applied_revision FROM backstitch.entities WHERE key = '1'")
	close(wake)
	w.eventually("the zombie's turn has ended", func() (bool, string) {
		_, running := zombie.sched.waiting()
		return running == 0, fmt.Sprint(running)
	})
	if late := w.writes(seq); len(late) != 0 {
		t.Errorf("the zombie wrote %v", endpoints(late))
	}
	if now := w.count("SELECT applied_revision FROM backstitch.entities WHERE key = '1'"); now != revision {
		t.Errorf("the zombie recorded revision %d over %d", now, revision)
	}
	w.equal()
}

func TestReplayIsHarmless(t *testing.T) { // invariant 5
	t.Parallel()
	w := newWorld(t, options{realKafka: true})
	a := w.start()
	w.want(org("o"), orgState("o"))
	for i := range 20 {
		w.want(member("o", fmt.Sprint(i)), memberState(fmt.Sprintf("user%d@example.com", i), "password_hash", hashes[i%8]))
	}
	w.want(member("o", "3"), nil)
	w.want(member("o", "4"), memberState("user5@example.com")) // a duplicate: parked
	w.settled()
	if err := w.stop(a); err != nil {
		t.Fatal(err)
	}
	seq := w.sim.Seq()
	if r := w.replay("", false); r.Records != 23 || r.Entities != 21 || r.Calls != 0 || r.Waiting != 1 {
		t.Fatalf("planned %+v", r)
	}
	w.start()
	w.caughtUp()
	if calls := w.sim.Journal(); w.sim.Seq() != seq {
		t.Errorf("a replay made %d calls, the last %v", w.sim.Seq()-seq, calls[len(calls)-1])
	}
}

// caughtUp waits until the group has committed all that is in the topics.
func (w *world) caughtUp() {
	w.t.Helper()
	admin := kadm.NewClient(w.producer)
	w.eventually("the group has no lag", func() (bool, string) {
		lags, err := admin.Lag(context.Background(), Group(w.cfg.Name))
		if err != nil {
			return false, err.Error()
		}
		l := lags[Group(w.cfg.Name)]
		return l.Error() == nil && l.Lag.Total() == 0 && len(l.Members) > 0, fmt.Sprint(l.Lag.Total(), l.Error())
	})
}

func TestForcedReplayRepairsAndKeepsForeignChanges(t *testing.T) { // invariant 12, hazard A8
	t.Parallel()
	w := newWorld(t, options{})
	a := w.start()
	w.want(org("o"), orgState("o"))
	w.want(org("gone"), orgState("gone"))
	w.want(member("gone", "1"), memberState("user@example.com"))
	for i := range 6 {
		w.want(member("o", fmt.Sprint(i)), memberState(fmt.Sprintf("user%d@example.com", i), "password_hash", hashes[i]))
	}
	w.equal()
	if err := w.stop(a); err != nil {
		t.Fatal(err)
	}
	behind := w.sim.Behind()
	id := func(i int) string { return w.member("o", fmt.Sprint(i)).Member.MemberID }
	_, err1 := behind.UpdateMember(id(1), map[string]any{"name": "Renamed behind our back"})
	_, err2 := behind.UpdateMember(id(2), map[string]any{"email_address": "other@example.com"})
	err := errors.Join(err1, err2, behind.DeleteMember(id(0)), behind.SetPassword(id(3), "a new one"), behind.DeleteOrganization("gone"))
	if err != nil {
		t.Fatal(err)
	}
	if r := w.replay("", true); r.Reads != 9 {
		t.Fatalf("planned %+v", r)
	}
	w.start()
	w.eventually("every entity was read", func() (bool, string) {
		n := w.count("SELECT count(*) FROM backstitch.entities WHERE read_wanted AND status <> 'parked'")
		return n == 0, fmt.Sprint(n)
	})
	w.equal(member("o", "2"), member("o", "3"))
	w.wantStatus(member("o", "2"), "parked foreign_change")
	if m := w.member("o", "2"); m.Member.EmailAddress != "other@example.com" {
		t.Error("an address that somebody else wrote was overwritten")
	}
	if m := w.member("o", "3"); m.Password == nil || m.Password.Hash == hashes[3] {
		t.Error("a password that somebody else set was overwritten")
	}
	if got := endpoints(w.writes(0)); slices.Contains(got, "members.delete_password") {
		t.Error(got)
	}
}
