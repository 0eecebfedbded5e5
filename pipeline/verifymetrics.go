package pipeline

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/verify"
)

var (
	verifyEntitiesDesc = prometheus.NewDesc("backstitch_verify_entities", "Entities by class, of the verification that ended last.", []string{"class"}, nil)
	verifyFinishedDesc = prometheus.NewDesc("backstitch_verify_finished_timestamp_seconds", "When the last verification ended, in seconds since 1970; 0 before the first.", nil, nil)
)

// verifyMetrics are of the verification that ended last, whoever made it: the same
// from every instance. It is one row; nothing is shown while the ledger does not answer.
type verifyMetrics struct{ pool *pgxpool.Pool }

func newVerifyMetrics(pool *pgxpool.Pool) *verifyMetrics { return &verifyMetrics{pool} }

// Describe implements prometheus.Collector.
func (m *verifyMetrics) Describe(out chan<- *prometheus.Desc) {
	out <- verifyEntitiesDesc
	out <- verifyFinishedDesc
}

// Collect implements prometheus.Collector.
func (m *verifyMetrics) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), clusterTimeout)
	defer cancel()
	last, err := ledger.LastVerification(ctx, m.pool)
	if err != nil {
		return
	}
	if last == nil {
		last = &ledger.VerificationRow{}
	}
	for _, c := range verify.Classes {
		out <- prometheus.MustNewConstMetric(verifyEntitiesDesc, prometheus.GaugeValue, float64(last.Classes[string(c)]), string(c))
	}
	finished := 0.0
	if last.Finished != nil {
		finished = float64(last.Finished.UnixMilli()) / 1000
	}
	out <- prometheus.MustNewConstMetric(verifyFinishedDesc, prometheus.GaugeValue, finished)
}
