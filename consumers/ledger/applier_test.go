package ledger_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/schemas"
)

func TestLeasesFenceEveryWrite(t *testing.T) { // invariant 10, hazard A1
	t.Parallel()
	pool, ctx := open(t), context.Background()
	a := ledger.NewApplier(pool)
	if _, err := pool.Exec(ctx, `INSERT INTO backstitch.entities (kind, org_key, key, partition, lane, revision, desired) VALUES ('member', 'o', 'm', 3, 'live', 7, '{}')`); err != nil {
		t.Fatal(err)
	}
	first, err := a.TakeLeases(ctx, "first", "", []int32{3})
	if err != nil {
		t.Fatal(err)
	}
	second, err := a.TakeLeases(ctx, "second", "", []int32{3})
	if err != nil || second[0].Term <= first[0].Term {
		t.Fatal(second, err)
	}
	key := consumers.Key{Kind: consumers.Member, Organization: "o", Entity: "m"}
	claim := ledger.Claim{Scope: "o", Field: "email_address", Digest: []byte("digest")}
	request := func(term int64) ledger.MarkRequest {
		return ledger.MarkRequest{Key: key, Partition: 3, Term: term, Revision: 7, Step: "create_member", Maybe: map[string]any{"name": "n"}, Claims: []ledger.Claim{claim}}
	}
	marked, err := a.Mark(ctx, []ledger.MarkRequest{request(first[0].Term)}, time.Second, time.Second)
	if err != nil || !marked[0].Lost || marked[0].Marked {
		t.Fatalf("the former owner marked: %+v, %v", marked, err)
	}
	marked, err = a.Mark(ctx, []ledger.MarkRequest{request(second[0].Term), request(second[0].Term)}, time.Second, time.Second)
	if err != nil || !marked[0].Marked || marked[1].Marked { // invariant 4
		t.Fatalf("one entity has two marks or none: %+v, %v", marked, err)
	}
	again, err := a.Mark(ctx, []ledger.MarkRequest{request(second[0].Term)}, time.Second, time.Second)
	if err != nil || again[0].Marked || again[0].Lost || again[0].Holder != nil {
		t.Fatalf("marked over a mark: %+v, %v", again, err)
	}
	record := ledger.Record{Key: key, Partition: 3, Revision: 7, StytchID: "member-1", Status: consumers.Current, Unmark: true, Reclaim: true}
	stale, fresh := record, record
	stale.Term, fresh.Term, fresh.Keep = first[0].Term, second[0].Term, []ledger.Claim{claim}
	ok, err := a.Record(ctx, []ledger.Record{stale})
	if err != nil || ok[0] {
		t.Fatalf("the former owner recorded: %v, %v", ok, err)
	}
	states, err := a.Load(ctx, []consumers.Key{key, {Kind: consumers.Member, Organization: "o", Entity: "unknown"}})
	if err != nil || states[1] != nil || states[0].Mark == nil || states[0].StytchID != "" {
		t.Fatalf("%+v, %v", states, err)
	}
	if ok, err = a.Record(ctx, []ledger.Record{fresh}); err != nil || !ok[0] {
		t.Fatalf("the owner could not record: %v, %v", ok, err)
	}
	holder, err := a.Holder(ctx, claim)
	if err != nil || holder == nil || holder.Mark != nil || holder.StytchID != "member-1" {
		t.Fatalf("%+v, %v", holder, err)
	}
}

func TestClaimsHaveOneHolder(t *testing.T) { // hazard A4
	t.Parallel()
	pool, ctx := open(t), context.Background()
	a := ledger.NewApplier(pool)
	leases, err := a.TakeLeases(ctx, "owner", "", []int32{0})
	if err != nil {
		t.Fatal(err)
	}
	const n = 8
	results := make([]ledger.MarkResult, n)
	var wg sync.WaitGroup
	for i := range n { // concurrent transactions, as of several instances
		wg.Go(func() {
			r, err := a.Mark(ctx, []ledger.MarkRequest{{
				Key: consumers.Key{Kind: consumers.Organization, Organization: string(rune('a' + i)), Entity: string(rune('a' + i))}, Term: leases[0].Term,
				Step: "create_organization", Claims: []ledger.Claim{{Field: "organization_slug", Digest: []byte("slug")}},
			}}, time.Second, time.Second)
			if err != nil {
				t.Error(err)
				return
			}
			results[i] = r[0]
		})
	}
	wg.Wait()
	var marked, waiting int
	for _, r := range results {
		if r.Marked {
			marked++
		} else if r.Holder != nil {
			waiting++
		}
	}
	if marked != 1 || waiting != n-1 {
		t.Errorf("%d hold the slug and %d wait, want 1 and %d", marked, waiting, n-1)
	}
}

// Two instances ask for slices as fast as they can: together they get the rate,
// and live goes before backfill down to its floor (hazards A16, A18).
func TestSlicesKeepThePace(t *testing.T) {
	t.Parallel()
	pool, ctx := open(t), context.Background()
	a := ledger.NewApplier(pool)
	pace := ledger.Pace{Project: "p", Rate: 400, Floor: 0.1}
	const slice = 20
	run := func(lane schemas.Lane, until time.Time) (n int) {
		for time.Now().Before(until) {
			wait, err := a.Slice(ctx, pace, lane, slice)
			if err != nil {
				t.Error(err)
				return n
			}
			timer := time.NewTimer(wait)
			<-timer.C
			n += slice
		}
		return n
	}
	measure := func(seconds float64, askers ...schemas.Lane) map[schemas.Lane]float64 {
		var mu sync.Mutex
		var wg sync.WaitGroup
		got := map[schemas.Lane]float64{}
		start := time.Now()
		until := start.Add(time.Duration(seconds * float64(time.Second)))
		for _, lane := range askers {
			wg.Go(func() {
				n := run(lane, until)
				mu.Lock()
				defer mu.Unlock()
				got[lane] += float64(n)
			})
		}
		wg.Wait()
		for lane := range got {
			got[lane] /= time.Since(start).Seconds()
		}
		return got
	}
	alone := measure(1.5, schemas.LaneBackfill, schemas.LaneBackfill)
	if r := alone[schemas.LaneBackfill]; r > 1.1*pace.Rate || r < 0.6*pace.Rate {
		t.Errorf("backfill alone ran at %.0f/s of %.0f", r, pace.Rate)
	}
	both := measure(2, schemas.LaneLive, schemas.LaneLive, schemas.LaneLive, schemas.LaneBackfill, schemas.LaneBackfill)
	live, backfill := both[schemas.LaneLive], both[schemas.LaneBackfill]
	if live+backfill > 1.1*pace.Rate {
		t.Errorf("%.0f/s and %.0f/s are more than the rate", live, backfill)
	}
	if backfill > 0.4*live || backfill == 0 {
		t.Errorf("backfill ran at %.0f/s beside %.0f/s live, want its floor", backfill, live)
	}
	trickled := make(chan struct{})
	go func() { // an eighth of the rate, in small slices
		defer close(trickled)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for range 15 {
			<-tick.C
			if _, err := a.Slice(ctx, pace, schemas.LaneLive, 5); err != nil {
				t.Error(err)
			}
		}
	}()
	beside := measure(1.5, schemas.LaneBackfill, schemas.LaneBackfill)[schemas.LaneBackfill]
	<-trickled
	if beside < 0.6*pace.Rate {
		t.Errorf("backfill ran at %.0f/s of %.0f beside a trickle of live requests", beside, pace.Rate)
	}
	if err := a.Halve(ctx, "p", time.Minute); err != nil {
		t.Fatal(err)
	}
	halved := measure(1.5, schemas.LaneBackfill, schemas.LaneBackfill)
	if r := halved[schemas.LaneBackfill]; r > 0.65*pace.Rate {
		t.Errorf("halved backfill ran at %.0f/s", r)
	}
}
