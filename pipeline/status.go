package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/pipeline/lag"
	"github.com/backstitch/backstitch/schemas"
)

// statusTimeout bounds each part of a report: what does not answer is named in it.
const statusTimeout = 5 * time.Second

// Observe reads the status of a pipeline from its ledger, its topics and its
// source, in whatever process it runs. What cannot be read stands in Problems.
func Observe(ctx context.Context, cfg *config.Config, c *Clients, pool *pgxpool.Pool) (admin.Status, error) {
	reader, err := NewLagReader(cfg, c, pool)
	if err != nil {
		return admin.Status{}, err
	}
	defer reader.Close()
	return observe(ctx, cfg, pool, reader.Read(ctx)), nil
}

// observe adds to a look at the lag what else the ledger knows.
func observe(ctx context.Context, cfg *config.Config, pool *pgxpool.Pool, look lag.Report) admin.Status {
	s := admin.Status{
		Name: cfg.Name, Time: time.Now().UTC(),
		Connectors: []admin.Connector{
			{Name: cfg.Name + "-source", State: taskUnassigned},
			{Name: cfg.Name + "-transform", State: taskUnassigned},
			{Name: cfg.Name + "-apply", State: taskUnassigned},
		},
		Source: look.Source, Backfill: look.Backfill, Lag: look.Lag, Entities: look.Entities, Problems: slices.Clone(look.Problems),
		Transform: admin.Transform{Audits: []admin.Audit{}}, Consents: []ledger.Consent{},
		Apply: admin.Apply{ETASeconds: look.Entities.ETASeconds()},
	}
	for _, part := range []struct {
		name string
		read func(context.Context, *pgxpool.Pool, *admin.Status) error
	}{{"cluster", readCluster}, {"ledger", readLedger}} {
		ctx, cancel := context.WithTimeout(ctx, statusTimeout)
		if err := part.read(ctx, pool, &s); err != nil {
			s.Problems = append(s.Problems, fmt.Sprintf("%s: %v", part.name, err))
		}
		cancel()
	}
	return s
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

func readLedger(ctx context.Context, pool *pgxpool.Pool, s *admin.Status) error {
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
	if s.Transform.Mirror, err = lastMirrorAudit(ctx, pool); err != nil {
		return err
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
