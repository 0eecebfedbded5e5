package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/pipeline"
)

func (a *app) replay() *cobra.Command {
	parent := &cobra.Command{
		Use: "replay", Short: "Go through topics again", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return usage(fmt.Errorf("replay: want apply")) },
	}
	var path string
	var earliest, force bool
	cmd := &cobra.Command{
		Use:   "apply --to-earliest [--force]",
		Short: "Go through the apply topics again, on a stopped pipeline",
		Long: "Sets the apply connector back to the beginning of its topics. Unchanged entities cost no API call.\n" +
			"With --force each entity is compared with a fresh read of Stytch, and what was changed behind our back is repaired.",
		Args: noArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if !earliest {
				return usage(fmt.Errorf("replay apply: want --to-earliest; other targets are not built yet"))
			}
			return nil
		},
		RunE: a.within(&path, func(cmd *cobra.Command, s *session, _ []string) error {
			r, err := pipeline.Replay(cmd.Context(), s.cfg, s.clients, s.pool, force)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "%d partitions set back to their beginning; %d entities will be read back from Stytch\n", r.Partitions, r.Reads)
			fmt.Fprintln(a.out, "the next `backstitch run` goes through them")
			return nil
		}),
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&earliest, "to-earliest", false, "from the beginning of both lanes")
	cmd.Flags().BoolVar(&force, "force", false, "compare each entity with a fresh read of Stytch, and repair")
	parent.AddCommand(cmd)
	return parent
}
