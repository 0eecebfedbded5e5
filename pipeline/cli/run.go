package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/pipeline/config"
)

// drainTime bounds how long a SIGTERM waits for what is in hand.
const drainTime = 30 * time.Second

// configFlag adds -c to a command.
func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", "", "the pipeline's YAML file")
}

// load reads a configuration; what is wrong with it exits with code 2.
func load(path string) (*config.Config, error) {
	if path == "" {
		return nil, usage(errors.New("which pipeline? Name its file: -c FILE"))
	}
	cfg, err := config.Load(path)
	if err != nil {
		return nil, usage(err)
	}
	return cfg, nil
}

func (a *app) run() *cobra.Command {
	var path string
	var caughtUp bool
	var accept acceptance
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the pipeline until stopped; SIGTERM drains it",
		Args:  accept.args,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load(path)
			if err != nil {
				return err
			}
			log, level, err := a.logger()
			if err != nil {
				return err
			}
			defer func() {
				if left := pipeline.SlotLeft(cmd.Context(), cfg); left != "" {
					fmt.Fprintln(a.errOut, left)
				}
			}()
			e, err := a.embed(cmd.Context(), cfg, caughtUp, log)
			if err != nil {
				return err
			}
			defer e.close()
			p, err := pipeline.New(e.ctx, cfg, pipeline.Options{
				Logger: log, LogLevel: level, AcceptMapping: accept.given, AcceptPlan: accept.plan, AcceptedBy: operator(), Embedded: e.Embedded,
			})
			if err == nil {
				err = a.runPipeline(e.ctx, p, caughtUp)
			}
			return cmp.Or(e.lost(), err)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&caughtUp, "until-caught-up", false, "end when everything that was committed before the start is applied")
	cmd.Flags().Var(&accept, "accept-mapping", "consent to a mapping or policy that differs from the ledger's; with the id of a `PLAN`, to what `backstitch plan` foresaw")
	cmd.Flags().Lookup("accept-mapping").NoOptDefVal = "true"
	return cmd
}

// runPipeline runs p until ctx ends, a connector fails for good while nothing else
// is left to do, or, with caughtUp, until everything is applied.
func (a *app) runPipeline(ctx context.Context, p *pipeline.Pipeline, caughtUp bool) error {
	// The connectors outlive the signal: it drains them, it does not cut them off.
	life, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	if err := p.Start(life); err != nil {
		return errors.Join(err, p.Stop(ctx))
	}
	fmt.Fprintf(a.errOut, "status page: %s\n", p.AdminURL())
	progress, err := a.await(ctx, p, caughtUp)
	drain, cancel := context.WithTimeout(life, drainTime)
	defer cancel()
	stopped := p.Stop(drain)
	switch {
	case err != nil:
		return err // it is what ended the run; Stop repeats it
	case stopped != nil:
		return stopped
	case caughtUp && progress != nil && !progress.Clean():
		fmt.Fprintf(a.out, "caught up; %d parked, %d blocked, %d awaiting consent\n", progress.Parked, progress.Blocked, progress.Awaiting)
		return &exit{code: ExitParked}
	case caughtUp && progress != nil:
		fmt.Fprintln(a.out, "caught up")
	}
	return nil
}

// await returns nil progress when a signal ended a run without end.
func (a *app) await(ctx context.Context, p *pipeline.Pipeline, caughtUp bool) (*ledger.Progress, error) {
	if !caughtUp {
		return nil, p.Await(ctx)
	}
	lsn, err := p.WaitHeartbeat(ctx)
	if err == nil {
		var progress ledger.Progress
		if progress, err = p.WaitCaughtUp(ctx, lsn); err == nil {
			return &progress, nil
		}
	}
	if ctx.Err() != nil {
		err = pipeline.ErrInterrupted
	}
	return nil, err
}
