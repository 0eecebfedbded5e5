package verify

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/backstitch/backstitch/internal/figures"
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

// Print writes a report for people: the verdict first, then what it rests on, what was
// found, and what to do.
func (r *Report) Print(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s against %s, run %d, %s\n", r.Pipeline, r.Project, r.Run, r.Finished.UTC().Format(time.RFC3339))
	fmt.Fprintf(&b, "%s\n\n", r.summary())
	fmt.Fprintf(&b, "%s should be there\n", r.expected())
	fmt.Fprintf(&b, "holds for everything committed up to %s\n", r.LSN)
	fmt.Fprintf(&b, "compared with %s\n", r.Basis)
	fmt.Fprintf(&b, "mapping and policies %.12s; begun %s\n\n", r.Mapping, r.Started.UTC().Format(time.RFC3339))
	r.table(&b)
	counts(&b, "fields that differ", r.Fields)
	counts(&b, "named losses", r.Losses)
	for _, c := range r.Canaries {
		fmt.Fprintf(&b, "canary %s/%s (%s): %s %s\n", c.Organization, c.Member, c.Class, strings.ReplaceAll(c.Outcome, "_", " "), c.Why)
	}
	r.list(&b)
	r.toDo(&b)
	if p := r.Repair; p != nil {
		fmt.Fprintf(&b, "\nrepair: the running pipeline reads %s afresh and writes again what is ours; deletes that will wait for `backstitch approve`: %s; left to a person: %s\n",
			entities(p.Reads), figures.Number(p.Deletes), figures.Number(p.Left))
	}
	fmt.Fprintf(&b, "\n%s after %s searches and %s reads\n", strings.ReplaceAll(string(r.Verdict), "_", " "), figures.Number(r.Searches), figures.Number(r.Reads))
	lines := strings.Split(b.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ") // of columns that end empty
	}
	_, err := io.WriteString(out, strings.Join(lines, "\n"))
	return err
}

func entities(n int64) string {
	if n == 1 {
		return "1 entity"
	}
	return figures.Number(n) + " entities"
}

func (r *Report) table(b *strings.Builder) {
	w := tabwriter.NewWriter(b, 0, 4, 2, ' ', 0)
	for _, c := range Classes {
		fmt.Fprintf(w, "%s\t%s\t%s\n", c, figures.Number(r.Classes[c]), meanings[c])
	}
	if r.Foreign > 0 {
		fmt.Fprintf(w, "made by others\t%s\tallowed\n", figures.Number(r.Foreign))
	}
	_ = w.Flush() // into memory
}

// toDo says what a person does about each class that was found.
func (r *Report) toDo(b *strings.Builder) {
	head := "\nwhat to do\n"
	for _, c := range Classes {
		if r.Classes[c] > 0 && todo[c] != "" {
			fmt.Fprintf(b, "%s  %s: %s\n", head, c, todo[c])
			head = ""
		}
	}
}

func counts(b *strings.Builder, what string, n map[string]int64) {
	if len(n) == 0 {
		return
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(n)) {
		parts = append(parts, name+" "+figures.Number(n[name]))
	}
	fmt.Fprintf(b, "%s: %s\n", what, strings.Join(parts, ", "))
}

func (r *Report) list(b *strings.Builder) {
	if len(r.Findings) == 0 {
		return
	}
	b.WriteByte('\n')
	w := tabwriter.NewWriter(b, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "CLASS\tKIND\tORGANIZATION\tENTITY\tFIELDS\tWHY")
	for _, f := range r.Findings[:min(printedFindings, len(r.Findings))] {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", f.Class, f.Kind, dash(f.Organization), dash(f.Entity), dash(strings.Join(f.Fields, ",")), f.Why)
	}
	_ = w.Flush() // into memory
	if left := max(0, int64(len(r.Findings)-printedFindings)) + r.LeftOut; left > 0 {
		fmt.Fprintf(b, "and %s more\n", figures.Number(left))
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
