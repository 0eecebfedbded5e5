package verify

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// printedFindings bounds the list for people; the JSON report has more.
const printedFindings = 50

// meanings are said beside the counts.
var meanings = map[Class]string{
	Match:         "field by field as it should be",
	NamedLoss:     "as it should be, but for what Stytch cannot take",
	Missing:       "should be in Stytch, and is not",
	Extra:         "is in Stytch, and should not be",
	Different:     "holds other values",
	Duplicate:     "a second object for one entity",
	ForeignChange: "address, phone, password or the object itself is not as we wrote it",
	Pending:       "not applied, or not confirmed, within the time-out",
	Unverifiable:  "waits for a person, or cannot be read back",
	Released:      "cut over: not compared",
}

// Print writes a report for people.
func (r *Report) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(out, "%s against %s, run %d, %s\n", r.Pipeline, r.Project, r.Run, r.Finished.UTC().Format(time.RFC3339))
	fmt.Fprintf(out, "holds for everything committed up to %s\n", r.LSN)
	fmt.Fprintf(out, "compared with %s\n\n", r.Basis)
	for _, c := range Classes {
		fmt.Fprintf(w, "%s\t%d\t%s\n", c, r.Classes[c], meanings[c])
	}
	if r.Foreign > 0 {
		fmt.Fprintf(w, "made by others\t%d\tallowed\n", r.Foreign)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	counts(out, "fields that differ", r.Fields)
	counts(out, "named losses", r.Losses)
	for _, c := range r.Canaries {
		fmt.Fprintf(out, "canary %s/%s (%s): %s %s\n", c.Organization, c.Member, c.Class, strings.ReplaceAll(c.Outcome, "_", " "), c.Why)
	}
	r.list(out, w)
	if err := w.Flush(); err != nil {
		return err
	}
	if p := r.Repair; p != nil {
		fmt.Fprintf(out, "\nrepair: the running pipeline reads %d entities afresh and writes again what is ours; deletes that will wait for `backstitch approve`: %d; left to a person: %d\n",
			p.Reads, p.Deletes, p.Left)
	}
	_, err := fmt.Fprintf(out, "\n%s after %d searches and %d reads\n", strings.ReplaceAll(string(r.Verdict), "_", " "), r.Searches, r.Reads)
	return err
}

func counts(out io.Writer, what string, n map[string]int64) {
	if len(n) == 0 {
		return
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(n)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, n[name]))
	}
	fmt.Fprintf(out, "%s: %s\n", what, strings.Join(parts, ", "))
}

func (r *Report) list(out, w io.Writer) {
	if len(r.Findings) == 0 {
		return
	}
	fmt.Fprintln(out)
	fmt.Fprintln(w, "CLASS\tKIND\tORGANIZATION\tENTITY\tFIELDS\tWHY")
	for i, f := range r.Findings {
		if i == printedFindings {
			break
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", f.Class, f.Kind, dash(f.Organization), dash(f.Entity), dash(strings.Join(f.Fields, ",")), f.Why)
	}
	if left := int64(len(r.Findings)-printedFindings) + r.LeftOut; left > 0 {
		fmt.Fprintf(w, "and %d more\n", left)
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
