package cli

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/pipeline"
)

func (a *app) plan() *cobra.Command {
	var path, output string
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what a changed mapping, policy or prefix would create, update, rename and delete; changes nothing",
		Long: "Evaluates the file's mapping over the mirror in the ledger, beside a pipeline that runs, and compares the result\n" +
			"with the stored desired states. The plan has an id: `backstitch run --accept-mapping ID` is the consent to it.\n" +
			"Deletes among it wait for a consent of their own.\n" +
			"Exit code 0: planned; 2: the mapping is refused; 4: the mirror lacks what it reads, so that nothing can be foreseen.",
		Args: noArgs,
		PreRunE: func(*cobra.Command, []string) error {
			return oneOf("--output", output, "text", "json")
		},
		RunE: a.within(&path, func(cmd *cobra.Command, s *session, _ []string) error {
			p, err := pipeline.PlanMapping(cmd.Context(), s.cfg, s.clients, s.pool, operator())
			var findings transform.Findings
			switch {
			case errors.As(err, &findings):
				return usage(err)
			case err != nil:
				return err
			}
			return a.mappingPlanned(p, path, output)
		}),
	}
	configFlag(cmd, &path)
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) mappingPlanned(p *pipeline.MappingPlan, path, output string) error {
	if output == "json" {
		e := json.NewEncoder(a.out)
		e.SetIndent("", "  ")
		if err := e.Encode(p); err != nil {
			return fmt.Errorf("write the plan: %w", err)
		}
	} else if err := printMappingPlan(a.out, p, path); err != nil {
		return err
	}
	if !p.Evaluated && !p.Same {
		return &exit{code: ExitHeld}
	}
	return nil
}
