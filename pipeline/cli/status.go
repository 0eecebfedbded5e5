package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/pipeline/admin"
)

func (a *app) status() *cobra.Command {
	var path, output string
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show connectors, lag, backfill and entities by state",
		Args:    noArgs,
		PreRunE: func(*cobra.Command, []string) error { return oneOf("--output", output, "text", "json") },
		RunE: a.within(&path, func(cmd *cobra.Command, s *session, _ []string) error {
			status, err := pipeline.Observe(cmd.Context(), s.cfg, s.clients, s.pool)
			if err != nil {
				return err
			}
			if output == "json" {
				e := json.NewEncoder(a.out)
				e.SetIndent("", "  ")
				return e.Encode(status)
			}
			return printStatus(a.out, status)
		}),
	}
	configFlag(cmd, &path)
	outputFlag(cmd, &output)
	return cmd
}

// printAudit names what a person should look into: routes that miss changes, and
// rows that nothing comes of.
func printAudit(w io.Writer, a admin.Audit) {
	fmt.Fprintf(w, "%s\t%d entities, %d different", a.Cause, a.Entities, a.Changed)
	if a.EndedAt == nil {
		fmt.Fprint(w, ", not ended")
	} else {
		fmt.Fprintf(w, ", ended %s", a.EndedAt.UTC().Format("2006-01-02 15:04:05 MST"))
	}
	if a.Missed > 0 {
		fmt.Fprintf(w, ", %d that no route had touched: look at the routes of %s", a.Missed, strings.Join(a.Suspects, ", "))
	}
	if a.NullKeys > 0 {
		fmt.Fprintf(w, ", %d rows without a whole key", a.NullKeys)
	}
	fmt.Fprintln(w)
}

func printStatus(out io.Writer, s admin.Status) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "%s\t%s\n", s.Name, s.Time.Format("2006-01-02 15:04:05 MST"))
	for _, c := range s.Connectors {
		fmt.Fprintf(w, "%s\t%s\t%s\n", c.Name, c.State, c.Trace)
	}
	if src := s.Source; src != nil {
		slot := slotMissing(src, s.Problems)
		if slot == "" {
			slot = fmt.Sprintf("%s, retains %d bytes", src.WALStatus, src.RetainedBytes)
		}
		fmt.Fprintf(w, "source\tepoch %d, read to %s, slot %s\n", src.Epoch, src.CommitLSN, slot)
	}
	for _, t := range s.Backfill {
		state := "reading"
		if t.Done {
			state = "done"
		}
		fmt.Fprintf(w, "backfill %s\t%d rows of about %d, %s\n", t.Table, t.Rows, max(t.Estimate, t.Rows), state)
	}
	fmt.Fprintf(w, "transform\t%s, evaluated to %s\n", s.Transform.Phase, s.Transform.EvaluatedLSN)
	for _, p := range s.Transform.Audits {
		printAudit(w, p)
	}
	if m := s.Transform.Mirror; m != nil {
		printMirrorStatus(w, m)
	}
	for _, l := range s.Lag {
		fmt.Fprintf(w, "lag %s\t%d\t%s\n", l.Topic, l.Records, l.Group)
	}
	for _, c := range s.Entities.Counts {
		fmt.Fprintf(w, "%ss\t%s\t%d\t%s\n", c.Kind, c.Status, c.Count, laneAndReason(c))
	}
	for _, l := range s.Entities.Losses {
		fmt.Fprintf(w, "named loss\t%s\t%d %ss\n", l.Loss, l.Count, l.Kind)
	}
	for _, c := range s.Consents {
		fmt.Fprintf(w, "consent %d\t%s\n", c.ID, c.Question)
	}
	for _, p := range s.Problems {
		fmt.Fprintf(w, "not read\t%s\n", p)
	}
	return w.Flush()
}
