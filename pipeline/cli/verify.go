package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/verify"
	"github.com/backstitch/backstitch/pipeline"
)

// verifyFlags are what verify is asked for.
type verifyFlags struct {
	path, output              string
	canaries, report, signKey string
	options                   pipeline.VerifyOptions
}

func (f *verifyFlags) add(cmd *cobra.Command) {
	configFlag(cmd, &f.path)
	outputFlag(cmd, &f.output)
	flags := cmd.Flags()
	flags.DurationVar(&f.options.Timeout, "timeout", 5*time.Minute, "how long what is on its way, and what differs, is looked at again")
	flags.Float64Var(&f.options.Share, "share", 1, "part of stytch.rate_limit, and of Stytch's searches, to spend")
	flags.BoolVar(&f.options.Repair, "repair", false, "give what is missing or different to the running pipeline, to be written again")
	flags.BoolVar(&f.options.AllowForeign, "allow-foreign", false, "objects that others made in Stytch are no drift")
	flags.BoolVar(&f.options.Anew, "new", false, "start from the beginning, even if a run was interrupted")
	flags.StringVar(&f.canaries, "canaries", "", "a YAML file of members whose passwords are known, to prove that hashes authenticate")
	flags.StringVar(&f.report, "report", "", "write the JSON report to this file, too")
	flags.StringVar(&f.signKey, "sign-key", "", "sign the JSON report with the Ed25519 private key in this PEM file; default: the key in $"+signKeyVariable)
}

// signKeyVariable may hold the signing key itself, in PEM.
const signKeyVariable = "BACKSTITCH_VERIFY_KEY"

func (a *app) verify() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Compare the live Stytch project with the ledger's desired states, field by field",
		Long: "Reads every organization and member of the project through Stytch's searches and compares them with the desired\n" +
			"states in the ledger, by rules that the applier does not share. Only what the ledger says is applied is compared;\n" +
			"what is on its way is looked at again until --timeout. An interrupted run goes on where it was.\n" +
			"Exit code 0: clean; 1: could not tell; 3: drift.",
		Args: noArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if f.options.Share <= 0 || f.options.Share > 1 {
				return usage(fmt.Errorf("--share %g: want more than 0 and at most 1", f.options.Share))
			}
			if f.options.Timeout < 0 {
				return usage(fmt.Errorf("--timeout %s: want 0 or more", f.options.Timeout))
			}
			return oneOf("--output", f.output, "text", "json")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			sign, err := signer(f.signKey)
			if err != nil {
				return err
			}
			if f.options.Canaries, err = readCanaries(f.canaries); err != nil {
				return err
			}
			return a.within(&f.path, func(cmd *cobra.Command, s *session, _ []string) error {
				return a.runVerify(cmd, s, &f, sign)
			})(cmd, args)
		},
	}
	f.add(cmd)
	cmd.AddCommand(a.verifyCheckReport())
	return cmd
}

func (a *app) runVerify(cmd *cobra.Command, s *session, f *verifyFlags, sign signing) error {
	f.options.By = operator()
	f.options.Progress = func(what string) { fmt.Fprintln(a.errOut, what) }
	verifier, err := pipeline.NewVerifier(s.cfg, s.clients, s.pool, f.options)
	if err != nil {
		return usage(err)
	}
	report, err := verifier.Run(cmd.Context())
	switch {
	case errors.Is(err, ledger.ErrVerifying):
		return fmt.Errorf("%w: wait for it; Stytch's searches are too few for two", err)
	case cmd.Context().Err() != nil:
		return errors.New("interrupted: the next `backstitch verify` goes on here")
	case err != nil:
		return err
	}
	if err := a.deliver(report, f, sign); err != nil {
		return err
	}
	switch report.Verdict {
	case verify.DriftFound:
		return &exit{code: ExitParked}
	case verify.CouldNotTell:
		return &exit{code: ExitError}
	case verify.Clean:
	}
	return nil
}

// deliver writes the report to where it was asked for.
func (a *app) deliver(r *verify.Report, f *verifyFlags, sign signing) error {
	signed, err := sign(r)
	if err != nil {
		return err
	}
	raw, err := json.MarshalIndent(signed, "", "  ")
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	raw = append(raw, '\n')
	if f.report != "" {
		if err := os.WriteFile(f.report, raw, 0o644); err != nil { //nolint:gosec // a report holds keys and names of fields, and is made to be passed on
			return fmt.Errorf("--report: %w", err)
		}
	}
	if f.output == "json" {
		_, err := a.out.Write(raw)
		return err
	}
	if err := r.Print(a.out); err != nil {
		return err
	}
	switch {
	case signed.Signature == nil:
		_, err = fmt.Fprintln(a.out, "not signed: with --sign-key FILE, --report FILE can be proven to be ours")
	case f.report != "":
		_, err = fmt.Fprintf(a.out, "%s is signed with the key %s\n", f.report, signed.Signature.Key)
	}
	return err
}
