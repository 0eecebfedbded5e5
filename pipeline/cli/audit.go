package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/producers/checksum"
)

func (a *app) audit() *cobra.Command {
	var path, output string
	var o pipeline.AuditOptions
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Compare the whole mapping with the ledger, and the mirror with the source",
		Long: "Compares every mirrored table with the source, by checksums over ranges of the primary key, at exact positions of the\n" +
			"source's log, while the pipeline goes on; of what differs it lists keys and columns, and no value. Then has the whole\n" +
			"mapping evaluated and compared with the ledger: by the pipeline that runs, which stores again what differs, unless the\n" +
			"mirror is wrong; or here, while none runs, which stores nothing. It changes nothing in the source.\n" +
			"Exit code 0: nothing differs; 1: could not tell; 3: something differs.",
		Args: noArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if o.Share <= 0 || o.Share > 1 {
				return usage(fmt.Errorf("--share %g: want more than 0 and at most 1", o.Share))
			}
			if o.Timeout <= 0 {
				return usage(fmt.Errorf("--timeout %s: want more than 0", o.Timeout))
			}
			if o.Only != "" {
				if err := oneOf("--only", o.Only, pipeline.AuditMapping, pipeline.AuditMirror); err != nil {
					return err
				}
			}
			return oneOf("--output", output, "text", "json")
		},
		RunE: a.within(&path, func(cmd *cobra.Command, s *session, _ []string) error {
			o.By = operator()
			o.Progress = func(what string) { fmt.Fprintln(a.errOut, what) }
			r, err := pipeline.Audit(cmd.Context(), s.cfg, s.clients, s.pool, o)
			switch {
			case cmd.Context().Err() != nil:
				return errors.New("interrupted: nothing was left behind")
			case errors.Is(err, ledger.ErrAuditing):
				return fmt.Errorf("%w: wait for it; `backstitch status` shows what comes of it", err)
			case err != nil:
				return auditRefused(err)
			}
			return a.audited(r, output)
		}),
	}
	configFlag(cmd, &path)
	outputFlag(cmd, &output)
	cmd.Flags().StringVar(&o.Only, "only", "", "mapping or mirror: only this part")
	cmd.Flags().Float64Var(&o.Share, "share", 0.5, "part of the time in which source and ledger are asked, when the mirror is compared")
	cmd.Flags().DurationVar(&o.Timeout, "timeout", 10*time.Minute, "how long to wait for the pipeline that runs, each time")
	return cmd
}

// auditRefused tells a mapping that is refused from what went wrong.
func auditRefused(err error) error {
	var findings transform.Findings
	if errors.As(err, &findings) {
		return usage(err)
	}
	return err
}

func (a *app) audited(r *pipeline.AuditReport, output string) error {
	var err error
	if output == "json" {
		e := json.NewEncoder(a.out)
		e.SetIndent("", "  ")
		err = e.Encode(r)
	} else {
		err = printAuditReport(a.out, r)
	}
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	switch r.Verdict {
	case checksum.Drift:
		return &exit{code: ExitParked}
	case checksum.Unknown:
		return &exit{code: ExitError}
	}
	return nil
}
