package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/pipeline/cli/rehearse"
	"github.com/backstitch/backstitch/pipeline/rehearsal/report"
)

// rehearseFlags are what rehearse is asked for.
type rehearseFlags struct {
	path, output        string
	html, json, against string
	policy, ledger      string
	former              *report.Report
}

func (f *rehearseFlags) add(cmd *cobra.Command) {
	configFlag(cmd, &f.path)
	outputFlag(cmd, &f.output)
	flags := cmd.Flags()
	flags.StringVar(&f.html, "report", "", "write the report to this file as a page that works without a network")
	flags.StringVar(&f.json, "json", "", "write the report to this file as JSON, and the entities' states beside it, for a later --against")
	flags.StringVar(&f.against, "against", "", "say what has changed since the rehearsal whose `JSON` report this is")
	flags.StringVar(&f.policy, "policy", "", "the RBAC policy, as Stytch answers to GET /v1/b2b/rbac/policy, in a `FILE`; none: every role is taken (default: the project is asked)")
	flags.StringVar(&f.ledger, "ledger", "", "`URL` of an empty database for the rehearsal's ledger, which is emptied again (default: a PostgreSQL server of its own on this machine)")
}

func (a *app) rehearse() *cobra.Command {
	var f rehearseFlags
	cmd := &cobra.Command{
		Use:   "rehearse",
		Short: "Run the real data through the real pipeline into a simulated Stytch, and report what a run would meet",
		Long: "Reads one state of the legacy database, in sessions that may not write, and runs it through the pipeline into\n" +
			"a simulator of Stytch with the project's RBAC roles, with a broker and a ledger of its own. Nothing else is written,\n" +
			"and no slot is left. Time is simulated too: the report says how many hours the real run takes.\n" +
			"Exit code 0: all would be in Stytch; 1: error, or interrupted; 3: something would be parked, blocked or await consent.",
		Args: noArgs,
		PreRunE: func(*cobra.Command, []string) error {
			return oneOf("--output", f.output, "text", "json")
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runRehearsal(cmd, &f) },
	}
	f.add(cmd)
	return cmd
}

func (a *app) runRehearsal(cmd *cobra.Command, f *rehearseFlags) error {
	cfg, err := load(f.path)
	if err != nil {
		return err
	}
	if !cmd.Flags().Changed("log-level") { // it has lines of its own to say how far it is
		a.logLevel = "warn"
	}
	log, _, err := a.logger()
	if err != nil {
		return err
	}
	o := rehearse.Options{Config: cfg, File: f.path, Policy: f.policy, Ledger: f.ledger, Progress: a.errOut, Logger: log}
	if f.against != "" {
		if f.former, err = report.Read(f.against); err != nil {
			return usage(fmt.Errorf("--against: %w", err))
		}
		o.Former = report.StatesPath(f.against)
	}
	if err := errors.Join(writable("--json", f.json), writable("--report", f.html)); err != nil {
		return usage(err)
	}
	forget, err := f.states(&o)
	if err != nil {
		return err
	}
	defer forget()
	r, err := rehearse.Run(cmd.Context(), o)
	var wrong *rehearse.UsageError
	switch {
	case errors.As(err, &wrong):
		return usage(err)
	case err != nil:
		return err
	}
	if f.former != nil {
		if err := r.Compare(f.former, o.Former, o.States); err != nil {
			return err
		}
	}
	return a.deliverRehearsal(r, f, o.States)
}

// states chooses where the entities' states go: beside the JSON report, under their own
// name when that is written (it may be that of --against), or, for a comparison without
// one, into a file that is removed.
func (f *rehearseFlags) states(o *rehearse.Options) (forget func(), err error) {
	switch {
	case f.json != "":
		o.States = report.StatesPath(f.json) + ".new"
		return func() { _ = os.Remove(o.States) }, nil // it is not there any more when all went well
	case f.against != "":
		dir, err := os.MkdirTemp("", "backstitch-states-")
		if err != nil {
			return nil, err
		}
		o.States = filepath.Join(dir, "states")
		return func() { _ = os.RemoveAll(dir) }, nil // of digests, in the temporary directory
	}
	return func() {}, nil
}

func (a *app) deliverRehearsal(r *report.Report, f *rehearseFlags, states string) error {
	for _, file := range []struct {
		flag, path string
		write      func(io.Writer) error
	}{{"--json", f.json, r.WriteJSON}, {"--report", f.html, r.WriteHTML}} {
		if file.path == "" {
			continue
		}
		if err := writeFile(file.path, file.write); err != nil {
			return fmt.Errorf("%s: %w", file.flag, err)
		}
	}
	if f.json != "" {
		if err := os.Rename(states, report.StatesPath(f.json)); err != nil {
			return fmt.Errorf("--json: %w", err)
		}
	}
	write := r.WriteText
	if f.output == "json" {
		write = r.WriteJSON
	}
	if err := write(a.out); err != nil {
		return err
	}
	switch r.Verdict {
	case report.Incomplete:
		return &exit{code: ExitParked}
	case report.Unfinished:
		return &exit{code: ExitError}
	case report.Complete, report.WithLosses:
	}
	return nil
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// writable finds out before the hours of a rehearsal whether its report can be written.
func writable(flag, path string) error {
	if path == "" {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".backstitch-")
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
