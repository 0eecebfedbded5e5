package rehearse

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/pipeline/rehearsal"
	"github.com/backstitch/backstitch/pipeline/rehearsal/report"
	"github.com/backstitch/backstitch/pipeline/sandbox/kafka"
	"github.com/backstitch/backstitch/pipeline/sandbox/postgres"
	"github.com/backstitch/backstitch/pipeline/sandbox/process"
	"github.com/backstitch/backstitch/pipeline/sandbox/registry"
	"github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// stytchLimit is the simulator's for each endpoint, in requests a second: Stytch's of
// passwords/migrate, and what its support tells of the others.
const stytchLimit = 100

// world is what a rehearsal writes to.
type world struct {
	rehearsal.StandIns
	simulator *stytch.Simulator
	clock     *rehearsal.Clock
	stops     []func() error
}

func startWorld(ctx context.Context, o *Options, roles *rehearsal.Roles) (*world, error) {
	w := &world{clock: rehearsal.NewClock(time.Now())}
	err := w.startLedger(ctx, o)
	if err == nil {
		err = w.startKafka()
	}
	if err == nil {
		err = w.startStytch(ctx, o.Config, roles)
	}
	if err != nil {
		return nil, errors.Join(err, w.stop())
	}
	return w, nil
}

func (w *world) stop() error {
	var errs []error
	for _, stop := range slices.Backward(w.stops) {
		errs = append(errs, stop())
	}
	w.stops = nil
	return errors.Join(errs...)
}

// startLedger runs a server in a directory of the rehearsal's own, or takes the database
// that the person named.
func (w *world) startLedger(ctx context.Context, o *Options) error {
	if o.Ledger != "" {
		taken, err := takeLedger(ctx, o)
		if err != nil {
			return err
		}
		w.Ledger = o.Ledger
		w.stops = append(w.stops, taken.close)
		return nil
	}
	binaries, err := postgres.Find(ctx)
	if errors.Is(err, postgres.ErrNotFound) {
		return &UsageError{fmt.Errorf("the rehearsal's ledger needs a PostgreSQL server: %w on this machine. Install one (Debian: apt-get install postgresql), or set BACKSTITCH_POSTGRES_BIN to a directory with initdb and postgres, or name an empty database with --ledger", err)}
	}
	if err != nil {
		return err
	}
	user, err := process.Unprivileged("postgres", "nobody")
	if err != nil {
		return err
	}
	space, err := openWorkspace(user)
	if err != nil {
		return err
	}
	w.stops = append(w.stops, space.close)
	server, err := postgres.Start(ctx, postgres.Options{Binaries: binaries, Dir: filepath.Join(space.dir, "postgres")})
	if err != nil {
		return err
	}
	w.stops = append(w.stops, server.Stop)
	w.Ledger, err = server.CreateDatabase(ctx, "ledger")
	return err
}

func (w *world) startKafka() error {
	// Nobody else on this machine may read what the topics hold (invariant 8).
	password := rand.Text()
	broker, err := kafka.StartPrivate("rehearsal", password)
	if err != nil {
		return err
	}
	w.SASL = config.SASL{Mechanism: config.SASLPlain, Username: "rehearsal", Password: config.Secret(password)}
	w.stops = append(w.stops, func() error { broker.Stop(); return nil })
	w.Brokers = broker.Addrs()
	reg, err := registry.Start("127.0.0.1:0")
	if err != nil {
		return err
	}
	w.stops = append(w.stops, reg.Stop)
	w.Registry = reg.URL()
	return nil
}

func (w *world) startStytch(ctx context.Context, cfg *config.Config, roles *rehearsal.Roles) error {
	w.Secret = "secret-rehearsal-" + rand.Text()
	w.simulator = stytch.New(stytch.Options{
		ProjectID: cfg.Stytch.ProjectID, Secret: w.Secret,
		Roles: roles.Known, AnyRole: roles.From == report.RolesUnknown,
		RateLimit: stytchLimit, Now: w.clock.Now,
		JournalSize: 1, // its counters are what is read; a body would hold values
	})
	addr, stop, err := stytch.Serve(context.WithoutCancel(ctx), "127.0.0.1:0", w.simulator)
	if err != nil {
		return err
	}
	w.stops = append(w.stops, func() error { stop(); return nil })
	w.Stytch = "http://" + addr.String()
	return nil
}

// calls are the requests that the simulator answered.
func (w *world) calls() (list []report.Call) {
	for endpoint, byStatus := range w.simulator.Counts() {
		c := report.Call{Endpoint: endpoint.Call(), Write: endpoint.Writes()}
		if c.Endpoint == "" {
			continue
		}
		for status, n := range byStatus {
			c.Count += int64(n)
			switch {
			case status == 429:
				c.Throttled += int64(n)
			case status >= 400:
				c.Refused += int64(n)
			}
		}
		list = append(list, c)
	}
	return list
}
