package admin

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
)

// world is a status and metrics that a test moves.
type world struct {
	registry *prometheus.Registry
	rows     prometheus.Counter
	calls    *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	status   Status
}

func newWorld() *world {
	w := &world{
		registry: prometheus.NewRegistry(),
		rows:     prometheus.NewCounter(prometheus.CounterOpts{Name: "backstitch_publisher_records_total"}),
		calls:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "backstitch_apply_calls_total"}, []string{"step", "outcome"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: freshnessMetric, Buckets: prometheus.ExponentialBuckets(0.05, 2, 16),
		}, []string{"lane"}),
	}
	w.registry.MustRegister(w.rows, w.calls, w.latency)
	return w
}

func (w *world) collect(context.Context) Status { return w.status }

func TestSeriesRatesAndFreshnessAreOfTheLastInterval(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := NewSeries(func() string { return "here:8900" }, w.collect, w.registry)
	now := time.Unix(1_000_000, 0)
	s.now = func() time.Time { return now }
	w.rows.Add(5_000) // before the first reading: of no interval
	w.latency.WithLabelValues("live").Observe(900)
	s.last = gather(w.registry, now)

	now = now.Add(10 * time.Second)
	w.rows.Add(1_230)
	w.calls.WithLabelValues("create_member", "ok").Add(400)
	w.calls.WithLabelValues("update_member", "throttled").Add(50)
	for range 99 {
		w.latency.WithLabelValues("live").Observe(0.15) // in (0.1, 0.2]
	}
	w.latency.WithLabelValues("live").Observe(3) // in (1.6, 3.2]
	w.latency.WithLabelValues("backfill").Observe(80_000)
	w.status = Status{
		Source: &Source{RetainedBytes: 4096, SlotLagBytes: 1024, SlotLagSeconds: new(2.5), WALStatus: "reserved"},
		Lag: []Lag{
			{Topic: "acme.public.users", Records: 7, Seconds: new(1.5)},
			{Topic: "acme.public.teams", Records: 5, Seconds: new(8.5)},
			{Topic: "acme.checkpoints", Records: 99, Seconds: new(60.0)},
			{Topic: "acme.apply.live", Records: 3},
			{Topic: "acme.apply.backfill", Records: 900},
		},
		Entities: ledger.Summary{InFlight: 2, Counts: []ledger.Count{
			{Status: consumers.Pending, Count: 11}, {Status: consumers.Deferred, Count: 4}, {Status: consumers.Parked, Count: 6}, {Status: consumers.Current, Count: 1000},
		}},
	}
	s.sample(t.Context())

	got := s.after(0)
	for name, want := range map[string]float64{
		seriesSourceRate: 123, seriesApplyRate: 45, seriesSlotBytes: 1024, seriesSlotRetained: 4096, seriesSlotSeconds: 2.5, seriesSourceRecords: 12, seriesSourceSeconds: 8.5, seriesLive: 3, seriesBackfill: 900,
		seriesWaiting: 15, seriesInFlight: 2, seriesParked: 6,
	} {
		if v := float64(got.Values[name][0]); v != want {
			t.Errorf("%s = %v, want %v", name, v, want)
		}
	}
	if p50 := float64(got.Values[seriesFreshnessP50][0]); p50 <= 0.1 || p50 > 0.2 {
		t.Errorf("p50 = %v, want it in (0.1, 0.2]", p50)
	}
	if p99 := float64(got.Values[seriesFreshnessP99][0]); p99 <= 0.19 || p99 > 3.2 {
		t.Errorf("p99 = %v, want it beyond the bulk", p99)
	}
	if v := float64(got.Values[seriesTransformRate][0]); !math.IsNaN(v) {
		t.Errorf("a connector that does not run here has the rate %v, want none", v)
	}

	now = now.Add(10 * time.Second) // nothing happened
	s.sample(t.Context())
	got = s.after(got.Time[0])
	if len(got.Time) != 1 || got.Values[seriesSourceRate][0] != 0 || !math.IsNaN(float64(got.Values[seriesFreshnessP99][0])) {
		t.Errorf("an idle interval is %+v, want a rate of 0 and no freshness", got)
	}
}

func TestSeriesACounterThatStartsAnewGivesNoNegativeRate(t *testing.T) {
	t.Parallel()
	before := counters{at: time.Unix(0, 0), totals: map[string]float64{seriesSourceRate: 9_000}, fresh: buckets{1: 50, math.Inf(1): 50}}
	after := counters{at: time.Unix(10, 0), totals: map[string]float64{seriesSourceRate: 200}, fresh: buckets{1: 4, math.Inf(1): 4}}
	values := map[string]float64{}
	after.since(before, values)
	if values[seriesSourceRate] != 20 || values[seriesFreshnessP50] != 0.5 {
		t.Errorf("after a restart the values are %v, want 20/s and a median of 0.5 s", values)
	}
}

func TestSeriesKeepsAnHourAndNoMore(t *testing.T) { // invariant 9
	t.Parallel()
	s := NewSeries(func() string { return "here" }, nil, prometheus.NewRegistry())
	for i := range int64(1000) {
		s.add(i*10, map[string]float64{seriesWaiting: float64(i)})
	}
	s.add(9990, map[string]float64{seriesWaiting: -1}) // the clock was set back
	got := s.after(0)
	if len(got.Time) != 361 || got.Time[0] != 9990-3600 || got.Values[seriesWaiting][360] != 999 || len(got.Values[seriesLive]) != 361 {
		t.Errorf("kept %d samples from %d on, want those of the last hour", len(got.Time), got.Time[0])
	}
}

func TestSeriesAnswersLaterSamplesWithNulls(t *testing.T) {
	t.Parallel()
	s := NewSeries(func() string { return "here:8900" }, nil, prometheus.NewRegistry())
	s.add(100, map[string]float64{seriesWaiting: 1})
	s.add(110, map[string]float64{seriesWaiting: 123456.789})
	w := httptest.NewRecorder()
	seriesHandler(s, nil)(w, httptest.NewRequest("GET", "/series?since=100&scope=instance", nil))
	body := w.Body.String()
	for _, want := range []string{`"instance":"here:8900"`, `"time":[110]`, `"entities_waiting":[1.235e+05]`, `"slot_lag_bytes":[null]`} {
		if !strings.Contains(body, want) {
			t.Errorf("the answer %s lacks %s", body, want)
		}
	}
	var back ClusterSeries
	if err := json.Unmarshal(w.Body.Bytes(), &back); err != nil || !math.IsNaN(float64(back.Instances[0].Values["slot_lag_bytes"][0])) {
		t.Errorf("read back as %+v (%v)", back, err)
	}
}

func TestSeriesRunSamplesOnTheWallClockAndDrains(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := NewSeries(func() string { return "here" }, w.collect, w.registry)
		stopping, done := make(chan struct{}), make(chan error, 1)
		go func() { done <- s.Run(t.Context(), stopping) }()
		<-time.After(65 * time.Second) // of the bubble's clock
		synctest.Wait()
		close(stopping)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		got := s.after(0)
		if len(got.Time) != 6 || got.Time[0]%10 != 0 {
			t.Errorf("after 65 s there are the samples %v, want six on multiples of ten", got.Time)
		}
	})
}

// An instance asks the others that live for their samples, with the caller's own
// token, and says who did not answer.
func TestSeriesOfTheWholeCluster(t *testing.T) {
	t.Parallel()
	serve := func(name, token string) *httptest.Server {
		s := NewSeries(func() string { return name }, nil, prometheus.NewRegistry())
		s.add(1000, map[string]float64{seriesWaiting: 3})
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+token || r.URL.Query().Get("scope") != "instance" || r.URL.Query().Get("since") != "990" {
				http.Error(w, "refused", http.StatusUnauthorized)
				return
			}
			seriesHandler(s, nil)(w, r)
		}))
	}
	peer, stranger := serve("peer:8900", "ours"), serve("stranger:8900", "theirs")
	t.Cleanup(peer.Close)
	t.Cleanup(stranger.Close)
	own := NewSeries(func() string { return "here:8900" }, nil, prometheus.NewRegistry())
	own.add(1000, map[string]float64{seriesWaiting: 1})
	cluster := func(context.Context) (ledger.Cluster, error) {
		return ledger.Cluster{Instances: []ledger.Instance{
			{ID: "here:8900", URL: "http://127.0.0.1:1", Alive: true},
			{ID: "peer:8900", URL: peer.URL, Alive: true},
			{ID: "stranger:8900", URL: stranger.URL, Alive: true},
			{ID: "gone:8900", URL: "http://127.0.0.1:1"},
		}}, nil
	}
	r := httptest.NewRequest("GET", "/series?since=990", nil)
	r.Header.Set("Authorization", "Bearer ours")
	w := httptest.NewRecorder()
	seriesHandler(own, cluster)(w, r)
	var got ClusterSeries
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Instances) != 2 || got.Instances[0].Instance != "here:8900" || got.Instances[1].Instance != "peer:8900" || got.Instances[1].Values[seriesWaiting][0] != 3 {
		t.Errorf("the samples are of %+v", got.Instances)
	}
	if len(got.Missing) != 1 || got.Missing[0].Instance != "stranger:8900" {
		t.Errorf("missing are %+v, want the one that refused", got.Missing)
	}
}
