package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/producers"
)

func (a *app) teardown() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "teardown",
		Short: "Drop slot and publication, and say what else is left",
		Long:  "A slot that nobody reads keeps the source server's write-ahead log for ever: drop it when the migration is over.",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load(path)
			if err != nil {
				return err
			}
			report, err := pipeline.Teardown(cmd.Context(), cfg)
			if errors.Is(err, producers.ErrStandby) {
				return fmt.Errorf("slot %s stays: an instance is running and reads it: stop it first", cfg.Source.Slot)
			}
			if err != nil {
				return err
			}
			dropped := map[bool]string{true: "dropped", false: "not there"}
			fmt.Fprintf(a.out, "slot %s: %s\n", cfg.Source.Slot, dropped[report.DroppedSlot])
			fmt.Fprintf(a.out, "publication %s: %s\n", cfg.Source.Publication, dropped[report.DroppedPublication])
			if len(report.Topics) > 0 {
				fmt.Fprintf(a.out, "left in Kafka: %s\n", strings.Join(report.Topics, ", "))
				fmt.Fprintf(a.out, "left in the registry: %s\n", strings.Join(report.Subjects, ", "))
			}
			fmt.Fprintln(a.out, "left: the ledger database, which knows what was applied")
			return nil
		},
	}
	configFlag(cmd, &path)
	return cmd
}
