package apply

import (
	"context"
	"fmt"
	"testing"

	"github.com/backstitch/backstitch/internal/spans"
	"github.com/backstitch/backstitch/schemas"
	"github.com/twmb/franz-go/pkg/kadm"
)

// spans is all that the group has consumed.
func (w *world) spans() (list []spans.Span) {
	w.t.Helper()
	committed, err := kadm.NewClient(w.producer).FetchOffsets(context.Background(), Group(w.cfg.Name))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range committed.Sorted() {
		list = append(list, spans.Span{Topic: o.Topic, Partition: o.Partition, Until: o.At})
	}
	return list
}

// replay goes through everything again that the stopped group has consumed.
func (w *world) replay(organization string, force bool) *Replay {
	w.t.Helper()
	ctx := context.Background()
	list := w.spans()
	r, err := PlanReplay(ctx, w.cfg, Deps{Ledger: w.pool, Kafka: w.brokers}, list, organization, force)
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close()
	if err := r.Begin(ctx, list, organization); err != nil {
		w.t.Fatal(err)
	}
	return r
}

func TestReplayForeseesItsCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	a := w.start()
	w.want(org("o"), orgState("o"))
	for i := range 6 {
		w.want(member("o", fmt.Sprint(i)), memberState(fmt.Sprintf("user%d@example.com", i), "password_hash", hashes[i]))
	}
	w.settled()
	if err := w.stop(a); err != nil {
		t.Fatal(err)
	}
	for i := range 6 { // the next states are stored; nobody has looked at them
		k := member("o", fmt.Sprint(i))
		switch i {
		case 0:
			w.store(k, memberState("user0@example.com", "password_hash", hashes[0], "name", "Another"), true, schemas.LaneLive) // one update
		case 1:
			w.store(k, nil, true, schemas.LaneLive) // a read and a delete
		}
	}
	ctx := context.Background()
	seq := w.sim.Seq()
	r, err := PlanReplay(ctx, w.cfg, Deps{Ledger: w.pool, Kafka: w.brokers}, w.spans(), "", true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Records != 7 || r.Entities != 7 || r.Differ != 2 || r.Calls != 3 || r.Reads != 7 {
		t.Errorf("foreseen: %d records, %d entities, %d differ, %d calls, %d reads", r.Records, r.Entities, r.Differ, r.Calls, r.Reads)
	}
	if n := w.count("SELECT count(*) FROM backstitch.entities WHERE read_wanted OR due_at IS NOT NULL"); n != 0 || w.sim.Seq() != seq {
		t.Errorf("to look changed %d entities and made %d calls", n, w.sim.Seq()-seq)
	}
	half, err := PlanReplay(ctx, w.cfg, Deps{Ledger: w.pool, Kafka: w.brokers}, []spans.Span{
		{Topic: schemas.ApplyTopic(w.cfg.Prefix, schemas.LaneLive), Partition: schemas.Partition([]byte("o"), w.cfg.Partitions), From: 5, Until: 7},
	}, "", false)
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	if half.Records != 2 || half.Entities != 2 || half.Reads != 0 {
		t.Errorf("of two records: %d records, %d entities, %d reads", half.Records, half.Entities, half.Reads)
	}
}

// One organization is replayed without a wake-up, beside all others (invariant 5),
// and with force it is repaired while others are left alone (invariant 12).
func TestReplayOfOneOrganization(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	a := w.start()
	for _, o := range []string{"o", "p"} {
		w.want(org(o), orgState(o))
		for i := range 3 {
			w.want(member(o, o+fmt.Sprint(i)), memberState(fmt.Sprintf("user-%s-%d@example.com", o, i)))
		}
	}
	w.equal()
	w.caughtUp()
	before, seq := w.spans(), w.sim.Seq()
	if r := w.replay("o", false); r.Entities != 4 || r.Calls != 0 {
		t.Fatalf("planned %+v", r)
	}
	w.settled()
	if n := w.sim.Seq() - seq; n != 0 {
		t.Errorf("a replay of an unchanged organization made %d calls", n)
	}
	if err := w.stop(a); err != nil {
		t.Fatal(err)
	}
	for _, o := range []string{"o", "p"} {
		if _, err := w.sim.Behind().UpdateMember(w.member(o, o+"1").Member.MemberID, map[string]any{"name": "Behind our back"}); err != nil {
			t.Fatal(err)
		}
	}
	if r := w.replay("o", true); r.Reads != 4 {
		t.Fatalf("planned %+v", r)
	}
	w.start()
	w.eventually("every entity was read", func() (bool, string) {
		n := w.count("SELECT count(*) FROM backstitch.entities WHERE read_wanted")
		return n == 0, fmt.Sprint(n)
	})
	w.settled()
	if got := w.member("o", "o1").Member.Name; got == "Behind our back" {
		t.Error("the organization was not repaired")
	}
	if got := w.member("p", "p1").Member.Name; got != "Behind our back" {
		t.Error("another organization was touched")
	}
	if after := w.spans(); len(after) < len(before) {
		t.Errorf("offsets were touched: %v, before %v", after, before)
	}
}
