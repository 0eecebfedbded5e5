package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/pipeline"
)

// printMappingPlan shows what accepting a file would do.
func printMappingPlan(out io.Writer, p *pipeline.MappingPlan, path string) error {
	if p.Same {
		_, err := fmt.Fprintf(out, "the ledger follows this mapping and these policies already (digest %.12s): there is nothing to accept\n", p.Digest)
		return err
	}
	fmt.Fprintf(out, "mapping and policies: %.12s followed, %.12s in this file\n", p.Accepted, p.Digest)
	printNeeds(out, p.Needs)
	if p.Evaluated {
		fmt.Fprintf(out, "evaluated over the mirror at LSN %s, epoch %d\n\n", p.CommitLSN, p.Epoch)
		if err := printKinds(out, p.Kinds); err != nil {
			return err
		}
		fmt.Fprintf(out, "API calls of creations and updates: %s, about %s at %g/s\n", grouped(p.Calls), hours(p.Hours), p.Rate)
		if n := p.Deletes(); n > 0 {
			fmt.Fprintf(out, "%s deletes wait for `backstitch approve`: an edit of the mapping deletes nothing by itself\n", grouped(n))
		}
	} else {
		fmt.Fprintln(out, "nothing can be foreseen before that is read")
	}
	for _, k := range p.KeptIDs {
		fmt.Fprintf(out, "%s %ss keep an external id that external_id_prefix does not make: %s%s\n", grouped(k.Count), k.Kind,
			strings.Join(k.Samples, ", "), more(k.Count, len(k.Samples)))
	}
	for _, n := range p.Notices {
		fmt.Fprintf(out, "note: %s\n", n)
	}
	if p.ID != "" {
		fmt.Fprintf(out, "\nplan %s\nto consent to it: backstitch run -c %s --accept-mapping %s\n", p.ID, path, p.ID)
	}
	return nil
}

func printNeeds(out io.Writer, needs []pipeline.PlanNeed) {
	for _, n := range needs {
		what := "columns " + strings.Join(n.Columns, ", ")
		switch {
		case n.Whole:
			what = "the whole table"
		case len(n.Columns) == 0:
			what = "former values of " + strings.Join(n.Incomplete, ", ")
		case len(n.Incomplete) > 0:
			what += " and former values of " + strings.Join(n.Incomplete, ", ")
		}
		who := "a route reads"
		if n.Blocks {
			who = "a select reads"
		}
		fmt.Fprintf(out, "%s: %s what the mirror lacks: %s\n  %s\n", n.Table, who, what, n.Fix)
	}
}

func printKinds(out io.Writer, kinds []transform.ForeseenKind) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "\tLOOKED AT\tCREATE\tUPDATE\tRENAME\tDELETE\tPARK\tRELEASED")
	for _, k := range kinds {
		fmt.Fprintf(w, "%ss\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.Kind, grouped(k.Entities), grouped(k.Create.Count), grouped(k.Update.Count),
			grouped(k.Rename.Count), grouped(k.Delete.Count), grouped(k.Failed.Count), grouped(k.Released.Count))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	fmt.Fprintln(out)
	for _, k := range kinds {
		noun := string(k.Kind) + "s"
		printGroup(out, noun, "created", k.Kind, k.Create)
		printGroup(out, noun, "updated"+fieldCounts(k.Fields), k.Kind, k.Update)
		printGroup(out, noun, "renamed: to Stytch a delete, after a consent, and a creation that waits for it where both share an address or slug", k.Kind, k.Rename)
		printGroup(out, noun, "deleted, after a consent of their own", k.Kind, k.Delete)
		printGroup(out, noun, "parked, because their row cannot be evaluated", k.Kind, k.Failed)
		printGroup(out, noun, "released: they differ, and nothing of them is written any more", k.Kind, k.Released)
	}
	return nil
}

func fieldCounts(fields map[string]int64) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		list = append(list, fmt.Sprintf("%s %s", name, grouped(fields[name])))
	}
	return " (" + strings.Join(list, ", ") + ")"
}

// printGroup lists keys, a member's behind its organization's.
func printGroup(out io.Writer, noun, what string, kind consumers.Kind, g transform.ForeseenGroup) {
	if g.Count == 0 {
		return
	}
	full := func(org, key string) string {
		if kind == consumers.Organization {
			return key
		}
		return org + "/" + key
	}
	keys := make([]string, len(g.Samples))
	for i, e := range g.Samples {
		keys[i] = full(e.Organization, e.Key)
		if e.NewKey != "" {
			keys[i] += " -> " + full(e.NewOrganization, e.NewKey)
		}
	}
	fmt.Fprintf(out, "%s %s\n  %s%s\n", noun, what, strings.Join(keys, ", "), more(g.Count, len(keys)))
}

func more(count int64, shown int) string {
	if rest := count - int64(shown); rest > 0 {
		return fmt.Sprintf(" and %s more", grouped(rest))
	}
	return ""
}

// hours is a time in hours, to the second.
func hours(h float64) time.Duration { return time.Duration(h * float64(time.Hour)).Round(time.Second) }
