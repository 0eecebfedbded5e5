package pipeline

import (
	"context"

	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/pipeline/preflight"
	"github.com/backstitch/backstitch/producers/capture"
	"github.com/backstitch/backstitch/schemas"
)

// Teardown drops slot and publication and lists what it leaves: topics, the apply
// lanes' too, and subjects.
func Teardown(ctx context.Context, cfg *config.Config) (*capture.TeardownReport, error) {
	clients, err := NewClients(cfg)
	if err != nil {
		return nil, err
	}
	report, err := capture.Teardown(ctx, sourceConfig(cfg), capture.Deps{Source: clients.Source, Kafka: clients.Kafka, Registry: clients.Registry})
	if err != nil {
		return nil, clients.Explain(preflight.WireSource, err)
	}
	if cfg.Kafka.Embedded {
		report.Topics, report.Subjects = nil, nil // ended with their process, and in the ledger
		return report, nil
	}
	prefix := cfg.Kafka.Topics.Prefix
	report.Topics = append(report.Topics, schemas.ApplyTopic(prefix, schemas.LaneLive), schemas.ApplyTopic(prefix, schemas.LaneBackfill))
	return report, nil
}
