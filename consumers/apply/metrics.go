package apply

import (
	"maps"
	"sync"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/schemas"
	"github.com/prometheus/client_golang/prometheus"
)

// steps are the calls of the metrics, in the order of plan.go; then the reads.
var steps = []string{
	stepCreateOrganization, stepUpdateOrganization, stepDeleteOrganization, stepCreateMember, stepUpdateMember,
	stepDeleteMember, stepMigratePassword, stepDeletePassword, stepDeletePhone, stepReactivateMember, stepFreeMember, stepFreeOrganization, "read", "search_members", "get_rbac_policy",
}

var lanes = []schemas.Lane{schemas.LaneLive, schemas.LaneBackfill}

type metrics struct {
	calls     *prometheus.CounterVec
	durations *prometheus.HistogramVec
	turns     *prometheus.CounterVec
	latencies *prometheus.HistogramVec

	mu     sync.Mutex
	counts map[string]map[string]int64 // step -> outcome
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backstitch_apply_calls_total", Help: "Calls to Stytch by step and by what their answer meant.",
		}, []string{"step", "outcome"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "backstitch_apply_call_seconds", Help: "Duration of calls to Stytch.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 12),
		}, []string{"step"}),
		turns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backstitch_apply_turns_total", Help: "Turns of entities by lane, status and reason.",
		}, []string{"lane", "status", "reason"}),
		latencies: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "backstitch_apply_latency_seconds", Help: "From the source's commit to an applied entity.",
			Buckets: prometheus.ExponentialBuckets(0.05, 2, 23), // to 58 hours: a large backfill takes days
		}, []string{"lane"}),
		counts: map[string]map[string]int64{},
	}
	for _, s := range steps {
		m.durations.WithLabelValues(s)
		for _, o := range outcomes {
			m.calls.WithLabelValues(s, string(o))
		}
	}
	for _, l := range lanes {
		m.latencies.WithLabelValues(string(l))
		m.turns.WithLabelValues(string(l), string(consumers.Current), "")
	}
	for _, c := range []prometheus.Collector{m.calls, m.durations, m.turns, m.latencies} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) call(step string, o outcome) {
	m.calls.WithLabelValues(step, string(o)).Inc()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counts[step] == nil {
		m.counts[step] = map[string]int64{}
	}
	m.counts[step][string(o)]++
}

func (m *metrics) seconds(step string, d time.Duration) {
	m.durations.WithLabelValues(step).Observe(d.Seconds())
}

func (m *metrics) turn(l schemas.Lane, s consumers.Status, r consumers.Reason) {
	m.turns.WithLabelValues(string(l), string(s), string(r)).Inc()
}

// latency takes in how long a change took; the source's clock may be ahead of ours.
func (m *metrics) latency(l schemas.Lane, d time.Duration) {
	m.latencies.WithLabelValues(string(l)).Observe(max(d, 0).Seconds())
}

// snapshot copies the calls by step and outcome.
func (m *metrics) snapshot() map[string]map[string]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]map[string]int64{}
	for s, o := range m.counts {
		out[s] = maps.Clone(o)
	}
	return out
}

// gauges show what this instance does now.
func (a *Apply) gauges(r prometheus.Registerer) error {
	for _, g := range []struct {
		name, help string
		value      func(Status) int
	}{
		{"backstitch_apply_partitions", "Apply partitions whose lease this instance has.", func(s Status) int { return len(s.Partitions) }},
		{"backstitch_apply_turns_running", "Turns of entities that run now.", func(s Status) int { return s.InFlight }},
		{"backstitch_apply_turns_queued", "Turns of entities that wait in memory.", func(s Status) int { return s.Queued }},
		{"backstitch_apply_requests_last_second", "Requests of the rate budget that this instance used in the last whole second.", func(Status) int { return a.current.Load().pacer.lastSecond() }},
	} {
		err := r.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.name, Help: g.help}, func() float64 { return float64(g.value(a.Status())) }))
		if err != nil {
			return err
		}
	}
	return nil
}
