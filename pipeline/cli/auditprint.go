package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/producers/checksum"
)

// printAuditReport writes a report as people read it.
func printAuditReport(out io.Writer, r *pipeline.AuditReport) error {
	fmt.Fprintf(out, "%s: %s, after %s\n", r.Pipeline, r.Verdict, r.EndedAt.Sub(r.StartedAt).Round(100*time.Millisecond))
	if m := r.Mirror; m != nil {
		if err := printMirror(out, m); err != nil {
			return err
		}
	}
	if m := r.Mapping; m != nil {
		printMappingAudit(out, m)
	}
	return nil
}

func printMappingAudit(out io.Writer, m *pipeline.MappingAudit) {
	fmt.Fprintf(out, "\nmapping against the ledger: %s\n", m.Verdict)
	if m.CommitLSN != "" {
		fmt.Fprintf(out, "  %s entities evaluated by %s at %s, %s different", grouped(m.Entities), m.EvaluatedBy, m.CommitLSN, grouped(m.Different))
		if m.Missed > 0 {
			fmt.Fprintf(out, ", %s of them touched by no route", grouped(m.Missed))
		}
		fmt.Fprintln(out)
	}
	if m.NullKeys > 0 {
		fmt.Fprintf(out, "  %s rows without a whole key: nothing comes of them\n", grouped(m.NullKeys))
	}
	for _, k := range m.Kinds {
		noun := "  " + string(k.Kind) + "s"
		printGroup(out, noun, "that the ledger lacks", k.Kind, k.Create)
		printGroup(out, noun, "that differ"+fieldCounts(k.Fields), k.Kind, k.Update)
		printGroup(out, noun, "that stand under another key", k.Kind, k.Rename)
		printGroup(out, noun, "that the mapping does not return", k.Kind, k.Delete)
		printGroup(out, noun, "that cannot be evaluated", k.Kind, k.Failed)
	}
	printWhy(out, "  ", m.Why, m.Fix)
}

func printMirror(out io.Writer, m *pipeline.MirrorComparison) error {
	fmt.Fprintf(out, "\nmirror against the source: %s\n", m.Verdict)
	if m.FirstLSN != "" {
		at := m.FirstLSN
		if m.LastLSN != at {
			at = fmt.Sprintf("%s to %s, %d snapshots", at, m.LastLSN, m.Snapshots)
		}
		fmt.Fprintf(out, "  as the source was at %s\n", at)
	}
	printWhy(out, "  ", m.Why, "")
	if len(m.Tables) > 0 {
		w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "  TABLE\tROWS\tRANGES\tMISSING\tEXTRA\tDIFFERENT\tINCOMPLETE\tMOVING\tUNSETTLED\tVERDICT")
		for _, t := range m.Tables {
			fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.Table, grouped(t.Rows), grouped(t.Ranges), grouped(t.Missing.Count), grouped(t.Extra.Count),
				grouped(t.Different.Count), grouped(t.Incomplete), grouped(t.Moving), grouped(t.Unsettled), t.Verdict)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	for _, t := range m.Tables {
		printMirrored(out, t)
	}
	for _, t := range m.NotMirrored {
		fmt.Fprintf(out, "  %s is captured, and no mapping reads it: there is no mirror of it\n", t)
	}
	return nil
}

func printMirrored(out io.Writer, t *checksum.TableReport) {
	printRows(out, t.Table, "in the source that the mirror lacks", t.Missing)
	printRows(out, t.Table, "in the mirror that the source has not", t.Extra)
	printRows(out, t.Table, "that differ", t.Different)
	if t.Stopped {
		fmt.Fprintf(out, "  %s: so much differs that the rest was not compared\n", t.Table)
	}
	for _, left := range t.Left {
		fmt.Fprintf(out, "  %s: column not compared: %s\n", t.Table, left)
	}
	printWhy(out, "  "+t.Table+": ", t.Why, t.Fix)
}

// printRows lists rows by their keys, with the columns that differ.
func printRows(out io.Writer, table, what string, f checksum.Found) {
	if f.Count == 0 {
		return
	}
	rows := make([]string, len(f.Samples))
	for i, s := range f.Samples {
		rows[i] = "(" + strings.Join(s.Key, ", ") + ")"
		if len(s.Columns) > 0 {
			rows[i] += " " + strings.Join(s.Columns, ", ")
		}
	}
	fmt.Fprintf(out, "  %s: %s rows %s\n    %s%s\n", table, grouped(f.Count), what, strings.Join(rows, "; "), more(f.Count, len(rows)))
}

func printWhy(out io.Writer, indent, why, fix string) {
	if why != "" {
		fmt.Fprintf(out, "%s%s\n", indent, why)
	}
	if fix != "" {
		fmt.Fprintf(out, "%s%s\n", indent, fix)
	}
}

// printMirrorStatus is a comparison of the mirror in one line of the status.
func printMirrorStatus(w io.Writer, m *admin.MirrorAudit) {
	fmt.Fprintf(w, "mirror\t%s, %d rows compared, ended %s", m.Verdict, m.Rows, m.EndedAt.UTC().Format("2006-01-02 15:04:05 MST"))
	if n := m.Missing + m.Extra + m.Different; n > 0 {
		fmt.Fprintf(w, ", %d that differ", n)
	}
	if len(m.Tables) > 0 {
		fmt.Fprintf(w, ": `backstitch audit` says more of %s", strings.Join(m.Tables, ", "))
	}
	if m.Why != "" {
		fmt.Fprintf(w, "; %s", m.Why)
	}
	fmt.Fprintln(w)
}
