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
	owner     prometheus.Gauge
	committed prometheus.Gauge

	lag        prometheus.Gauge
	lagSeconds prometheus.Gauge
	retained   prometheus.Gauge
	safe       prometheus.Gauge
	left       prometheus.Gauge
	growth     prometheus.Gauge
	overLimit  prometheus.Gauge
	lost       prometheus.Gauge
	silent     prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "backstitch", Subsystem: "source", Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "backstitch", Subsystem: "source", Name: name, Help: help})
	}
	m := &metrics{
		restarts:   counter("restarts_total", "Sessions that ended with an error and were started again from the last checkpoint."),
		changes:    counter("changes_total", "Row changes taken from the stream."),
		skipped:    counter("skipped_changes_total", "Row changes that the last checkpoint had already."),
		reads:      counter("backfill_rows_total", "Rows read by backfills."),
		pauses:     counter("backfill_pauses_total", "Pauses of the stream for a backfill."),
		paused:     counter("backfill_paused_seconds_total", "Time that the stream was paused for backfills."),
		owner:      gauge("owner", "1 where this instance owns the source, 0 where it does not."),
		lag:        gauge("slot_lag_bytes", "How far the slot's confirmed position is behind the server's write-ahead log."),
		retained:   gauge("slot_retained_bytes", "How much write-ahead log the server keeps for the slot."),
		lagSeconds: gauge("slot_lag_seconds", "Age of the slot's position: 0 when everything is in Kafka, NaN when this instance does not know."),
		safe:       gauge("slot_safe_bytes", "How much more log may be written before the server gives the slot up; +Inf without max_slot_wal_keep_size."),
		left:       gauge("slot_remaining_seconds", "How long until the slot retains more than it may, or is given up by the server, if its position does not move; +Inf without a limit."),
		growth:     gauge("slot_growth_bytes_per_second", "How fast the server's write-ahead log grows, over the last minute."),
		overLimit:  gauge("slot_over_limit", "1 while the slot retains more than source.slot.max_retained."),
		lost:       gauge("slot_lost", "1 when the server has given the slot up: it kept more log than max_slot_wal_keep_size."),
		silent:     gauge("kafka_silent_seconds", "How long Kafka has not answered an instance that owns the source or would; 0 while it does."),
		committed:  gauge("last_commit_timestamp_seconds", "Commit time at the source of the last change that is committed in Kafka."),
	}
	if r != nil {
		r.MustRegister(m.restarts, m.changes, m.skipped, m.reads, m.pauses, m.paused, m.owner, m.committed,
			m.lag, m.lagSeconds, m.retained, m.safe, m.left, m.growth, m.overLimit, m.lost, m.silent)
	}
	return m
}
