package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/httpserver"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/pipeline/preflight"
	"github.com/backstitch/backstitch/pipeline/registry"
)

// embeddedCluster is what the ledger's identity has in the place of a Kafka cluster's id.
const embeddedCluster = "embedded"

// errNoBroker is what any other process gets that dials the embedded broker.
var errNoBroker = errors.New("the embedded broker is within the process of `backstitch run --until-caught-up`, and ends with it")

// Broker is a Kafka broker within this process.
type Broker struct {
	Addrs          []string
	User, Password string // SASL PLAIN
}

// Embedded is what a run with kafka: embedded has in the place of servers: the place
// of the only process, and the registry.
type Embedded struct {
	sole     *ledger.Sole
	pool     *pgxpool.Pool
	registry *httpserver.Server
}

// Embed takes the place of the one process that runs this pipeline, serves the registry
// out of the ledger, and has cfg name them and the broker. lost is called when another
// process may have taken the place: this one must end then.
func Embed(ctx context.Context, cfg *config.Config, b Broker, log *slog.Logger, lost func(error)) (*Embedded, error) {
	explain := func(err error) error { return (&Clients{cfg: cfg}).Explain(preflight.WireLedger, err) }
	if err := ledger.Migrate(ctx, cfg.Ledger.Reveal()); err != nil {
		return nil, explain(err)
	}
	e := &Embedded{}
	var err error
	if e.sole, err = ledger.TakeSole(ctx, cfg.Ledger.Reveal(), soleName(cfg.Name), lost); err != nil {
		return nil, explain(err)
	}
	if e.pool, err = ledger.Open(ctx, cfg.Ledger.Reveal(), cfg.Name+"-registry"); err != nil {
		e.Close()
		return nil, explain(err)
	}
	if e.registry, err = registry.Start(cfg.Kafka.RegistryListen, e.pool, log); err != nil {
		e.Close()
		return nil, fmt.Errorf("%s: kafka.registry_listen: %w. Choose another port, or 0 for any free one", cfg.Where("kafka.registry_listen"), err)
	}
	cfg.Kafka.Brokers, cfg.Kafka.Registry = b.Addrs, e.registry.URL()
	cfg.Kafka.SASL = config.SASL{Mechanism: config.SASLPlain, Username: b.User, Password: config.Secret(b.Password)}
	return e, nil
}

// soleName is what another process is told of this one.
func soleName(pipeline string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	return fmt.Sprintf("backstitch %s on %.20s, process %d", pipeline, host, os.Getpid())
}

// Registry is where the registry listens.
func (e *Embedded) Registry() string { return e.registry.URL() }

// Close ends the registry and gives the place up, in this order: who comes next finds
// nothing of this process.
func (e *Embedded) Close() {
	if e.registry != nil {
		_ = e.registry.Stop() // it remembers nothing that would have to be written
	}
	if e.pool != nil {
		e.pool.Close()
	}
	e.sole.Leave()
}

// begin has the ledger ready for the empty topics of an embedded broker.
func (p *Pipeline) begin(ctx context.Context) error {
	system, err := p.clients.sourceIdentity(ctx)
	if err != nil {
		return p.clients.Explain(preflight.WireSource, err)
	}
	if system.ID == "" {
		return fmt.Errorf("%s: source.postgres cannot be reached, and with the embedded broker every run reads its tables first", p.cfg.Where("source.postgres"))
	}
	p.clients.incarnation, err = ledger.BeginIncarnation(ctx, p.pool, p.cfg.Kafka.Topics.Prefix, system.End)
	return err
}

// noTopics says why this process cannot look at topics; nil where it can.
func (c *Clients) noTopics() error {
	if c.cfg.Kafka.Embedded && len(c.cfg.Kafka.Brokers) == 0 {
		return fmt.Errorf("%w: the status page of that process shows its lag", errNoBroker)
	}
	return nil
}

// noBroker stands in for the broker in other processes than its own.
func noBroker(context.Context, string, string) (net.Conn, error) { return nil, errNoBroker }
