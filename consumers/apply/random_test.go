package apply

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
	sim "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
	"github.com/backstitch/backstitch/schemas"
)

// faultsOf are the ways in which calls fail: before and after their effect, late,
// throttled, with and without an answer.
func faultsOf(w *world, seed uint64, probability float64) []*sim.Injected {
	var list []*sim.Injected
	for i, f := range []sim.Fault{
		{Kind: sim.Before},
		{Kind: sim.After},
		{Kind: sim.Timeout},
		{Kind: sim.TimeoutAfter},
		{Kind: sim.LateEffect, Delay: 150 * time.Millisecond},
		{Kind: sim.Status, Status: 503},
		{Kind: sim.StatusAfter, Status: 500},
		{Kind: sim.Status, Status: 429},
		{Kind: sim.Status, Status: 502, Body: "<html>"},
	} {
		f.Probability, f.Seed = probability, seed+uint64(i)
		list = append(list, w.sim.Inject(f))
	}
	return list
}

// workload changes desired states at random; every e-mail address has one holder
// per organization, as the legacy system's constraint demands.
type workload struct {
	w    *world
	rand *rand.Rand
	orgs int
	// fresh: no slug is used twice, for where a deleted organization keeps its own.
	fresh bool
	slugs int
}

func (l *workload) step() {
	o := strconv.Itoa(l.rand.IntN(l.orgs))
	k := member(o, strconv.Itoa(l.rand.IntN(6)))
	old, w := l.w.desired[k], l.w
	if w.desired[org(o)] == nil || l.rand.IntN(25) == 0 {
		l.organization(o)
		return
	}
	lane := lanes[l.rand.IntN(2)]
	put := func(k consumers.Key, d map[string]any) { w.announce(k, w.store(k, d, true, lane), lane) }
	if old == nil {
		if email := l.free(o); email != "" {
			put(k, memberState(email, "password_hash", l.hash(), "trusted_metadata", map[string]any{"n": l.rand.IntN(3)}))
		}
		return
	}
	next := map[string]any{}
	for f, v := range old {
		next[f] = v
	}
	switch l.rand.IntN(8) {
	case 0:
		put(k, nil)
		return
	case 1:
		next["name"] = fmt.Sprintf("name %d", l.rand.IntN(5))
	case 2:
		next["roles"] = []any{[]string{"admin", "member"}[l.rand.IntN(2)]}
	case 3:
		next["password_hash"] = l.hash()
	case 4:
		next["trusted_metadata"] = map[string]any{fmt.Sprint("k", l.rand.IntN(3)): l.rand.IntN(9)}
	case 5:
		if email := l.free(o); email != "" {
			next["email_address"] = email
		}
	case 6: // exchange addresses
		other := member(o, strconv.Itoa(l.rand.IntN(6)))
		if d := w.desired[other]; d != nil && other != k {
			swapped := map[string]any{}
			for f, v := range d {
				swapped[f] = v
			}
			next["email_address"], swapped["email_address"] = d["email_address"], old["email_address"]
			a, b := w.store(k, next, true, lane), w.store(other, swapped, true, lane)
			w.announce(k, a, lane)
			w.announce(other, b, lane)
			return
		}
	case 7:
		next["is_breakglass"] = l.rand.IntN(2) == 0
	}
	put(k, next)
}

func (l *workload) organization(o string) {
	w := l.w
	if w.desired[org(o)] != nil && l.rand.IntN(3) == 0 { // the mapping returns no member of what it does not return
		revisions := map[consumers.Key]int64{org(o): w.store(org(o), nil, true, schemas.LaneLive)}
		for i := range 6 {
			if k := member(o, strconv.Itoa(i)); w.desired[k] != nil {
				revisions[k] = w.store(k, nil, true, schemas.LaneLive)
			}
		}
		for k, r := range revisions {
			w.announce(k, r, schemas.LaneLive)
		}
		return
	}
	slug := fmt.Sprintf("slug-%s-%d", o, l.rand.IntN(2))
	if l.fresh {
		l.slugs++
		slug = fmt.Sprint("fresh-", l.slugs)
	}
	w.want(org(o), orgState(o, "organization_name", fmt.Sprint("Name ", l.rand.IntN(9)), "organization_slug", slug))
}

func (l *workload) free(o string) string {
	taken := map[string]bool{}
	for k, d := range l.w.desired {
		if k.Organization == o && k.Kind == consumers.Member && d != nil {
			taken[d["email_address"].(string)] = true
		}
	}
	for range 5 {
		if e := fmt.Sprintf("user%d@example.com", l.rand.IntN(9)); !taken[e] {
			return e
		}
	}
	return ""
}

func (l *workload) hash() any {
	if l.rand.IntN(4) == 0 {
		return nil
	}
	return hashes[l.rand.IntN(len(hashes))]
}

// A workload against faults of every kind, two instances that come and go, and at
// the end every field as desired (invariants 3, 4, 6, hazards A1 to A5, A7, A10, A11).
func TestRandomWorkloadWithFaultsEndsFieldEqual(t *testing.T) {
	seeds, steps := 4, 150
	if s := os.Getenv("APPLY_TEST_SEEDS"); s != "" {
		seeds, _ = strconv.Atoi(s)
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{sim: sim.Options{SearchLimit: -1}, cfg: func(c *Config) {
				c.CallTimeout, c.Settle, c.Deletes.MaxPerHour = 250*time.Millisecond, 600*time.Millisecond, 100000
			}})
			l := &workload{w: w, rand: rand.New(rand.NewPCG(uint64(seed), 1)), orgs: 4}
			instances := []*Apply{w.start(), w.start()}
			injected := faultsOf(w, uint64(seed), 0.02)
			for i := range steps {
				l.step()
				if i%50 == 49 { // one leaves, another comes
					n := l.rand.IntN(2)
					ctx, cut := context.WithCancel(context.Background())
					if l.rand.IntN(2) == 0 { // in the middle of its calls, as when it dies
						cut()
						_ = instances[n].Stop(ctx) // what it left half-done is what this test is about
					} else if err := w.stop(instances[n]); err != nil {
						t.Fatal(err)
					}
					cut()
					instances[n] = w.start(func(c *Config, _ *Deps) { c.Owner = fmt.Sprint("instance ", i) })
				}
			}
			for _, f := range injected {
				f.Remove()
			}
			w.eventuallyEqual()
		})
	}
}

// eventuallyEqual waits for second read-backs too, which may repair (hazard A3).
func (w *world) eventuallyEqual() {
	w.t.Helper()
	w.eventually("no second read is due", func() (bool, string) {
		var said string
		err := w.pool.QueryRow(context.Background(), `SELECT coalesce(string_agg(concat_ws(' ', kind, org_key, key, status, reason, detail, read_wanted, due_at - now(), attempts, stytch_id), '; '), '') FROM backstitch.entities
			WHERE read_wanted OR due_at IS NOT NULL AND status IN ('current', 'pending', 'deferred')`).Scan(&said)
		return err == nil && said == "", fmt.Sprint(said, err)
	})
	w.settled()
	if diffs := w.compare(); len(diffs) > 0 {
		w.explain()
		for _, d := range diffs[:min(10, len(diffs))] {
			w.t.Error(d)
		}
		if os.Getenv("APPLY_TEST_JOURNAL") != "" {
			for _, e := range w.sim.Journal() {
				w.t.Log(e.Time.Format("05.000"), e.Endpoint, e.OrganizationID, e.MemberID, string(e.Body), e.Status, e.ErrorType, e.Fault)
			}
		}
	}
}
