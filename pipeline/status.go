package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/producers/capture"
	"github.com/backstitch/backstitch/schemas"
)

// statusTimeout bounds each part of a report: what does not answer is named in it.
const statusTimeout = 5 * time.Second

// Observe reads the status of a pipeline from its ledger, its topics and its
// source, in whatever process it runs. What cannot be read stands in Problems.
func Observe(ctx context.Context, cfg *config.Config, c *Clients, pool *pgxpool.Pool) admin.Status {
	s := admin.Status{
		Name: cfg.Name, Time: time.Now().UTC(),
		Connectors: []admin.Connector{
			{Name: cfg.Name + "-source", State: taskUnassigned},
			{Name: cfg.Name + "-transform", State: taskUnassigned},
			{Name: cfg.Name + "-apply", State: taskUnassigned},
		},
		Backfill: []admin.Table{}, Transform: admin.Transform{Audits: []admin.Audit{}}, Lag: []admin.Lag{}, Consents: []ledger.Consent{},
	}
	for _, part := range []struct {
		name string
		read func(context.Context, *admin.Status) error
	}{
		{"checkpoint", func(ctx context.Context, s *admin.Status) error { return readCheckpoint(ctx, cfg, c, s) }},
		{"slot", func(ctx context.Context, s *admin.Status) error { return readSlot(ctx, cfg, c, s) }},
		{"cluster", func(ctx context.Context, s *admin.Status) error { return readCluster(ctx, pool, s) }},
		{"ledger", func(ctx context.Context, s *admin.Status) error { return readLedger(ctx, pool, s) }},
		{"lag", func(ctx context.Context, s *admin.Status) error { return readLag(ctx, cfg, c, s) }},
	} {
		ctx, cancel := context.WithTimeout(ctx, statusTimeout)
		if err := part.read(ctx, &s); err != nil {
			s.Problems = append(s.Problems, fmt.Sprintf("%s: %v", part.name, err))
		}
		cancel()
	}
	return s
}

func readCheckpoint(ctx context.Context, cfg *config.Config, c *Clients, s *admin.Status) error {
	checkpoint, err := capture.LastCheckpoint(ctx, c.Kafka, cfg.Kafka.Topics.Prefix)
	if err == nil && checkpoint != nil {
		s.FromCheckpoint(checkpoint)
	}
	return err
}

func readSlot(ctx context.Context, cfg *config.Config, c *Clients, s *admin.Status) error {
	conn, err := c.ConnectSource(ctx, cfg.Name+"-status")
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	slot := s.Source
	if slot == nil {
		slot = &admin.Source{}
	}
	report, err := capture.SlotLeft(ctx, conn, cfg.Source.Slot)
	if err != nil || !report.Exists {
		return err
	}
	slot.SlotActive, slot.WALStatus, slot.RetainedBytes = report.Active, report.WALStatus, report.RetainedBytes
	if report.ConfirmedLSN != 0 {
		slot.ConfirmedLSN = report.ConfirmedLSN.String()
	}
	s.Source = slot
	return nil
}

// readCluster says what the instances report of their tasks.
func readCluster(ctx context.Context, pool *pgxpool.Pool, s *admin.Status) error {
	c, err := ledger.ReadCluster(ctx, pool)
	if err != nil {
		return err
	}
	s.Instances = c.Instances
	for i := range s.Connectors {
		show(&s.Connectors[i], c)
	}
	return nil
}

// show is a connector's state out of its tasks': the worst of them, so that one
// failed partition is seen.
func show(connector *admin.Connector, c ledger.Cluster) {
	for _, t := range c.Tasks {
		if t.Connector == connector.Name {
			connector.Tasks = append(connector.Tasks, t)
		}
	}
	if target := c.Targets[connector.Name].State; target == ledger.TargetPaused || target == ledger.TargetStopped {
		connector.State = string(target)
		return
	}
	worst := 0
	for _, t := range connector.Tasks {
		if rank := slices.Index([]string{taskUnassigned, taskRunning, taskRestarting, taskFailed}, t.State); rank > worst {
			worst = rank
			connector.State, connector.Trace, connector.Held, connector.Worker, connector.Since = t.State, t.Trace, t.Held, t.Instance, &t.Since
		}
	}
}

func readLedger(ctx context.Context, pool *pgxpool.Pool, s *admin.Status) (err error) {
	if s.Entities, err = ledger.Summarize(ctx, pool); err != nil {
		return err
	}
	consents, err := ledger.List(ctx, pool, false)
	if err != nil {
		return err
	}
	for _, c := range consents {
		if !c.Approved() {
			s.Consents = append(s.Consents, c)
		}
	}
	passes, err := transform.Passes(ctx, pool)
	if err != nil {
		return err
	}
	for _, p := range passes {
		s.Transform.Audits = append(s.Transform.Audits, admin.Audit{
			Cause: p.Cause, CommitLSN: p.CommitLSN.String(), Entities: p.Entities, Changed: p.Changed, Missed: p.Missed,
			Suspects: p.Suspects, NullKeys: p.NullKeys, StartedAt: p.StartedAt, EndedAt: p.EndedAt,
		})
	}
	var commit int64
	err = pool.QueryRow(ctx, `SELECT phase, coalesce(evaluated_commit_lsn, 0) FROM backstitch.transform LIMIT 1`).Scan(&s.Transform.Phase, &commit)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if commit > 0 {
		s.Transform.EvaluatedLSN = schemas.LSN(commit).String()
	}
	return redact.SQLError(err)
}

// readLag counts to the last stable offset: what a read_committed consumer can see.
func readLag(ctx context.Context, cfg *config.Config, c *Clients, s *admin.Status) error {
	client, err := kgo.NewClient(c.Kafka...)
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	prefix := cfg.Kafka.Topics.Prefix
	var sources []string
	for _, t := range cfg.Source.Tables {
		sources = append(sources, schemas.DataTopic(prefix, t))
	}
	sources = append(sources, schemas.CheckpointsTopic(prefix))
	lanes := []string{schemas.ApplyTopic(prefix, schemas.LaneLive), schemas.ApplyTopic(prefix, schemas.LaneBackfill)}
	ends, err := adm.ListCommittedOffsets(ctx, append(sources, lanes...)...)
	if err != nil {
		return err
	}
	for _, g := range []struct {
		group  string
		topics []string
	}{{cfg.Name + "-transform", sources}, {cfg.Name + "-apply", lanes}} {
		offsets, err := adm.FetchOffsets(ctx, g.group)
		if err != nil {
			return err
		}
		for _, topic := range g.topics {
			s.Lag = append(s.Lag, admin.Lag{Group: g.group, Topic: topic, Records: lagOf(ends[topic], offsets[topic])})
		}
	}
	return nil
}

func lagOf(ends map[int32]kadm.ListedOffset, offsets map[int32]kadm.OffsetResponse) (lag int64) {
	for partition, end := range ends {
		at := int64(0)
		if o, ok := offsets[partition]; ok && o.Err == nil {
			at = max(o.At, 0)
		}
		lag += max(end.Offset-at, 0)
	}
	return lag
}
