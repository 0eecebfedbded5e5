package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/integration/testenv"
)

// Every alert says what it is and where its runbook stands, and every runbook is an
// alert's.
func TestEveryAlertHasARunbook(t *testing.T) {
	var named []string
	for _, r := range alerts(t) {
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || !slices.Contains([]string{"page", "ticket"}, r.Labels["severity"]) {
			t.Errorf("%s: %v %v", r.Alert, r.Labels, r.Annotations)
		}
		path := r.Annotations["runbook_url"]
		if path != "docs/runbooks/"+r.Alert+".md" {
			t.Errorf("the runbook of %s is %q", r.Alert, path)
			continue
		}
		named = append(named, path)
		text := read(t, "../"+path)
		for _, part := range []string{"# " + r.Alert + "\n", "\n## Why it matters\n", "\n## Look\n", "\n## Do\n", "\nThe alert ends when "} {
			if !strings.Contains(text, part) {
				t.Errorf("%s lacks %q", path, part)
			}
		}
	}
	files, err := filepath.Glob("../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if path := strings.TrimPrefix(filepath.ToSlash(f), "../"); !slices.Contains(named, path) {
			t.Errorf("%s is of no alert", path)
		}
	}
}

// Links of the pages of this part lead somewhere.
func TestLinksOfRunbooks(t *testing.T) {
	files, err := filepath.Glob("../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, "../docs/deploy.md", "../docs/sizing.md") {
		for _, link := range regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(read(t, f), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(f), link[1])); err != nil {
				t.Errorf("%s links to %s: %v", f, link[1], err)
			}
		}
	}
}

// Every alert fires where it should, and none where all is well: played by promtool
// where it is installed (Debian's package prometheus).
func TestAlertsFire(t *testing.T) {
	test := read(t, "prometheus/rules_test.yml")
	for _, r := range alerts(t) {
		if fires := strings.Contains(test, "        alertname: "+r.Alert+"\n"); !fires || !strings.Contains(test, "{eval_time: 100m, alertname: "+r.Alert+"}") {
			t.Errorf("rules_test.yml does not show %s fire, and be silent", r.Alert)
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		testenv.Missing(t, "promtool: install Debian's prometheus")
	}
	if out, err := exec.Command(promtool, "test", "rules", "prometheus/rules_test.yml").CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}
