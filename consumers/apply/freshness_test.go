package apply

import (
	"fmt"
	"testing"
	"time"

	"github.com/backstitch/backstitch/schemas"
	"github.com/prometheus/client_golang/prometheus"
)

// freshness is how many changes the live lane has brought to Stytch, and the seconds
// that they took together.
func freshness(t *testing.T, r *prometheus.Registry) (n uint64, seconds float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "backstitch_apply_latency_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == string(schemas.LaneLive) {
				return m.GetHistogram().GetSampleCount(), m.GetHistogram().GetSampleSum()
			}
		}
	}
	t.Fatal("there is no freshness of the live lane")
	return 0, 0
}

// Freshness is from the source's commit to Stytch, once for each change that got
// there: neither a replay nor a repair of what was applied long ago counts again.
func TestFreshnessCountsChangesOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	registry := prometheus.NewRegistry()
	a := w.start(func(_ *Config, d *Deps) { d.Metrics = registry })
	w.want(org("o"), orgState("o"))
	k := member("o", "1")
	w.want(k, memberState("user1@example.com"))
	w.settled()
	counted := func(want uint64) {
		w.eventually(fmt.Sprintf("%d changes are counted", want), func() (bool, string) {
			n, _ := freshness(t, registry)
			return n >= want, fmt.Sprint(n)
		})
	}
	counted(2)
	// both were committed a day ago, as far as anybody knows
	w.exec("UPDATE backstitch.entities SET committed_at = now() - interval '1 day'")
	_, before := freshness(t, registry)
	if err := w.stop(a); err != nil {
		t.Fatal(err)
	}
	if _, err := w.sim.Behind().UpdateMember(w.member("o", "1").Member.MemberID, map[string]any{"name": "Behind our back"}); err != nil {
		t.Fatal(err)
	}
	w.replay("o", true)
	registry = prometheus.NewRegistry()
	w.start(func(_ *Config, d *Deps) { d.Metrics = registry })
	w.eventually("the member is repaired and read again", func() (bool, string) {
		n := w.count("SELECT count(*) FROM backstitch.entities WHERE read_wanted")
		return n == 0, fmt.Sprint(n)
	})
	w.settled()
	if n, _ := freshness(t, registry); n != 0 {
		t.Errorf("a repair of what was applied counts as %d fresh changes", n)
	}

	revision := w.store(k, memberState("user1@example.com", "name", "Another"), true, schemas.LaneLive)
	w.exec("UPDATE backstitch.entities SET committed_at = now() - interval '90 s' WHERE kind = 'member'")
	w.announce(k, revision, schemas.LaneLive)
	counted(1)
	n, seconds := freshness(t, registry)
	if took := time.Duration(seconds * float64(time.Second)); n != 1 || took < 90*time.Second || took > 10*time.Minute || before > 60 {
		t.Errorf("%d changes took %s, the first two %.1f s; want one of a little over 90 s", n, took, before)
	}
}
