// Package cli is the command line: one file a command, each a thin shell over
// pipeline and its parts.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/pipeline/telemetry"
)

// Exit codes, which scripts rely on.
const (
	ExitDone   = 0 // done
	ExitError  = 1 // an error
	ExitUsage  = 2 // usage or configuration
	ExitParked = 3 // done, with parked, blocked or awaiting entities left
	ExitHeld   = 4 // held: a person must act
)

// exit is an error that chooses its exit code. A nil cause prints nothing: the
// command has said what there is to say.
type exit struct {
	code  int
	cause error
}

func (e *exit) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.cause.Error()
}

func (e *exit) Unwrap() error { return e.cause }

func usage(err error) error { return &exit{code: ExitUsage, cause: err} }

// app is what every command needs.
type app struct {
	out, errOut io.Writer
	logLevel    string
	logJSON     bool
}

// logger of the command, and its level, which may be changed while it runs.
func (a *app) logger() (*slog.Logger, *slog.LevelVar, error) {
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
		return nil, nil, usage(fmt.Errorf("--log-level: %w", err))
	}
	return telemetry.Logger(a.errOut, a.logJSON, level), level, nil
}

// Main runs one command and returns its exit code. SIGINT and SIGTERM cancel the
// command's context: run drains, everything else stops.
func Main(args []string, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{out: out, errOut: errOut}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	return a.code(root.ExecuteContext(ctx))
}

// code turns a command's error into an exit code, and says it once.
func (a *app) code(err error) int {
	if err == nil {
		return ExitDone
	}
	var e *exit
	if errors.As(err, &e) {
		if e.cause != nil {
			fmt.Fprintln(a.errOut, "backstitch:", e.cause)
		}
		return e.code
	}
	fmt.Fprintln(a.errOut, "backstitch:", err)
	if _, held := stage.AsHeld(err); held {
		return ExitHeld
	}
	return ExitError
}

// noArgs refuses what stands behind a command that takes nothing.
func noArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasSubCommands():
		return usage(fmt.Errorf("%s%q is no command: `%s --help` lists those that are", named(cmd), args[0], cmd.CommandPath()))
	default:
		return usage(fmt.Errorf("%sthere is no place for %q: `%s --help` says what it takes", named(cmd), args[0], cmd.CommandPath()))
	}
}

// named begins an error with the command that it is about; every error begins with
// the binary's name.
func named(cmd *cobra.Command) string {
	if _, name, sub := strings.Cut(cmd.CommandPath(), " "); sub {
		return name + ": "
	}
	return ""
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "backstitch",
		Short:         "Stream a legacy system's users and tenants into Stytch",
		Version:       pipeline.Version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVar(&a.logLevel, "log-level", "info", "debug, info, warn or error")
	root.PersistentFlags().BoolVar(&a.logJSON, "log-json", false, "write logs as JSON objects")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(fmt.Errorf("%s%w: `%s --help` lists the flags", named(cmd), err, cmd.CommandPath()))
	})
	root.AddCommand(a.run(), a.check(), a.plan(), a.status(), a.lag(), a.wait(), a.parked(), a.approve(), a.backfill(), a.replay(), a.audit(), a.verify(), a.rehearse(), a.teardown(),
		a.initialise(), a.demo(), a.simulator(), a.sandbox())
	return root
}
