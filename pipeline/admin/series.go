package admin

import (
	"context"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backstitch/backstitch/consumers"
)

// seriesEvery is the distance of two samples, seriesKept how far back they go.
// Samples lie on multiples of seriesEvery of the wall clock, so that those of
// several instances can be added.
const (
	seriesEvery = 10 * time.Second
	seriesKept  = time.Hour
)

// The series, by their names in the answer; each name ends in its unit, or is a
// count. The rates are of this instance, the rest is the whole pipeline's.
const (
	seriesSourceRate    = "source_records_per_second"
	seriesTransformRate = "transform_records_per_second"
	seriesApplyRate     = "apply_calls_per_second"
	seriesSlotBytes     = "slot_lag_bytes"
	seriesSlotSeconds   = "slot_lag_seconds"
	seriesSlotRetained  = "slot_retained_bytes"
	seriesSourceRecords = "source_topics_records"
	seriesSourceSeconds = "source_topics_lag_seconds"
	seriesLive          = "apply_live_records"
	seriesBackfill      = "apply_backfill_records"
	seriesFreshnessP50  = "freshness_p50_seconds"
	seriesFreshnessP99  = "freshness_p99_seconds"
	seriesWaiting       = "entities_waiting"
	seriesInFlight      = "entities_in_flight"
	seriesParked        = "entities_parked"
)

var seriesNames = []string{
	seriesSourceRate, seriesTransformRate, seriesApplyRate, seriesSlotBytes, seriesSlotSeconds, seriesSlotRetained, seriesSourceRecords, seriesSourceSeconds, seriesLive,
	seriesBackfill, seriesFreshnessP50, seriesFreshnessP99, seriesWaiting, seriesInFlight, seriesParked,
}

// Series keeps samples of the last hour in memory, for the plots of the page. It is
// bounded: 361 samples of a dozen numbers (invariant 9).
type Series struct {
	instance func() string
	collect  Collect
	metrics  prometheus.Gatherer
	now      func() time.Time

	last counters // of the sample before; used by Run only
	mu   struct {
		sync.Mutex
		recent []counters // of the last seconds, as somebody looked
		times  []int64
		values map[string][]number
	}
}

// NewSeries makes the samples of an instance. collect is asked once per sample.
func NewSeries(instance func() string, collect Collect, metrics prometheus.Gatherer) *Series {
	s := &Series{instance: instance, collect: collect, metrics: metrics, now: time.Now}
	s.mu.values = make(map[string][]number, len(seriesNames))
	return s
}

// Run samples until stopping is closed or ctx ends: the body of a stage.
func (s *Series) Run(ctx context.Context, stopping <-chan struct{}) error {
	s.last = gather(s.metrics, s.now())
	for {
		now := s.now()
		timer := time.NewTimer(now.Truncate(seriesEvery).Add(seriesEvery).Sub(now))
		select {
		case <-stopping:
			timer.Stop()
			return nil
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
			s.sample(ctx)
		}
	}
}

// sample takes one. What cannot be read is absent from it, never zero.
func (s *Series) sample(ctx context.Context) {
	at := s.now()
	current := gather(s.metrics, at)
	values := make(map[string]float64, len(seriesNames))
	current.since(s.last, values)
	s.last = current
	fromStatus(s.collect(ctx), values)
	s.add(at.Truncate(seriesEvery).Unix(), values)
}

func (s *Series) add(at int64, values map[string]float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.mu.times); n > 0 && s.mu.times[n-1] >= at {
		return // the clock was set back, or a sample took longer than its interval
	}
	s.mu.times = append(s.mu.times, at)
	drop := 0
	for s.mu.times[drop] < at-int64(seriesKept/time.Second) {
		drop++
	}
	s.mu.times = s.mu.times[drop:]
	for _, name := range seriesNames {
		v, ok := values[name]
		if !ok {
			v = math.NaN()
		}
		s.mu.values[name] = append(s.mu.values[name], number(v))[drop:]
	}
}

// fromStatus takes what is known of the whole pipeline.
func fromStatus(st Status, values map[string]float64) {
	if st.Source != nil && st.Source.WALStatus != "" {
		values[seriesSlotBytes], values[seriesSlotRetained] = float64(st.Source.SlotLagBytes), float64(st.Source.RetainedBytes)
		if st.Source.SlotLagSeconds != nil {
			values[seriesSlotSeconds] = *st.Source.SlotLagSeconds
		}
	}
	for _, l := range st.Lag {
		name := seriesSourceRecords
		switch {
		case strings.HasSuffix(l.Topic, ".apply.live"):
			name = seriesLive
		case strings.HasSuffix(l.Topic, ".apply.backfill"):
			name = seriesBackfill
		case strings.HasSuffix(l.Topic, ".checkpoints"):
			continue // one record per Kafka transaction: not what anybody waits for
		}
		values[name] += float64(l.Records)
		if name == seriesSourceRecords && l.Seconds != nil { // the oldest of all topics
			values[seriesSourceSeconds] = max(values[seriesSourceSeconds], *l.Seconds)
		}
	}
	if st.Entities.Counts != nil {
		values[seriesWaiting] = float64(st.Entities.Waiting())
		values[seriesInFlight] = float64(st.Entities.InFlight)
		values[seriesParked] = float64(st.Entities.Total(consumers.Parked) + st.Entities.Total(consumers.Blocked))
	}
}

// SeriesAnswer is the answer of GET /series: columns of equal length.
type SeriesAnswer struct {
	Instance     string  `json:"instance"`
	EverySeconds float64 `json:"every_seconds"`
	// Time in seconds since 1970.
	Time []int64 `json:"time"`
	// Values by series; null where nothing could be read.
	Values map[string][]number `json:"values"`
	// Live are the rates of the last seconds.
	Live map[string]number `json:"live"`
}

// after returns the samples later than since, in seconds since 1970.
func (s *Series) after(since int64) SeriesAnswer {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := 0
	for first < len(s.mu.times) && s.mu.times[first] <= since {
		first++
	}
	a := SeriesAnswer{
		Instance: s.instance(), EverySeconds: seriesEvery.Seconds(),
		Time: append([]int64{}, s.mu.times[first:]...), Values: make(map[string][]number, len(seriesNames)),
	}
	for _, name := range seriesNames {
		if all := s.mu.values[name]; len(all) > 0 {
			a.Values[name] = append([]number{}, all[first:]...)
		}
	}
	a.Live = s.live()
	return a
}

// live is the rates since the reading about 5 s ago; the caller holds the lock.
func (s *Series) live() map[string]number {
	now := s.now()
	if n := len(s.mu.recent); n == 0 || now.Sub(s.mu.recent[n-1].at) >= time.Second {
		s.mu.recent = append(s.mu.recent, gather(s.metrics, now))
	}
	for len(s.mu.recent) > 2 && now.Sub(s.mu.recent[1].at) >= 5*time.Second {
		s.mu.recent = s.mu.recent[1:]
	}
	values := make(map[string]float64)
	s.mu.recent[len(s.mu.recent)-1].since(s.mu.recent[0], values)
	rates := make(map[string]number, len(values))
	for _, name := range []string{seriesSourceRate, seriesTransformRate, seriesApplyRate} {
		if v, ok := values[name]; ok {
			rates[name] = number(v)
		}
	}
	return rates
}

// number is a float64 that is null in JSON when there is none.
type number float64

// MarshalJSON writes four significant digits: more cannot be seen in a plot.
func (n number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, float64(n), 'g', 4, 64), nil
}

// UnmarshalJSON reads null as no number.
func (n *number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = number(math.NaN())
		return nil
	}
	v, err := strconv.ParseFloat(string(b), 64)
	*n = number(v)
	return err
}
