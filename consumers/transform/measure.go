package transform

import (
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/prometheus/client_golang/prometheus"
)

// evaluationMetrics are the counts of the way from touched keys to wake-ups.
type evaluationMetrics struct {
	judged    *prometheus.CounterVec
	changed   *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	parked    *prometheus.CounterVec
	nullKeys  *prometheus.GaugeVec
	unlisted  prometheus.Counter
	missed    *prometheus.CounterVec
	repaired  *prometheus.CounterVec
	audits    *prometheus.CounterVec
	announced *prometheus.CounterVec
}

// newEvaluationMetrics registers them, every label set initialised.
func newEvaluationMetrics(r prometheus.Registerer) *evaluationMetrics {
	kind := []string{"kind"}
	m := &evaluationMetrics{
		judged: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backstitch_transform_keys_evaluated_total",
			Help: "Touched keys and entities of passes that the mapping was evaluated for.",
		}, kind),
		changed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backstitch_transform_entities_changed_total",
			Help: "Entities whose desired state changed.",
		}, kind),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "backstitch_transform_evaluation_seconds",
			Help: "Time of one evaluation transaction.", Buckets: prometheus.ExponentialBuckets(0.002, 2.5, 10),
		}, kind),
		parked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backstitch_transform_entities_parked_total",
			Help: "Entities parked because their row cannot be evaluated or their key has two rows.",
		}, kind),
		nullKeys: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "backstitch_transform_null_keys",
			Help: "Rows of the mapping without a whole key, at the last pass.",
		}, kind),
		unlisted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backstitch_transform_unlisted_failures_total",
			Help: "Touched values whose rows cannot be evaluated, not even for their keys.",
		}),
		missed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backstitch_transform_route_misses_total",
			Help: "Entities that an audit found different although no route had touched them.",
		}, kind),
		repaired: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backstitch_transform_pass_differences_total",
			Help: "Entities that audits and sweeps found different and had evaluated again.",
		}, []string{"kind", "cause"}),
		audits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backstitch_transform_audits_total",
			Help: "Audits and sweeps that ended.",
		}, []string{"cause", "result"}),
		announced: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backstitch_transform_wakes_published_total",
			Help: "Wake-ups published.",
		}, []string{"lane"}),
	}
	for _, k := range []consumers.Kind{consumers.Organization, consumers.Member} {
		m.judged.WithLabelValues(string(k))
		m.changed.WithLabelValues(string(k))
		m.seconds.WithLabelValues(string(k))
		m.parked.WithLabelValues(string(k))
		m.nullKeys.WithLabelValues(string(k))
		m.missed.WithLabelValues(string(k))
		for _, cause := range []string{causeAudit, causeSweep} {
			m.repaired.WithLabelValues(string(k), cause)
		}
	}
	for _, cause := range []string{causeAudit, causeSweep} {
		m.audits.WithLabelValues(cause, "done")
		m.audits.WithLabelValues(cause, "failed")
	}
	m.announced.WithLabelValues("live")
	m.announced.WithLabelValues("backfill")
	if r != nil {
		r.MustRegister(m.judged, m.changed, m.seconds, m.parked, m.nullKeys, m.unlisted, m.missed, m.repaired, m.audits, m.announced)
	}
	return m
}

func (m *evaluationMetrics) evaluated(kind consumers.Kind, judged, changed int64, took time.Duration) {
	m.judged.WithLabelValues(string(kind)).Add(float64(judged))
	m.changed.WithLabelValues(string(kind)).Add(float64(changed))
	if judged > 0 {
		m.seconds.WithLabelValues(string(kind)).Observe(took.Seconds())
	}
}
