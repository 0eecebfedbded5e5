package capture

import "github.com/prometheus/client_golang/prometheus"

// metrics are the source's own; the publisher has the Kafka side.
type metrics struct {
	restarts  prometheus.Counter
	changes   prometheus.Counter
	skipped   prometheus.Counter
	reads     prometheus.Counter
	pauses    prometheus.Counter
	paused    prometheus.Counter
	lag       prometheus.Gauge
	retained  prometheus.Gauge
	committed prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "backstitch", Subsystem: "source", Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "backstitch", Subsystem: "source", Name: name, Help: help})
	}
	m := &metrics{
		restarts:  counter("restarts_total", "Sessions that ended with an error and were started again from the last checkpoint."),
		changes:   counter("changes_total", "Row changes taken from the stream."),
		skipped:   counter("skipped_changes_total", "Row changes that the last checkpoint had already."),
		reads:     counter("backfill_rows_total", "Rows read by backfills."),
		pauses:    counter("backfill_pauses_total", "Pauses of the stream for a backfill."),
		paused:    counter("backfill_paused_seconds_total", "Time that the stream was paused for backfills."),
		lag:       gauge("slot_lag_bytes", "How far the slot's confirmed position is behind the server's write-ahead log."),
		retained:  gauge("slot_retained_bytes", "How much write-ahead log the server keeps for the slot."),
		committed: gauge("last_commit_timestamp_seconds", "Commit time at the source of the last change that is committed in Kafka."),
	}
	if r != nil {
		r.MustRegister(m.restarts, m.changes, m.skipped, m.reads, m.pauses, m.paused, m.lag, m.retained, m.committed)
	}
	return m
}
