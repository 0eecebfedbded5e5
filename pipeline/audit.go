package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/producers/checksum"
)

// The parts of an audit.
const (
	AuditMapping = "mapping"
	AuditMirror  = "mirror"
)

// AuditOptions are what whoever audits may choose.
type AuditOptions struct {
	By string
	// Only one part; "": both.
	Only string
	// Share of the time in which the databases are asked, above 0 up to 1; 0: all of it.
	Share float64
	// Timeout bounds each wait for a pipeline that runs; 0: 10 minutes.
	Timeout  time.Duration
	Progress func(string)
}

// AuditReport is what came of an audit. Its JSON form is a contract: fields are added
// to, never renamed or removed (docs/audit.md).
type AuditReport struct {
	Pipeline  string    `json:"pipeline"`
	By        string    `json:"by"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
	// Verdict is checksum's: clean, different, could not tell.
	Verdict string `json:"verdict"`
	// Mapping: its full evaluation compared with the ledger. Mirror: compared with the
	// source. Each is absent when only the other was asked for.
	Mapping *MappingAudit     `json:"mapping,omitempty"`
	Mirror  *MirrorComparison `json:"mirror,omitempty"`
}

// auditor is one audit in the making.
type auditor struct {
	cfg     *config.Config
	clients *Clients
	pool    *pgxpool.Pool
	o       AuditOptions
}

// Audit evaluates the whole mapping and compares it with the ledger, and compares the
// mirror with the source. It works beside a pipeline that runs, which then evaluates and
// repairs, and without one. It writes nothing into the source but heartbeats. What could
// not be told stands in the report; the error is for what makes an audit pointless, and
// ctx's.
func Audit(ctx context.Context, cfg *config.Config, c *Clients, pool *pgxpool.Pool, o AuditOptions) (*AuditReport, error) {
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Minute
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	a := &auditor{cfg: cfg, clients: c, pool: pool, o: o}
	if err := ledger.SameDigest(ctx, pool, cfg.Digest()); err != nil {
		return nil, a.another(err)
	}
	r := &AuditReport{Pipeline: cfg.Name, By: o.By, StartedAt: time.Now().UTC(), Verdict: checksum.Clean}
	var err error
	// the mirror first: evaluated over one that is wrong, the mapping carries what is wrong on
	if o.Only != AuditMapping {
		if r.Mirror, err = a.mirror(ctx); err != nil {
			return nil, err
		}
		r.add(r.Mirror.Verdict)
	}
	if o.Only != AuditMirror {
		if r.Mapping, err = a.mapping(ctx, r.Verdict == checksum.Drift); err != nil {
			return nil, err
		}
		r.add(r.Mapping.Verdict)
	}
	r.EndedAt = time.Now().UTC()
	return r, nil
}

// another explains that this file's mapping is not the one that the ledger follows.
func (a *auditor) another(err error) error {
	var d *ledger.DigestError
	if errors.As(err, &d) {
		return fmt.Errorf("an audit compares with the accepted mapping, and this file has another one (`backstitch plan` says what that would change): %w", err)
	}
	return err
}

func (r *AuditReport) add(verdict string) {
	if verdict == checksum.Drift || r.Verdict == checksum.Clean {
		r.Verdict = verdict
	}
}

// transformRuns reports whether an instance runs the transform now. While one has been
// there lately, this is asked for a while: a transform that is resumed or taken over runs
// before its instance has said so.
func (a *auditor) transformRuns(ctx context.Context) (bool, error) {
	name := a.cfg.Name + "-transform"
	for began := time.Now(); ; {
		cluster, err := ledger.ReadCluster(ctx, a.pool)
		if err != nil {
			return false, err
		}
		for _, t := range cluster.Tasks {
			if t.Connector == name && t.State == taskRunning {
				return true, nil
			}
		}
		target := cluster.Targets[name].State
		wanted := target == "" || target == ledger.TargetRunning
		if len(cluster.Instances) == 0 || !wanted || time.Since(began) > auditHandover {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(auditLook):
		}
	}
}

const (
	// auditLook is the pace of looks at the ledger while an audit waits.
	auditLook = 100 * time.Millisecond
	// auditHandover is how long a transform that should run may be said by nobody to: a
	// take-over after a freeze, and a report of it.
	auditHandover = 5 * time.Second
	// auditBeat is the pace of heartbeats of its own: on an idle source a position comes
	// with the next one only.
	auditBeat = 3 * time.Second
)

// await looks until done says so, its error is not nil, or the time-out has come, and
// then returns false. It writes heartbeats meanwhile, where the source lets it.
func (a *auditor) await(ctx context.Context, limit time.Duration, done func(context.Context) (bool, error)) (bool, error) {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	look := time.NewTicker(auditLook)
	defer look.Stop()
	var beaten time.Time
	for {
		if is, err := done(ctx); is || err != nil {
			return is, err
		}
		if time.Since(beaten) > auditBeat {
			beaten = time.Now()
			if _, err := a.clients.heartbeat(ctx, a.cfg.Name); err != nil && ctx.Err() == nil {
				a.o.Progress(fmt.Sprintf("no heartbeat could be written into the source: %v", err))
			}
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-deadline.C:
			return false, nil
		case <-look.C:
		}
	}
}
