package publisher

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the publisher's.
type Metrics struct {
	Records       prometheus.Counter
	Bytes         prometheus.Counter
	Commits       prometheus.Counter
	Failures      prometheus.Counter
	CommitSeconds prometheus.Histogram
}

// NewMetrics makes and registers them; a nil registerer registers nothing.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "backstitch", Subsystem: "publisher", Name: name, Help: help})
	}
	m := &Metrics{
		Records:  counter("records_total", "Records committed to data topics, tombstones included."),
		Bytes:    counter("record_bytes_total", "Bytes of keys and values committed to data topics, uncompressed."),
		Commits:  counter("commits_total", "Kafka transactions committed."),
		Failures: counter("failures_total", "Kafka transactions that failed or whose outcome is not known."),
		CommitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "backstitch", Subsystem: "publisher", Name: "commit_seconds",
			Help:    "Time of a Kafka transaction from begin to commit.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2, 14),
		}),
	}
	if r != nil {
		r.MustRegister(m.Records, m.Bytes, m.Commits, m.Failures, m.CommitSeconds)
	}
	return m
}
