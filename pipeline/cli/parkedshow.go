package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
)

func (a *app) parkedShow() *cobra.Command {
	var path, output, organization string
	var events int
	cmd := &cobra.Command{
		Use:   "show KEY [--organization O]",
		Short: "Show an entity: where it stands and why, what to do about it, and what happened to it",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 0 && organization == "" {
				return usage(fmt.Errorf("parked show: want one key, or --organization for all of an organization"))
			}
			return nil
		},
		PreRunE: func(*cobra.Command, []string) error { return oneOf("--output", output, "text", "json") },
		RunE: a.within(&path, func(cmd *cobra.Command, s *session, args []string) error {
			key := ""
			if len(args) == 1 {
				key = args[0]
			}
			list, err := ledger.Show(cmd.Context(), s.pool, key, organization, events)
			if err != nil {
				return err
			}
			if output == "json" {
				return json.NewEncoder(a.out).Encode(list)
			}
			if len(list) == 0 {
				return fmt.Errorf("no organization or member has this key in the ledger; keys are the values of the mapping's key columns")
			}
			for i, e := range list {
				if i > 0 {
					fmt.Fprintln(a.out)
				}
				if err := printEntity(a.out, e); err != nil {
					return err
				}
			}
			return nil
		}),
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&organization, "organization", "", "only in the organization with this key")
	cmd.Flags().IntVar(&events, "events", 20, "show at most so many events of its history; 0: all")
	outputFlag(cmd, &output)
	return cmd
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }

func printEntity(out io.Writer, e ledger.Shown) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	if e.Key.Kind == consumers.Organization {
		line("organization", "%s", e.Key.Entity)
	} else {
		line("member", "%s of organization %s", e.Key.Entity, e.Key.Organization)
	}
	line("status", "%s", strings.TrimSpace(fmt.Sprintf("%s %s", e.Status, e.Reason)))
	if e.Detail != "" {
		line("detail", "%s", e.Detail)
	}
	if e.Means != "" {
		line("means", "%s", e.Means)
		line("fix", "%s", e.Fix)
	}
	for i, l := range e.Losses {
		line("named loss", "%s: %s", l, e.LossFixes[i])
	}
	if e.Attempts > 0 {
		line("attempts", "%d", e.Attempts)
	}
	if e.Committed != nil {
		line("committed", "%s", strings.TrimSpace(fmt.Sprintf("%s at %s %s", moment(*e.Committed), e.CommitLSN, e.Table)))
	}
	if e.AppliedAt != nil {
		line("applied", "%s", moment(*e.AppliedAt))
	}
	if len(e.Differs) > 0 {
		line("differs in", "%s", strings.Join(e.Differs, ", "))
	}
	if e.Due != nil {
		line("due", "%s", moment(*e.Due))
	}
	if e.Status == consumers.Dropped && e.DroppedAt != nil {
		line("dropped", "%s by %s", moment(*e.DroppedAt), e.DroppedBy)
	}
	if e.StytchID != "" {
		line("in Stytch", "%s", e.StytchID)
	}
	for i, h := range e.History {
		name := "history"
		if i > 0 {
			name = ""
		}
		line(name, "%s  %s", moment(h.At), happened(h))
	}
	return w.Flush()
}

// happened is an event of an entity's history in words.
func happened(h ledger.HistoryEvent) string {
	switch h.Event {
	case ledger.EventCame:
		s := fmt.Sprintf("came: revision %d, %s", h.Revision, h.Cause)
		if h.Table != "" {
			s += " of " + h.Table
		}
		if h.Gone {
			s += ", gone"
		}
		if len(h.Fields) > 0 {
			s += ", differs in " + strings.Join(h.Fields, ", ")
		}
		return s
	case ledger.EventPlanned:
		return "planned: " + strings.Join(h.Steps, ", ")
	case ledger.EventCall:
		s := fmt.Sprintf("call: %s %s", h.Step, h.Outcome)
		if h.ErrorType != "" {
			s += fmt.Sprintf(": %d %s %s", h.HTTPStatus, h.ErrorType, h.RequestID)
		}
		return s
	default:
		return strings.TrimSpace(fmt.Sprintf("%s: %s %s", h.Event, h.Status, h.Reason))
	}
}
