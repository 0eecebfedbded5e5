package cli

import (
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/consumers/ledger"
)

func (a *app) approve() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "approve list|ID",
		Short: "Show what waits for a person's consent, or give it",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(fmt.Errorf("approve: want list or the number of a consent"))
			}
			return nil
		},
		RunE: a.within(&path, func(cmd *cobra.Command, s *session, args []string) error {
			if args[0] == "list" {
				return a.listConsents(cmd, s)
			}
			id, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return usage(fmt.Errorf("approve %q: want list or the number of a consent", args[0]))
			}
			c, err := ledger.Approve(cmd.Context(), s.pool, id, operator())
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "approved %d: %s\n", c.ID, c.Question)
			return nil
		}),
	}
	configFlag(cmd, &path)
	return cmd
}

func (a *app) listConsents(cmd *cobra.Command, s *session) error {
	list, err := ledger.List(cmd.Context(), s.pool, false)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tKIND\tASKED\tSTATE\tORGANIZATIONS\tMEMBERS\tQUESTION")
	for _, c := range list {
		state := "open"
		if c.Approved() {
			state = "approved"
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%d\t%s\n", c.ID, c.Kind, c.AskedAt.UTC().Format("2006-01-02 15:04"), state, c.Organizations, c.Members, c.Question)
	}
	return w.Flush()
}
