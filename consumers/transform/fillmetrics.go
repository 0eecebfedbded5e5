package transform

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// fillMetrics are the counts of the way from topics to mirror.
type fillMetrics struct {
	read      prometheus.Counter
	written   prometheus.Counter
	seconds   prometheus.Histogram
	backlog   prometheus.Gauge
	evaluated prometheus.Gauge
	owner     prometheus.Gauge
}

func newFillMetrics(r prometheus.Registerer) *fillMetrics {
	m := &fillMetrics{
		read: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backstitch_transform_records_read_total",
			Help: "Records of the data topics that were brought into the mirror, or found to change nothing in it.",
		}),
		written: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backstitch_transform_mirror_rows_written_total",
			Help: "Rows of the mirror that were written or deleted.",
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "backstitch_transform_fill_seconds",
			Help: "Time of one fill transaction.", Buckets: prometheus.ExponentialBuckets(0.002, 2.5, 10),
		}),
		backlog: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "backstitch_transform_backlog_records",
			Help: "How many offsets the newest checkpoint lies ahead of the mirror.",
		}),
		evaluated: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "backstitch_transform_evaluated_commit_timestamp_seconds",
			Help: "The source's commit time at the last position at which the mapping was evaluated.",
		}),
		owner: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "backstitch_transform_owner",
			Help: "1 where this instance owns the transform, 0 where it stands by.",
		}),
	}
	r.MustRegister(m.read, m.written, m.seconds, m.backlog, m.evaluated, m.owner)
	return m
}

func (m *fillMetrics) filled(done filled, took time.Duration) {
	m.read.Add(float64(done.read))
	m.written.Add(float64(done.written))
	m.seconds.Observe(took.Seconds())
}
