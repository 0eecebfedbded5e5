package rehearse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/pipeline/rehearsal"
	"github.com/backstitch/backstitch/pipeline/rehearsal/report"
)

// Options of a rehearsal.
type Options struct {
	Config *config.Config
	// File is the path of the configuration.
	File string
	// Policy is a file with the RBAC policy; "": the project is asked, NoPolicy: nobody.
	Policy string
	// Ledger is the URL of an empty database; "": a server of the rehearsal's own.
	Ledger string
	// States is where the entities' states go, for a later comparison, and Former those
	// of the rehearsal to compare with; "": nowhere.
	States, Former string
	// Progress receives a line now and then.
	Progress io.Writer
	Logger   *slog.Logger
}

// NoPolicy as Options.Policy has nobody asked for the policy: every role is taken.
const NoPolicy = "none"

// UsageError is one of what the person asked for.
type UsageError struct{ err error }

func (e *UsageError) Error() string { return e.err.Error() }
func (e *UsageError) Unwrap() error { return e.err }

func (o *Options) say(format string, args ...any) { fmt.Fprintf(o.Progress, format+"\n", args...) }

// heapGrowth is how far the heap may grow between two collections, in percent: the
// simulator and the broker hold everything in memory, so that half as much again counts.
const heapGrowth = 50

// Run rehearses, and returns the finished report.
func Run(ctx context.Context, o Options) (r *report.Report, err error) {
	defer debug.SetGCPercent(debug.SetGCPercent(heapGrowth))
	removed, err := sweep()
	for _, dir := range removed {
		o.say("removed %s, which a rehearsal that was killed had left", dir)
	}
	if err != nil {
		o.say("%v", err)
	}
	began := time.Now()
	roles, notice, err := o.roles(ctx)
	if err != nil {
		return nil, err
	}
	r = &report.Report{Run: report.Run{
		Name: o.Config.Name, Config: filepath.Base(o.File), Version: pipeline.Version(), Mapping: o.Config.Digest(),
		Started: began.UTC(), Roles: roles.From,
	}}
	r.Run.Notices = append(r.Run.Notices, notice...)
	if err := describeSource(ctx, &o, &r.Run); err != nil {
		return nil, err
	}
	w, err := startWorld(ctx, &o, roles)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	if err := w.rehearse(ctx, &o, roles, r); err != nil {
		return nil, err
	}
	r.Run.Ended = time.Now().UTC()
	r.Finish()
	return r, nil
}

// describeSource says which server is read.
func describeSource(ctx context.Context, o *Options, r *report.Run) error {
	clients, err := pipeline.NewClients(o.Config)
	if err != nil {
		return &UsageError{err}
	}
	defer clients.Stytch.Close()
	conn, err := clients.ConnectSource(ctx, o.Config.Name+"_rehearsal")
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return conn.QueryRow(ctx, "SELECT current_setting('server_version'), current_database()").Scan(&r.Source, &r.Database)
}

// rehearse runs the pipeline until everything that it read is settled, or until it is
// interrupted, and reads what its ledger then says.
func (w *world) rehearse(ctx context.Context, o *Options, roles *rehearsal.Roles, r *report.Report) (err error) {
	life, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	p, err := pipeline.New(ctx, rehearsal.Configure(o.Config, w.StandIns), pipeline.Options{
		Logger: o.Logger, Rehearsal: &pipeline.Rehearsal{Budget: w.clock},
	})
	var findings transform.Findings
	if errors.As(err, &findings) {
		return &UsageError{err}
	}
	if err != nil {
		return err
	}
	defer func() {
		drain, cancel := context.WithTimeout(life, drainTime)
		defer cancel()
		err = errors.Join(err, p.Stop(drain))
	}()
	if err := p.Start(life); err != nil {
		return err
	}
	shown := &progress{out: o.Progress, p: p, clock: w.clock}
	shown.start(ctx)
	defer shown.stop()
	o.say("status page: %s", p.AdminURL())
	lsn, err := p.WaitSnapshot(ctx)
	if err != nil {
		return interrupted(ctx, err)
	}
	r.Run.LSN = lsn.String()
	o.say("read the state at %s", lsn)
	if _, err := p.WaitCaughtUp(ctx, lsn); err != nil {
		r.Run.Interrupted = interrupted(ctx, err).Error()
	}
	shown.stop()
	return w.gather(life, o, p, roles, r)
}

// drainTime bounds the end of a pipeline whose work nobody needs any more.
const drainTime = 10 * time.Second

// interrupted says what a signal meant.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("it was interrupted")
	}
	return err
}
