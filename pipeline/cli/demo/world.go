package demo

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/backstitch/backstitch/pipeline/sandbox/kafka"
	"github.com/backstitch/backstitch/pipeline/sandbox/postgres"
	"github.com/backstitch/backstitch/pipeline/sandbox/registry"
	"github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// Credentials of the demo's simulated project.
const (
	projectID = "project-test-0d3e0000-0000-4000-8000-000000000000"
	secret    = "secret-test-demo"
)

// world is everything outside of the pipeline: a PostgreSQL with the legacy system
// and the ledger, a broker, a registry and Stytch.
type world struct {
	dir            string
	legacy, ledger string
	broker         string
	registry       string
	stytch         string
	simulator      *stytch.Simulator
	stops          []func() error
}

func startWorld(ctx context.Context, d *demo) (*world, error) {
	w := &world{}
	if err := w.start(ctx, d); err != nil {
		return nil, errors.Join(err, w.stop())
	}
	return w, nil
}

func (w *world) start(ctx context.Context, d *demo) (err error) {
	if w.dir, err = os.MkdirTemp("", "backstitch-demo-"); err != nil {
		return err
	}
	w.stops = append(w.stops, func() error { return os.RemoveAll(w.dir) })
	if err := w.startPostgres(ctx, d); err != nil {
		return err
	}
	if err := w.startKafka(d); err != nil {
		return err
	}
	return w.startStytch(ctx, d)
}

func (w *world) stop() error {
	var errs []error
	for _, stop := range slices.Backward(w.stops) {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}

func (w *world) startPostgres(ctx context.Context, d *demo) error {
	binaries, err := postgres.Ensure(ctx, d.Out)
	if err != nil {
		return err
	}
	server, err := postgres.Start(ctx, postgres.Options{Binaries: binaries})
	if err != nil {
		return err
	}
	w.stops = append(w.stops, server.Stop)
	if w.legacy, err = server.CreateDatabase(ctx, "legacy"); err != nil {
		return err
	}
	if w.ledger, err = server.CreateDatabase(ctx, "ledger"); err != nil {
		return err
	}
	d.say("• PostgreSQL %d: the legacy database and, beside it, the ledger", binaries.Major)
	return nil
}

func (w *world) startKafka(d *demo) error {
	broker, err := kafka.Start("127.0.0.1:0")
	if err != nil {
		return err
	}
	w.stops = append(w.stops, func() error { broker.Stop(); return nil })
	w.broker = broker.Addrs()[0]
	reg, err := registry.Start("127.0.0.1:0")
	if err != nil {
		return err
	}
	w.stops = append(w.stops, reg.Stop)
	w.registry = reg.URL()
	d.say("• an embedded Kafka broker and schema registry. %s", kafka.Warning)
	return nil
}

func (w *world) startStytch(ctx context.Context, d *demo) error {
	w.simulator = stytch.New(stytch.Options{
		ProjectID: projectID, Secret: secret, RateLimit: d.RateLimit, SearchLimit: -1, Roles: []string{"owner", "admin", "member"},
	})
	addr, stop, err := stytch.Serve(context.WithoutCancel(ctx), "127.0.0.1:0", w.simulator)
	if err != nil {
		return err
	}
	w.stops = append(w.stops, func() error { stop(); return nil })
	w.stytch = "http://" + addr.String()
	d.say("• the Stytch simulator, %d requests/s per endpoint", d.RateLimit)
	return nil
}
