package report

import (
	"bufio"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/backstitch/backstitch/consumers"
)

//go:embed page.html
var pageSource string

//go:embed page.css
var style string

// page is one file: its policy forbids everything but its own style, so that nothing is
// fetched, whatever stands in a report.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"number": number, "percent": percent, "span": span, "pace": pace, "count": count, "moment": moment, "digest": shortDigest,
	"style":   func() template.CSS { return template.CSS(style) }, //nolint:gosec // ours, embedded
	"of":      func(f Finding) string { return f.of() },
	"title":   func(k consumers.Kind) string { s := string(k) + "s"; return strings.ToUpper(s[:1]) + s[1:] },
	"share":   func(part, whole int64) string { return fmt.Sprintf("%.3f%%", 100*float64(part)/float64(max(1, whole))) },
	"plain":   func(s Standing) string { return s.String() },
	"outcome": func(o Outcome) string { return outcomes[o].words },
	"tone":    func(o Outcome) string { return outcomes[o].tone },
	"group":   func(k consumers.Kind, what string, g ChangeGroup) changed { return changed{k, what, g} },
}).Parse(pageSource))

// WriteHTML writes a finished report as one page that needs nothing else: no network,
// no script.
func (r *Report) WriteHTML(out io.Writer) error {
	w := bufio.NewWriter(out)
	err := page.Execute(w, newView(r))
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return fmt.Errorf("write the page of the rehearsal: %w", err)
	}
	return nil
}

// view is a report as the page tells it.
type view struct {
	*Report
	Tiles  []tile
	Groups []group
	// Outcomes that some entity has.
	Outcomes []Outcome
	Losses   []numbered // of severity Lost
	Then     []thenNow
	Calls    struct {
		All, Refused, Throttled int64
		List                    []Call
	}
}

// sayOnce leaves out what all of a finding's entities have in common where it stands
// above them already.
func (f Finding) sayOnce() Finding {
	if len(f.Details) != 1 || f.Details[0].Count != f.Count {
		return f
	}
	f.Samples = slices.Clone(f.Samples)
	for i := range f.Samples {
		f.Samples[i].Detail = ""
	}
	if f.Details[0].Name == string(f.Class) {
		f.Details = nil
	}
	return f
}

// changed is a part of what changed, in words.
type changed struct {
	Kind  consumers.Kind
	What  string
	Group ChangeGroup
}

// tile is a figure of the summary.
type tile struct{ Title, Figure, Note, Tone string }

// group are the findings of one severity.
type group struct {
	ID, Title, About string
	Findings         []numbered
	Count            int64
}

type numbered struct {
	ID string
	Finding
}

func newView(r *Report) *view {
	v := &view{Report: r}
	for _, o := range Outcomes {
		if r.In(o) > 0 {
			v.Outcomes = append(v.Outcomes, o)
		}
	}
	for i, f := range r.Findings {
		if len(v.Groups) == 0 || v.Groups[len(v.Groups)-1].ID != string(f.Severity) {
			g := groups[f.Severity]
			v.Groups = append(v.Groups, group{ID: string(f.Severity), Title: g.title, About: g.about})
		}
		g := &v.Groups[len(v.Groups)-1]
		n := numbered{fmt.Sprintf("finding-%d", i+1), f.sayOnce()}
		g.Findings = append(g.Findings, n)
		g.Count += f.Count
		if f.Severity == Lost {
			v.Losses = append(v.Losses, n)
		}
	}
	v.Calls.List = r.Calls
	for _, c := range r.Calls {
		v.Calls.All, v.Calls.Refused, v.Calls.Throttled = v.Calls.All+c.Count, v.Calls.Refused+c.Refused, v.Calls.Throttled+c.Throttled
	}
	v.Tiles, v.Then = r.tiles(), r.thenNow()
	return v
}

// tiles answer what somebody asks who has ten seconds: would it pass, what is lost, how
// long does it take.
func (r *Report) tiles() []tile {
	all := r.In(Outcomes...)
	part := func(n int64) string {
		if all == 0 {
			return "of none"
		}
		return percent(n, all) + " of " + number(all)
	}
	good, loss, out, open := r.In(Created, Updated), r.In(WithLoss), r.In(Parked, Blocked, Consent), r.In(Waiting, Pending)
	tiles := []tile{
		{"In Stytch as desired", number(good), part(good), ifAny(good, "good")},
		{"In Stytch with a loss", number(loss), part(loss), ifAny(loss, "loss")},
		{"Kept out", number(out), part(out), ifAny(out, "out")},
	}
	if open > 0 {
		tiles = append(tiles, tile{"Not settled", number(open), part(open), "open"})
	}
	t := tile{Title: "The calls take", Figure: span(r.Estimate.Seconds), Note: "not measured"}
	for _, l := range r.Estimate.Limits {
		if l.Name == r.Estimate.Decides {
			t.Note = fmt.Sprintf("%s at %s a second", number(l.Calls), pace(l.Rate))
		}
	}
	return append(tiles, t)
}

// ifAny keeps the alarm of a colour for what is there.
func ifAny(n int64, tone string) string {
	if n == 0 {
		return "none"
	}
	return tone
}
