package demo

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/pipeline/sandbox/compare"
)

//go:embed demo.yaml.tmpl
var configTemplate string

// Options of a demo.
type Options struct {
	Size Size
	// Duration is how long people use the legacy system, at least until the backfill
	// is applied.
	Duration time.Duration
	// ChangesPerSecond that people make.
	ChangesPerSecond int
	// RateLimit of the simulator per endpoint, and Pace of the pipeline, calls per second.
	RateLimit, Pace int
	// Admin is where the status page listens.
	Admin  string
	Out    io.Writer
	Logger *slog.Logger
}

// ErrDiffers says that Stytch is not what the legacy system says.
var ErrDiffers = errors.New("the legacy system and Stytch differ")

// demo is a demo that runs.
type demo struct {
	Options
	world  *world
	legacy *Legacy
	conn   *pgx.Conn
	cfg    *config.Config
}

// Run shows a whole migration.
func Run(ctx context.Context, o Options) (err error) {
	d := &demo{Options: o}
	d.say("Backstitch demo: a legacy system moves into Stytch while people keep using it.")
	if d.world, err = startWorld(ctx, d); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.world.stop()) }()
	if err := d.seed(ctx); err != nil {
		return err
	}
	defer d.conn.Close(ctx)
	if err := d.configure(); err != nil {
		return err
	}
	if err := d.announce(ctx); err != nil {
		return err
	}
	if err := d.migrate(ctx); err != nil {
		return err
	}
	return d.replay(ctx)
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.Out, format+"\n", args...) }

func (d *demo) seed(ctx context.Context) (err error) {
	if d.conn, err = pgx.Connect(ctx, d.world.legacy); err != nil {
		return err
	}
	began := time.Now()
	if d.legacy, err = Seed(ctx, d.conn, d.Size); err != nil {
		return err
	}
	d.say("• seeded %d teams and %d users in %s", len(d.legacy.Teams), len(d.legacy.Users), time.Since(began).Round(100*time.Millisecond))
	return nil
}

// configure writes the file that a user would write, and reads it back.
func (d *demo) configure() error {
	var b bytes.Buffer
	err := template.Must(template.New("").Parse(configTemplate)).Execute(&b, map[string]any{
		"Source": d.world.legacy, "Ledger": d.world.ledger, "Broker": d.world.broker, "Registry": d.world.registry,
		"Stytch": d.world.stytch, "ProjectID": projectID, "Secret": secret, "RateLimit": d.Pace, "Admin": d.Admin,
	})
	if err != nil {
		return err
	}
	path := filepath.Join(d.world.dir, "demo.yaml")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		return err
	}
	d.cfg, err = config.Load(path)
	return err
}

// announce says beforehand what is going to happen.
func (d *demo) announce(ctx context.Context) error {
	var teams, members int
	if err := d.conn.QueryRow(ctx, `SELECT (SELECT count(*) FROM "Team"), (SELECT count(*) FROM "TeamMember")`).Scan(&teams, &members); err != nil {
		return err
	}
	calls := teams + members
	d.say("• planned: %d organizations and %d members, about %d API calls, %d s at %d calls/s, beside %d changes/s made by people",
		teams, members, calls, calls/max(1, d.Pace)+1, d.Pace, d.ChangesPerSecond)
	return nil
}

// migrate runs the pipeline and the people until both lanes are drained, and
// compares.
func (d *demo) migrate(ctx context.Context) error {
	began := time.Now()
	p, err := d.start(ctx, true)
	if err != nil {
		return err
	}
	changes, err := d.watch(ctx, p)
	if err == nil {
		d.say("• the people stopped after %d changes; caught up %s after the start", changes, time.Since(began).Round(100*time.Millisecond))
		err = d.compare(ctx, p)
	}
	return errors.Join(err, d.stop(ctx, p))
}

func (d *demo) start(ctx context.Context, first bool) (*pipeline.Pipeline, error) {
	p, err := pipeline.New(ctx, d.cfg, pipeline.Options{Logger: d.Logger})
	if err != nil {
		return nil, err
	}
	if err := p.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, errors.Join(err, d.stop(ctx, p))
	}
	if first {
		d.say("• status page: %s", p.AdminURL())
	}
	return p, nil
}

func (d *demo) stop(ctx context.Context, p *pipeline.Pipeline) error {
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return p.Stop(drain)
}

// watch shows progress while people work, then stops them and waits until
// everything that they did is applied.
func (d *demo) watch(ctx context.Context, p *pipeline.Pipeline) (int64, error) {
	pool, err := pgxpool.New(ctx, d.world.legacy)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	people := NewWorkload(pool, d.legacy, d.Size.Seed, d.ChangesPerSecond)
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- people.Run(ctx, stop) }()
	shown := newDisplay(d.Out)
	err = d.follow(ctx, p, shown, people, ended)
	close(stop)
	if err != nil {
		return 0, err
	}
	if err := <-ended; err != nil {
		return 0, err
	}
	lsn, err := p.WaitHeartbeat(ctx)
	if err != nil {
		return 0, err
	}
	return people.Done(), d.drain(ctx, p, shown, people, func(admin.Status) (bool, error) {
		progress, err := p.CaughtUp(ctx, lsn)
		return progress.Done(), err
	})
}

// follow returns when the time is over and the backfill is applied.
func (d *demo) follow(ctx context.Context, p *pipeline.Pipeline, shown *display, people *Workload, ended <-chan error) error {
	over := time.Now().Add(d.Duration)
	return d.drain(ctx, p, shown, people, func(s admin.Status) (bool, error) {
		select {
		case err := <-ended:
			return false, fmt.Errorf("the workload ended early: %w", err)
		default:
		}
		if time.Now().Before(over) {
			return false, nil
		}
		return s.Transform.Phase == "following" && count(s).waiting < 500, nil
	})
}

// drain shows a status a second: counting every entity is not free, and the two
// cores of a laptop have better things to do.
func (d *demo) drain(ctx context.Context, p *pipeline.Pipeline, shown *display, people *Workload, done func(admin.Status) (bool, error)) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	defer shown.done()
	for {
		status := p.Status(ctx)
		shown.show(status, people.Done())
		ok, err := done(status)
		if err != nil || ok {
			return err
		}
		if err := p.Failed(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// compare judges both sides at rest.
func (d *demo) compare(ctx context.Context, p *pipeline.Pipeline) error {
	r, err := compare.Run(ctx, compare.Subjects{
		Legacy: d.conn, Ledger: p.Ledger(), Simulator: d.world.simulator, Mappings: d.cfg.Mappings(),
	})
	if err != nil {
		return err
	}
	return d.report(ctx, r)
}
