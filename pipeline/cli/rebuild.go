package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/pipeline"
)

// rebuild reads the source again beside the old mirror, shows the difference, asks,
// and swaps.
func (a *app) rebuild(cmd *cobra.Command, s *session, f *replayFlags) error {
	ctx, shown := cmd.Context(), a.out
	if f.output == "json" {
		shown = io.Discard
	}
	p, err := pipeline.PlanRebuild(ctx, s.cfg, s.clients, s.pool)
	if err != nil {
		return err
	}
	if err := printRebuild(shown, p); err != nil {
		return err
	}
	if f.dryRun {
		return a.rebuilt(p, f, false)
	}
	if err := a.consent(ctx, f.yes, "Read the source again?"); err != nil {
		return err
	}
	if err := p.Begin(ctx, operator()); err != nil {
		return err
	}
	fmt.Fprintf(shown, "asked for as consent %d; the source is read again. What ends this command leaves that to go on by itself\n", p.Rebuild.ConsentID)
	if err := p.Await(ctx); err != nil {
		return err
	}
	if c := p.Rebuild.Compared; c != nil {
		if err := printDifference(shown, c, p.Rate); err != nil {
			return err
		}
	}
	if !p.Rebuild.Approved {
		if err := a.consent(ctx, f.yes, "Swap the mirrors?"); err != nil {
			fmt.Fprintf(a.errOut, "the old mirror stays, and no change is evaluated, until `backstitch approve %d`\n", p.Rebuild.ConsentID)
			return err
		}
	}
	if err := p.Swap(ctx, operator()); err != nil {
		return err
	}
	return a.rebuilt(p, f, true)
}

func (a *app) rebuilt(p *pipeline.RebuildPlan, f *replayFlags, done bool) error {
	if f.output == "json" {
		e := json.NewEncoder(a.out)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			*pipeline.RebuildPlan
			Swapped bool `json:"swapped"`
		}{p, done})
	}
	if done {
		fmt.Fprintf(a.out, "swapped; %s goes on, and everything was evaluated on the new mirror\n", p.Connector)
	}
	return nil
}

func printRebuild(out io.Writer, p *pipeline.RebuildPlan) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "TABLE\tROWS")
	for _, t := range p.Tables {
		rows := "unknown"
		if t.Rows >= 0 {
			rows = "about " + grouped(t.Rows)
		}
		fmt.Fprintf(w, "%s\t%s\n", t.Table, rows)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, n := range p.Notices {
		fmt.Fprintf(out, "note: %s\n", n)
	}
	_, err := fmt.Fprintf(out, "\nthe source is read again from a new slot, as its next epoch, into a mirror beside the old one. From then until the mirrors\n"+
		"are swapped %s evaluates no change; there is no way back to the old mirror, which misses what comes meanwhile\n", p.Connector)
	return err
}

// printDifference shows what the new mirror would change.
func printDifference(out io.Writer, c *ledger.Compared, limit float64) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "entities\t%s\tof the new mirror and the ledger\n", grouped(c.Entities))
	fmt.Fprintf(w, "differ\t%s\tfrom the stored desired state: %s appear, %s vanish, %s cannot be evaluated\n",
		grouped(c.Differ), grouped(c.Appear), grouped(c.Vanish), grouped(c.Failed))
	calls := c.Differ - c.Vanish - c.Failed
	note := fmt.Sprintf("one for each at least, about %.1f hours at %g/s", float64(calls)/limit/3600, limit)
	if c.Vanish > 0 {
		note += "; the deletes of those that vanish wait for consent"
	}
	fmt.Fprintf(w, "API calls\t%s\t%s\n", grouped(calls), note)
	return w.Flush()
}
