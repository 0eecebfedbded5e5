package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
)

// textSamples bounds the keys that the terminal shows of a finding; the page has more.
const textSamples = 3

// WriteText writes what a person reads on the terminal: the verdict, the outcomes, every
// finding in brief, the time, and what changed. The page and the JSON tell all of it.
func (r *Report) WriteText(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s.\n%s\n", r.Run.Name, lowerFirst(r.Headline()), r.Lead())
	r.outcomesText(&b)
	r.findingsText(&b)
	r.unfedText(&b)
	r.changeText(&b)
	b.WriteString("\n" + r.callsText())
	for _, n := range r.Run.Notices {
		fmt.Fprintf(&b, "Note: %s\n", n)
	}
	fmt.Fprintf(&b, "Holds for everything committed up to %s. Nothing was written to Stytch.\n", r.Run.LSN)
	lines := strings.Split(printable(b.String()), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ") // of columns that end empty
	}
	if _, err := io.WriteString(out, strings.Join(lines, "\n")); err != nil {
		return fmt.Errorf("write the report of the rehearsal: %w", err)
	}
	return nil
}

// printable keeps a name of the legacy system from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

func (r *Report) outcomesText(b *strings.Builder) {
	if r.In(Outcomes...) == 0 {
		return
	}
	b.WriteByte('\n')
	w := tabwriter.NewWriter(b, 0, 4, 2, ' ', tabwriter.AlignRight)
	var head strings.Builder
	for _, k := range r.Kinds {
		fmt.Fprintf(&head, "\t%s\t", strings.ToUpper(string(k.Kind)+"s"))
	}
	fmt.Fprintf(w, "%s\t\n", head.String())
	for _, o := range Outcomes {
		if r.In(o) == 0 {
			continue
		}
		for _, k := range r.Kinds {
			fmt.Fprintf(w, "\t%s\t%s", number(k.Outcomes[o]), percent(k.Outcomes[o], k.Entities))
		}
		fmt.Fprintf(w, "\t  %s\n", outcomes[o].words)
	}
	_ = w.Flush() // into memory
}

func (r *Report) findingsText(b *strings.Builder) {
	last := Severity("")
	for i := range r.Findings {
		f := r.Findings[i].sayOnce()
		if f.Severity != last {
			fmt.Fprintf(b, "\n%s\n", groups[f.Severity].title)
			last = f.Severity
		}
		fmt.Fprintf(b, "  %s: %s", f.Title, f.of())
		if f.Where != "" {
			fmt.Fprintf(b, " (%s)", f.Where)
		}
		b.WriteByte('\n')
		if len(f.Details) > 0 {
			fmt.Fprintf(b, "    %s\n", f.detailsText())
		}
		if len(f.Samples) > 0 {
			fmt.Fprintf(b, "    %s\n", f.samplesText())
		}
		if f.Fix != "" {
			fmt.Fprintf(b, "    %s\n", f.Fix)
		}
	}
}

func (f *Finding) detailsText() string {
	var parts []string
	for i, d := range f.Details {
		if i == textSamples {
			parts = append(parts, fmt.Sprintf("and %d more", len(f.Details)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", d.Name, number(d.Count)))
	}
	return strings.Join(parts, "; ")
}

func (f *Finding) samplesText() string {
	var parts []string
	for i, s := range f.Samples {
		if i == textSamples {
			break
		}
		parts = append(parts, s.String())
	}
	return "such as " + strings.Join(parts, ", ")
}

func (s Sample) String() string {
	text := s.Key
	if s.Organization != "" {
		text = s.Organization + "/" + text
	}
	if s.Table != "" {
		text = s.Table + " " + text
	}
	if s.Other != "" {
		text += " (held by " + s.Other + ")"
	}
	return text
}

func (r *Report) unfedText(b *strings.Builder) {
	for i, u := range r.Unfed {
		if i == 0 {
			b.WriteString("\nRows that become no organization and no member\n")
		}
		fmt.Fprintf(b, "  %s: %s", u.Table, count(u.Rows, "row"))
		if len(u.Keys) > 0 {
			fmt.Fprintf(b, ", such as %s", strings.Join(u.Keys[:min(textSamples, len(u.Keys))], ", "))
		}
		b.WriteByte('\n')
	}
}

func (r *Report) changeText(b *strings.Builder) {
	c := r.Change
	if c == nil {
		return
	}
	fmt.Fprintf(b, "\nWhat changed since the rehearsal of %s", moment(c.Ended))
	if c.SameMapping {
		b.WriteString(", with the same mapping")
	}
	b.WriteByte('\n')
	w := tabwriter.NewWriter(b, 0, 4, 2, ' ', 0)
	for _, t := range r.thenNow() {
		if t.Then != t.Now {
			fmt.Fprintf(w, "  %s\t%s\t-> %s\t%s\n", t.What, t.Then, t.Now, t.Diff)
		}
	}
	_ = w.Flush() // into memory
	if c.NoStates != "" {
		fmt.Fprintf(b, "  Entities were not compared one by one: %s.\n", c.NoStates)
	}
	for i := range c.Kinds {
		k := &c.Kinds[i]
		for _, m := range k.Moves {
			fmt.Fprintf(b, "  %s: %s -> %s\n", count(m.Count, string(k.Kind)), m.From, m.To)
		}
		for _, g := range []struct {
			what string
			n    int64
		}{
			{"with another desired state", k.Desired.Count},
			{"that the mapping did not return before", k.Appeared.Count},
			{"that the mapping returns no more", k.Vanished.Count},
		} {
			if g.n > 0 {
				fmt.Fprintf(b, "  %s %s\n", count(g.n, string(k.Kind)), g.what)
			}
		}
		if len(k.Fields) > 0 {
			fmt.Fprintf(b, "  fields of %ss with other values: %s\n", k.Kind, strings.Join(k.Fields, ", "))
		}
	}
}

func (r *Report) callsText() string {
	text := fmt.Sprintf("The real run makes %s", count(r.calls(), "call"))
	for _, l := range r.Estimate.Limits {
		if l.Name == r.Estimate.Decides {
			text += fmt.Sprintf(", which take %s: %s at %s a second (%s)", span(l.Seconds), number(l.Calls), pace(l.Rate), l.Name)
		}
	}
	return text + ".\n"
}
