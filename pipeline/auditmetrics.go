package pipeline

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backstitch/backstitch/pipeline/admin"
)

var (
	mirrorRowsDesc     = prometheus.NewDesc("backstitch_mirror_audit_rows", "Rows by what the last comparison of the mirror with the source made of them.", []string{"class"}, nil)
	mirrorFinishedDesc = prometheus.NewDesc("backstitch_mirror_audit_finished_timestamp_seconds", "When that comparison ended, in seconds since 1970; 0 before the first.", nil, nil)
)

// auditMetrics are of the comparison of the mirror that ended last, whoever made it.
// Nothing is shown while the ledger does not answer.
type auditMetrics struct{ pool *pgxpool.Pool }

// Describe implements prometheus.Collector.
func (m auditMetrics) Describe(out chan<- *prometheus.Desc) {
	out <- mirrorRowsDesc
	out <- mirrorFinishedDesc
}

// Collect implements prometheus.Collector.
func (m auditMetrics) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), clusterTimeout)
	defer cancel()
	last, err := lastMirrorAudit(ctx, m.pool)
	if err != nil {
		return
	}
	finished := 0.0
	if last == nil {
		last = &admin.MirrorAudit{}
	} else {
		finished = float64(last.EndedAt.UnixMilli()) / 1000
	}
	for class, n := range map[string]int64{
		"compared": last.Rows, "missing": last.Missing, "extra": last.Extra, "different": last.Different, "incomplete": last.Incomplete, "unsettled": last.Unsettled,
	} {
		out <- prometheus.MustNewConstMetric(mirrorRowsDesc, prometheus.GaugeValue, float64(n), class)
	}
	out <- prometheus.MustNewConstMetric(mirrorFinishedDesc, prometheus.GaugeValue, finished)
}
