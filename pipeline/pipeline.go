package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backstitch/backstitch/consumers/apply"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/pipeline/telemetry"
	"github.com/backstitch/backstitch/producers/capture"
	"github.com/backstitch/backstitch/schemas"
)

// Options of a pipeline.
type Options struct {
	Logger *slog.Logger
	// AcceptMapping is a person's consent to another mapping or policy (hazard C23).
	AcceptMapping bool
	// Metrics; nil: a registry of its own.
	Metrics *prometheus.Registry
}

// Pipeline is the three connectors of one configuration in one process.
type Pipeline struct {
	cfg       *config.Config
	clients   *Clients
	log       *slog.Logger
	metrics   *prometheus.Registry
	pool      *pgxpool.Pool
	source    *capture.Source
	transform *transform.Transform
	apply     *apply.Apply
	admin     *admin.Server
	calls     rate // of API calls
}

// stager is what the pipeline needs of a connector.
type stager interface {
	Start(ctx context.Context)
	Stop(ctx context.Context) error
	Done() <-chan struct{}
	Err() error
}

// New connects to the ledger, checks that it belongs to what the configuration
// names, compiles the mapping and wires the connectors. Nothing runs yet.
func New(ctx context.Context, cfg *config.Config, o Options) (*Pipeline, error) {
	clients, err := NewClients(cfg)
	if err != nil {
		return nil, err
	}
	if o.Metrics == nil {
		o.Metrics = telemetry.Registry()
	}
	p := &Pipeline{cfg: cfg, clients: clients, log: o.Logger, metrics: o.Metrics}
	if err := p.openLedger(ctx, o.AcceptMapping); err != nil {
		return nil, err
	}
	plan, err := compile(ctx, cfg, clients)
	if err == nil && cfg.Kafka.Topics.Create {
		err = clients.ensureApplyTopics(ctx, cfg)
	}
	if err != nil {
		p.pool.Close()
		return nil, err
	}
	p.source = newSource(cfg, clients, o.Logger, o.Metrics)
	p.transform = newTransform(cfg, clients, p.pool, plan, o.Logger, o.Metrics)
	if p.apply, err = newApply(cfg, clients, p.pool, o.Logger, o.Metrics); err != nil {
		p.pool.Close()
		return nil, err
	}
	return p, nil
}

// openLedger migrates the ledger and compares its identity with the servers that
// the configuration reaches.
func (p *Pipeline) openLedger(ctx context.Context, accept bool) error {
	if err := ledger.Migrate(ctx, p.cfg.Ledger.Reveal()); err != nil {
		return err
	}
	pool, err := ledger.Open(ctx, p.cfg.Ledger.Reveal(), p.cfg.Name)
	if err != nil {
		return err
	}
	identity, err := p.clients.identity(ctx, p.cfg)
	if err == nil {
		err = ledger.CheckIdentity(ctx, pool, identity)
	}
	var digest *ledger.DigestError
	if errors.As(err, &digest) {
		if err = stage.Hold("Run with --accept-mapping to evaluate everything again with the new one; deletes among the differences will wait for `backstitch approve`",
			"the mapping or the policies changed: the ledger accepted digest %.12s, this file has %.12s", digest.Accepted, digest.Offered); accept {
			err = ledger.Accept(ctx, pool, identity.Digest)
		}
	}
	if err != nil {
		pool.Close()
		return err
	}
	p.pool = pool
	return nil
}

// compile learns from the source what the mappings read.
func compile(ctx context.Context, cfg *config.Config, c *Clients) (*transform.Plan, error) {
	conn, err := c.ConnectSource(ctx, cfg.Name+"-check")
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	return transform.Compile(ctx, conn, cfg.Source.Tables, cfg.Mappings())
}

// Start runs the connectors and the admin server. ctx bounds their whole life:
// cancel it only after Stop.
func (p *Pipeline) Start(ctx context.Context) error {
	server, err := admin.Serve(p.cfg.Admin.Listen, p.Status, p.metrics)
	if err != nil {
		return err
	}
	p.admin = server
	for _, s := range p.connectors() {
		s.Start(ctx)
	}
	return nil
}

// AdminURL is where the status page is.
func (p *Pipeline) AdminURL() string { return "http://" + p.admin.Addr() }

// Stop drains the connectors, the source first, so that what it read is committed
// before the others finish what they hold. When ctx ends they are cancelled.
func (p *Pipeline) Stop(ctx context.Context) error {
	var errs []error
	for _, s := range p.connectors() {
		errs = append(errs, s.Stop(ctx))
	}
	if p.admin != nil {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := p.admin.Stop(stop); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			errs = append(errs, err)
		}
	}
	p.clients.Stytch.Close()
	p.pool.Close()
	return errors.Join(errs...)
}

// Heartbeat writes a transaction of our own into the source and returns its LSN:
// what is caught up to it holds everything that was committed before (hazard A19).
func (p *Pipeline) Heartbeat(ctx context.Context) (schemas.LSN, error) {
	conn, err := p.clients.ConnectSource(ctx, p.cfg.Name+"-heartbeat")
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	return capture.Heartbeat(ctx, conn)
}

// CaughtUp says how far everything committed up to lsn is.
func (p *Pipeline) CaughtUp(ctx context.Context, lsn schemas.LSN) (ledger.Progress, error) {
	return ledger.CaughtUp(ctx, p.pool, lsn)
}

// Ledger is the pool of ledger sessions, for reports.
func (p *Pipeline) Ledger() *pgxpool.Pool { return p.pool }
