package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
)

func (a *app) parked() *cobra.Command {
	parent := &cobra.Command{
		Use: "parked", Short: "List or retry what cannot be applied", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return usage(fmt.Errorf("parked: want list or retry")) },
	}
	parent.AddCommand(a.parkedList(), a.parkedRetry())
	return parent
}

func (a *app) parkedList() *cobra.Command {
	var path, reason, output string
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List parked entities, and those that wait for one, oldest change first",
		Args:    noArgs,
		PreRunE: func(*cobra.Command, []string) error { return oneOf("--output", output, "text", "json") },
		RunE: a.within(&path, func(cmd *cobra.Command, s *session, _ []string) error {
			list, err := ledger.Parked(cmd.Context(), s.pool, ledger.Filter{Reason: consumers.Reason(reason), Limit: limit, Blocked: true})
			if err != nil {
				return err
			}
			if output == "json" {
				if list == nil {
					list = []ledger.ParkedEntity{}
				}
				return json.NewEncoder(a.out).Encode(list)
			}
			w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
			fmt.Fprintln(w, "KIND\tORGANIZATION\tENTITY\tSTATUS\tREASON\tDETAIL")
			for _, e := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", e.Key.Kind, e.Key.Organization, e.Key.Entity, e.Status, e.Reason, e.Detail)
			}
			return w.Flush()
		}),
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&reason, "reason", "", "only those with this reason")
	cmd.Flags().IntVar(&limit, "limit", 1000, "at most so many")
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) parkedRetry() *cobra.Command {
	var path, reason string
	cmd := &cobra.Command{
		Use:   "retry",
		Short: "Try parked entities again, all or those with one reason",
		Args:  noArgs,
		RunE: a.within(&path, func(cmd *cobra.Command, s *session, _ []string) error {
			n, err := ledger.RetryParked(cmd.Context(), s.pool, consumers.Reason(reason))
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "%d entities will be tried again by the running pipeline\n", n)
			return nil
		}),
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&reason, "reason", "", "only those with this reason")
	return cmd
}
