package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backstitch/backstitch/consumers/apply"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/pipeline/lag"
	"github.com/backstitch/backstitch/pipeline/preflight"
	"github.com/backstitch/backstitch/pipeline/telemetry"
	"github.com/backstitch/backstitch/producers/capture"
	"github.com/backstitch/backstitch/schemas"
)

// Options of a pipeline.
type Options struct {
	Logger *slog.Logger
	// LogLevel of Logger, changed through the admin address; nil: it cannot be.
	LogLevel *slog.LevelVar
	// AcceptMapping is a person's consent to another mapping or policy (hazard C23).
	AcceptMapping bool
	// AcceptPlan is the id of the plan that the consent is to; "": to whatever the file
	// says. AcceptedBy is the person.
	AcceptPlan, AcceptedBy string
	// Embedded stands in for Kafka's servers; nil: they outlive this process.
	Embedded *Embedded
	// Rehearsal of a run; nil: the run itself.
	Rehearsal *Rehearsal
	// Metrics; nil: a registry of its own.
	Metrics *prometheus.Registry
}

// Pipeline is one instance of a pipeline: in one process it runs the three
// connectors of one configuration, or stands by for another instance that does.
type Pipeline struct {
	cfg        *config.Config
	clients    *Clients
	log        *slog.Logger
	logLevel   *slog.LevelVar
	metrics    *prometheus.Registry
	pool       *pgxpool.Pool
	plan       *transform.Plan
	rehearsal  *Rehearsal
	instance   ledger.Instance
	connectors []*connector // in the order of the data's way
	// The stages that were started last.
	source   atomic.Pointer[capture.Source]
	apply    atomic.Pointer[apply.Apply]
	admin    *admin.Server
	lag      *lag.Poller
	looks    *stage.Stage // of lag
	verifies *stage.Stage
	trims    *stage.Stage // of the embedded broker; nil without one
	audits   *stage.Stage
	calls    rate // of API calls
	// quit and over are of the supervisor.
	quit  context.CancelFunc
	over  sync.WaitGroup
	moved atomic.Int64 // when it took its last step, nanoseconds since 1970

	mu struct {
		sync.Mutex
		state string // of the instance
		fatal error  // what ends the run
	}
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
	p := &Pipeline{cfg: cfg, clients: clients, log: o.Logger, logLevel: o.LogLevel, rehearsal: o.Rehearsal, metrics: o.Metrics}
	p.instance = ledger.Instance{Version: Version(), Digest: cfg.Digest(), StartedAt: time.Now()}
	if err := p.openLedger(ctx, &o); err != nil {
		return nil, err
	}
	if p.plan, err = p.readPlan(ctx); err == nil && o.Embedded != nil {
		err = p.begin(ctx)
	}
	if err == nil && cfg.Kafka.Topics.Create {
		err = clients.ensureApplyTopics(ctx, cfg)
	}
	if err == nil { // what the configuration says wrongly is said at once
		_, err = newApply(cfg, clients, o.Rehearsal, p.pool, "", o.Logger, prometheus.NewRegistry())
	}
	if err != nil {
		p.pool.Close()
		return nil, err
	}
	p.connectors = []*connector{
		newConnector(cfg.Name+"-source", 1, o.Logger, p.startSource),
		newConnector(cfg.Name+"-transform", 1, o.Logger, p.startTransform),
		newConnector(cfg.Name+"-apply", cfg.Kafka.Topics.Partitions, o.Logger, p.startApply),
	}
	return p, nil
}

// openLedger migrates the ledger and compares its identity with the servers that
// the configuration reaches. With a mapping that is not the accepted one the
// instance stands by, if there is somebody to stand by for (hazard C23).
func (p *Pipeline) openLedger(ctx context.Context, o *Options) error {
	if err := ledger.Migrate(ctx, p.cfg.Ledger.Reveal()); err != nil {
		return p.clients.Explain(preflight.WireLedger, err)
	}
	pool, err := ledger.Open(ctx, p.cfg.Ledger.Reveal(), p.cfg.Name)
	if err != nil {
		return p.clients.Explain(preflight.WireLedger, err)
	}
	identity, err := p.clients.identity(ctx, p.cfg)
	if err == nil {
		err = ledger.CheckIdentity(ctx, pool, identity)
	}
	var digest *ledger.DigestError
	if errors.As(err, &digest) {
		err = p.anotherDigest(ctx, pool, digest, o)
	} else if err == nil && o.AcceptPlan != "" { // accepted already, such as by another instance
		_, err = ledger.FindPlan(ctx, pool, o.AcceptPlan, identity.Digest)
	}
	if err != nil {
		pool.Close()
		return err
	}
	p.pool = pool
	return nil
}

func (p *Pipeline) anotherDigest(ctx context.Context, pool *pgxpool.Pool, digest *ledger.DigestError, o *Options) error {
	switch {
	case o.AcceptPlan != "":
		return acceptPlan(ctx, pool, digest.Offered, o)
	case o.AcceptMapping:
		return ledger.Accept(ctx, pool, digest.Offered)
	}
	alive, err := ledger.AcceptedAlive(ctx, pool)
	if err == nil && !alive {
		err = digestHold(digest.Accepted, digest.Offered)
	}
	return err
}

// compile learns from the source what the mappings read.
func compile(ctx context.Context, cfg *config.Config, c *Clients) (*transform.Plan, error) {
	within, cancel := context.WithTimeout(ctx, sourcePatience)
	defer cancel()
	conn, err := c.ConnectSource(within, cfg.Name+"-check")
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	return transform.Compile(ctx, conn, cfg.Source.Tables, cfg.Mappings())
}

// Start serves the admin address and keeps the connectors as the cluster wants
// them. ctx bounds their whole life: cancel it only after Stop.
func (p *Pipeline) Start(ctx context.Context) error {
	secure, err := p.cfg.Admin.TLS.Config()
	if err != nil {
		return fmt.Errorf("%s: admin.tls: %w", p.cfg.Where("admin.tls"), err)
	}
	reader, err := NewLagReader(p.cfg, p.clients, p.pool)
	if err != nil {
		return err
	}
	p.lag = lag.NewPoller(reader)
	p.looks = stage.New("lag", p.lag.Run)
	p.looks.Start(ctx)
	p.admin, err = admin.Listen(admin.Options{
		Listen: p.cfg.Admin.Listen, Token: p.cfg.Admin.Token.Reveal(), TLS: secure, Version: p.instance.Version,
		Collect: p.Status, Metrics: p.gatherer(), Control: control{p}, Ledger: p.pool, Instance: func() string { return p.instance.ID }, Ready: p.ready, Live: p.live, LogLevel: p.logLevel,
		Applied: func(ctx context.Context, lsn schemas.LSN, organization string) (ledger.Progress, error) {
			return AwaitApplied(ctx, p.cfg, p.clients, p.pool, lsn, organization)
		},
	})
	if err != nil {
		return err
	}
	p.instance.ID, p.instance.URL = p.identify()
	p.admin.Serve()
	supervised, quit := context.WithCancel(ctx)
	p.quit = quit
	p.verifies = stage.New("verify", p.verifyAgain)
	p.verifies.Start(ctx)
	p.audits = stage.New("audit", p.auditAgain)
	p.audits.Start(ctx)
	if p.clients.incarnation.Number > 0 {
		p.trims = stage.New("embedded broker", p.keepSmall)
		p.trims.Start(ctx)
	}
	p.over.Go(func() { p.supervise(supervised) })
	for _, c := range p.connectors {
		go c.keep(ctx)
	}
	return nil
}

// gatherer joins the process's metrics with those of the stages that run.
func (p *Pipeline) gatherer() prometheus.Gatherers {
	cluster := prometheus.NewRegistry()
	cluster.MustRegister(newClusterMetrics(p.pool, p.connectors), p.lag, newVerifyMetrics(p.pool), auditMetrics{p.pool})
	all := prometheus.Gatherers{p.metrics, cluster}
	for _, c := range p.connectors {
		all = append(all, c)
	}
	return all
}

// identify names this instance as others know it, as Kafka Connect's worker_id: the
// address that the configuration advertises, else the host's name and the port of
// the admin address.
func (p *Pipeline) identify() (id, url string) {
	scheme, _, _ := strings.Cut(p.AdminURL(), "://")
	id = p.cfg.Admin.Advertised
	if id == "" {
		id = p.admin.Addr()
		host, err := os.Hostname()
		if _, port, err2 := net.SplitHostPort(id); err == nil && err2 == nil {
			id = net.JoinHostPort(host, port)
		}
	}
	return id, scheme + "://" + id
}

// AdminURL is where the status page is.
func (p *Pipeline) AdminURL() string { return p.admin.URL() }

// Stop drains the connectors, the source first, so that what it read is committed
// before the others finish what they hold. When ctx ends they are cancelled.
func (p *Pipeline) Stop(ctx context.Context) error {
	var errs []error
	if p.quit != nil {
		for _, c := range p.connectors {
			errs = append(errs, c.stop(ctx))
		}
		p.quit()
		p.over.Wait()
		leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := ledger.Leave(leave, p.pool, p.instance.ID); err != nil {
			p.log.WarnContext(ctx, "the ledger shows this instance for a few seconds more", "error", err)
		}
	}
	if p.admin != nil {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := p.admin.Stop(stop); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			errs = append(errs, err)
		}
	}
	for _, looker := range []*stage.Stage{p.looks, p.verifies, p.audits, p.trims} {
		if looker == nil {
			continue
		}
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		errs = append(errs, looker.Stop(stop))
		cancel()
	}
	p.clients.Stytch.Close()
	p.pool.Close()
	return errors.Join(errs...)
}

// setState says what the instance as a whole does, and returns what it did.
func (p *Pipeline) setState(state string) (before string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, p.mu.state = p.mu.state, state
	return before
}

func (p *Pipeline) state() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.state
}

// fail ends the run.
func (p *Pipeline) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.fatal = err
}

// fatal is what ends the run whatever the connectors do.
func (p *Pipeline) fatal() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.fatal
}

// Heartbeat writes a transaction of our own into the source and returns its LSN:
// what is caught up to it holds everything that was committed before (hazard A19).
func (p *Pipeline) Heartbeat(ctx context.Context) (schemas.LSN, error) {
	return p.clients.heartbeat(ctx, p.cfg.Name)
}

// CaughtUp says how far everything committed up to lsn is.
func (p *Pipeline) CaughtUp(ctx context.Context, lsn schemas.LSN) (ledger.Progress, error) {
	return ledger.CaughtUp(ctx, p.pool, lsn)
}

// Ledger is the pool of ledger sessions, for reports.
func (p *Pipeline) Ledger() *pgxpool.Pool { return p.pool }
