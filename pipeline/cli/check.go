package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/pipeline"
)

func (a *app) check() *cobra.Command {
	var path, output string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Find what would stop or hurt a run, before it runs; changes nothing",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("--output", output, "text", "json"); err != nil {
				return err
			}
			cfg, err := load(path)
			if err != nil {
				return err
			}
			report, err := pipeline.Check(cmd.Context(), cfg)
			if err != nil {
				return usage(err)
			}
			if output == "json" {
				fmt.Fprintf(a.out, "%s", report.JSON())
			} else {
				fmt.Fprint(a.out, report.Text())
			}
			if !report.OK() {
				return &exit{code: ExitUsage}
			}
			return nil
		},
	}
	configFlag(cmd, &path)
	outputFlag(cmd, &output)
	return cmd
}

func outputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "text", "text or json")
}

// oneOf refuses a flag's value that is none of those known.
func oneOf(flag, value string, known ...string) error {
	for _, k := range known {
		if value == k {
			return nil
		}
	}
	return usage(fmt.Errorf("%s %s: want %s", flag, value, strings.Join(known, " or ")))
}
