package deploy

import (
	"slices"
	"strings"
	"testing"
)

// The dashboard is one that Grafana takes: ids are unique, nothing overlaps, every
// panel says what it shows and in which unit, and shows one pipeline.
func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	var rows []string
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 || p.Title == "" {
			t.Errorf("panel %q has the id %d", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%q lies over %q, or beyond the edge", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		if p.Description == "" || p.Type != "state-timeline" && p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("panel %q lacks a description, a unit or a query", p.Title)
		}
		for _, target := range p.Targets {
			asked, _, err := selectors(target.Expr)
			if err != nil {
				t.Error(err)
			}
			for _, a := range asked {
				if !slices.Contains(a.matchers, matcher{"job", "=~", "$job"}) {
					t.Errorf("panel %q shows %s of all pipelines", p.Title, a.metric)
				}
			}
		}
	}
	if want := []string{"Overview", "Source and slot", "Kafka lag", "Transform", "Apply", "Stytch budget", "Instances"}; !slices.Equal(rows, want) {
		t.Errorf("the rows are %v", rows)
	}
	for _, v := range d.Templating.List {
		if v.Type == "query" && !strings.Contains(v.Definition, "backstitch_ledger_up") {
			t.Errorf("variable %s asks %s", v.Name, v.Definition)
		}
	}
}
