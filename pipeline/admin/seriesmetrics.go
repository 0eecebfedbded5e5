package admin

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// counters is a reading of the metrics that rates are made of.
type counters struct {
	at     time.Time
	totals map[string]float64 // by series; absent: the connector has not run here
	fresh  buckets
}

// buckets counts observations at or below each bound.
type buckets map[float64]float64

// rateMetrics are the counters behind the rates, summed over their labels.
var rateMetrics = map[string]string{
	"backstitch_publisher_records_total":      seriesSourceRate,
	"backstitch_transform_records_read_total": seriesTransformRate,
	"backstitch_apply_calls_total":            seriesApplyRate,
}

// freshnessMetric is the time from the source's commit to the applied entity. Only
// its live lane tells how fresh Stytch is: backfill rows were committed long ago.
const freshnessMetric = "backstitch_apply_latency_seconds"

func gather(g prometheus.Gatherer, at time.Time) counters {
	c := counters{at: at, totals: make(map[string]float64), fresh: buckets{}}
	families, _ := g.Gather() // what could be gathered comes back beside an error
	for _, f := range families {
		series, rate := rateMetrics[f.GetName()]
		for _, m := range f.GetMetric() {
			live := false
			for _, l := range m.GetLabel() {
				live = live || l.GetName() == "lane" && l.GetValue() == "live"
			}
			switch {
			case rate:
				c.totals[series] += m.GetCounter().GetValue()
			case live && f.GetName() == freshnessMetric:
				for _, b := range m.GetHistogram().GetBucket() {
					c.fresh[b.GetUpperBound()] += float64(b.GetCumulativeCount())
				}
				c.fresh[math.Inf(1)] += float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return c
}

// since fills rates and freshness of the interval between two readings. A counter
// that went down belongs to a connector that was started anew, at zero.
func (c counters) since(before counters, values map[string]float64) {
	seconds := c.at.Sub(before.at).Seconds()
	if seconds <= 0 {
		return
	}
	for series, total := range c.totals {
		grown := total - before.totals[series]
		if grown < 0 {
			grown = total
		}
		values[series] = grown / seconds
	}
	fresh := buckets{}
	restarted := c.fresh[math.Inf(1)] < before.fresh[math.Inf(1)]
	for bound, n := range c.fresh {
		if !restarted {
			n -= before.fresh[bound]
		}
		fresh[bound] = n
	}
	if fresh[math.Inf(1)] > 0 {
		values[seriesFreshnessP50] = fresh.quantile(0.50)
		values[seriesFreshnessP99] = fresh.quantile(0.99)
	}
}

// quantile interpolates within the bucket that holds it, as Prometheus does; beyond
// the last finite bound it is that bound.
func (b buckets) quantile(q float64) float64 {
	bounds := slices.Sorted(maps.Keys(b))
	rank := q * b[math.Inf(1)]
	lower, below := 0.0, 0.0
	for _, upper := range bounds {
		if b[upper] >= rank && b[upper] > below {
			if math.IsInf(upper, 1) {
				return lower
			}
			return lower + (upper-lower)*(rank-below)/(b[upper]-below)
		}
		lower, below = upper, b[upper]
	}
	return lower
}
