package deploy

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/backstitch/backstitch/integration/harness"
)

// series are the samples that a scrape shows: by metric, their labels.
type series map[string][]map[string]string

var (
	sample = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? `)
	label  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)
)

func parse(exposition string) series {
	all := series{}
	for line := range strings.Lines(exposition) {
		m := sample.FindStringSubmatch(line)
		if m == nil {
			continue // a comment
		}
		labels := map[string]string{}
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			labels[l[1]] = l[2]
		}
		all[m[1]] = append(all[m[1]], labels)
	}
	return all
}

// scraped are the labels that Prometheus adds.
var scraped = []string{"job", "instance"}

// missing says what an expression asks for that no scrape has.
func (s series) missing(expr string) []string {
	asked, grouped, err := selectors(expr)
	if err != nil {
		return []string{err.Error()}
	}
	var wrong []string
	known := slices.Clone(scraped)
	for _, a := range asked {
		if len(s[a.metric]) == 0 {
			wrong = append(wrong, a.metric+" is not served")
			continue
		}
		for _, labels := range s[a.metric] {
			known = slices.AppendSeq(known, maps.Keys(labels))
		}
		if !slices.ContainsFunc(s[a.metric], a.matches) {
			wrong = append(wrong, fmt.Sprintf("no %s has %v", a.metric, a.matchers))
		}
	}
	for _, g := range grouped {
		if !slices.Contains(known, g) {
			wrong = append(wrong, g+" is no label of what is grouped by it in "+expr)
		}
	}
	return wrong
}

// matches reports whether a series has the matchers' labels, with these values.
// Grafana's variables match anything.
func (p promSelector) matches(labels map[string]string) bool {
	for _, m := range p.matchers {
		value, has := labels[m.label]
		switch {
		case slices.Contains(scraped, m.label):
		case !has, m.op == "=" && value != m.value, m.op == "!=" && value == m.value:
			return false
		case m.op == "=~" && !regexp.MustCompile("^(?:"+m.value+")$").MatchString(value):
			return false
		}
	}
	return true
}

// Every metric, label and closed value in the alert rules and in the dashboard is what
// a running pipeline serves.
func TestEveryMetricExists(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(5)
	w := harness.New(t, o)
	p := w.Run(t)
	w.CaughtUp(t, 2*time.Minute)
	w.Exec(t, "UPDATE users SET name = 'Live' WHERE id = 1")
	expressions := map[string]string{}
	for _, r := range alerts(t) {
		expressions["alert "+r.Alert] += r.Expr + "\nor "
	}
	for where, expr := range dashboardQueries(t) {
		expressions["panel "+where] = expr + "\nor "
	}
	if len(expressions) < 50 {
		t.Fatalf("only %d expressions", len(expressions))
	}
	var wrong []string
	t.Cleanup(func() {
		for _, m := range slices.Compact(slices.Sorted(slices.Values(wrong))) {
			t.Log(m)
		}
	})
	harness.Eventually(t, 2*time.Minute, "everything that is asked for is served", func() bool { // lag is looked at every 10 s
		wrong = nil
		served := parse(p.Get(t, "/metrics"))
		for where, expr := range expressions {
			for _, m := range served.missing(expr) {
				wrong = append(wrong, where+": "+m)
			}
		}
		return len(wrong) == 0
	})
	p.Stop(t)
}

type rule struct {
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

func alerts(t *testing.T) []rule {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []rule
		}
	}
	if err := yaml.UnmarshalWithOptions([]byte(read(t, "prometheus/rules.yml")), &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// panel is what the tests need of a dashboard's panel, or row.
type panel struct {
	ID          int
	Type        string
	Title       string
	Description string
	GridPos     struct{ H, W, X, Y int }
	Panels      []panel
	Targets     []struct{ Expr string }
	FieldConfig struct {
		Defaults struct{ Unit string }
	}
}

type dashboard struct {
	UID        string
	Title      string
	Panels     []panel
	Templating struct {
		List []struct {
			Name, Type, Definition string
			Query                  any
		}
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, "grafana/backstitch.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func dashboardQueries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, p := range readDashboard(t).Panels {
		for i, target := range p.Targets {
			all[fmt.Sprintf("%s (%d)", p.Title, i)] = target.Expr
		}
	}
	return all
}
