package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
)

func (a *app) parked() *cobra.Command {
	parent := &cobra.Command{
		Use: "parked", Short: "List, show, retry or drop what cannot be applied", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage(fmt.Errorf("parked: want list, show, retry or drop"))
		},
	}
	parent.AddCommand(a.parkedList(), a.parkedShow(), a.parkedRetry(), a.parkedDrop())
	return parent
}

// choice is the flags that choose parked entities.
type choice struct {
	kind, reason, organization string
	keys                       []string
}

func (c *choice) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.kind, "kind", "", "only these: organization or member")
	cmd.Flags().StringVar(&c.reason, "reason", "", "only those with this reason")
	cmd.Flags().StringVar(&c.organization, "organization", "", "only the organization with this key, and its members")
	cmd.Flags().StringArrayVar(&c.keys, "key", nil, "only entities with this key; may be given several times")
}

// check refuses what would silently choose nothing.
func (c *choice) check(*cobra.Command, []string) error {
	if c.kind != "" {
		if err := oneOf("--kind", c.kind, string(consumers.Organization), string(consumers.Member)); err != nil {
			return err
		}
	}
	if c.reason != "" && !slices.Contains(consumers.Reasons(), consumers.Reason(c.reason)) {
		return usage(fmt.Errorf("--reason %q: there is no such reason; docs/parked.md lists them", c.reason))
	}
	return nil
}

func (c *choice) filter() ledger.Filter {
	return ledger.Filter{
		Kind: consumers.Kind(c.kind), Reason: consumers.Reason(c.reason), Organization: c.organization, Keys: c.keys,
	}
}

func (a *app) parkedList() *cobra.Command {
	var path, output string
	var limit int
	var dropped bool
	var c choice
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List parked entities, and those that wait for one, oldest change first",
		Args:  noArgs,
		PreRunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("--output", output, "text", "json"); err != nil {
				return err
			}
			return c.check(cmd, args)
		},
		RunE: a.within(&path, func(cmd *cobra.Command, s *session, _ []string) error {
			f := c.filter()
			f.Limit, f.Blocked, f.Dropped = limit, true, dropped
			list, err := ledger.Parked(cmd.Context(), s.pool, f)
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
	c.flags(cmd)
	cmd.Flags().IntVar(&limit, "limit", 1000, "at most so many")
	cmd.Flags().BoolVar(&dropped, "dropped", false, "those too that a person gave up")
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) parkedRetry() *cobra.Command {
	var path string
	var c choice
	cmd := &cobra.Command{
		Use:   "retry",
		Short: "Try parked entities again, all or those chosen; with --key also what was dropped",
		Long: "Try parked entities again, all or those chosen; with --key also what was dropped.\n" +
			"What the evaluation parked is not among them: a change of its rows, or another mapping, brings it back.",
		Args:    noArgs,
		PreRunE: c.check,
		RunE: a.within(&path, func(cmd *cobra.Command, s *session, _ []string) error {
			n, err := ledger.RetryParked(cmd.Context(), s.pool, c.filter())
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "%d entities will be tried again by the running pipeline\n", n)
			return nil
		}),
	}
	configFlag(cmd, &path)
	c.flags(cmd)
	return cmd
}

func (a *app) parkedDrop() *cobra.Command {
	var path string
	var yes bool
	var c choice
	cmd := &cobra.Command{
		Use:   "drop --key K | --organization O | --reason R [--yes]",
		Short: "Give parked entities up: Stytch keeps what it has until their rows change again",
		Args:  noArgs,
		PreRunE: func(cmd *cobra.Command, args []string) error {
			if c.reason == "" && c.organization == "" && len(c.keys) == 0 {
				return usage(fmt.Errorf("parked drop: want --key, --organization or --reason"))
			}
			return c.check(cmd, args)
		},
		RunE: a.within(&path, func(cmd *cobra.Command, s *session, _ []string) error {
			list, err := ledger.Parked(cmd.Context(), s.pool, c.filter())
			if err != nil {
				return err
			}
			if len(list) == 0 {
				fmt.Fprintln(a.out, "nothing parked is chosen")
				return nil
			}
			many := fmt.Sprint(len(list))
			if len(list) == 1000 { // the list's limit
				many = "1,000 or more"
			}
			question := fmt.Sprintf("%s parked entities are given up: Stytch keeps what it has of them, nothing is tried again,\n"+
				"and the next change of their rows, or `parked retry --key`, brings them back. Drop them?", many)
			if err := a.consent(cmd.Context(), yes, question); err != nil {
				return err
			}
			n, err := ledger.Drop(cmd.Context(), s.pool, c.filter(), operator())
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "%d entities dropped\n", n)
			return nil
		}),
	}
	configFlag(cmd, &path)
	c.flags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}
