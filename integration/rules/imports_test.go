package rules

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/backstitch/backstitch/"

// pkg is what `go list -json` says of a package; test files' imports are apart.
type pkg struct {
	ImportPath string
	Imports    []string
}

// allowed names, per folder, what its non-test files may import of this module,
// besides their own parent, schemas and internal.
var allowed = []struct{ from, to string }{
	{"producers/capture", "producers/replication"},
	{"producers/capture", "producers/backfill"},
	{"producers/capture", "producers/publisher"},
	{"producers/checksum", "producers/replication"},
	{"producers/checksum", "producers/backfill"},
	{"consumers/transform", "consumers/ledger"},
	{"consumers/transform", "consumers/transform/derive"},
	{"consumers/apply", "consumers/ledger"},
	{"consumers/apply", "consumers/stytch"},
	{"consumers/apply", "consumers/stytch/hash"},
	{"consumers/verify", "consumers/ledger"},
	{"consumers/verify", "consumers/stytch"},
	{"consumers/verify", "consumers/stytch/hash"},
	{"schemas/avro", "schemas"},
	{"schemas/registry", "schemas"},
	{"integration", ""},
	{"pipeline/cli", ""},
	{"pipeline/sandbox/postgres", "pipeline/sandbox/process"},
}

// TestImports proves the edges of the design's section 5.
func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		from := strings.TrimPrefix(p.ImportPath, module)
		for _, imported := range p.Imports {
			to, ours := strings.CutPrefix(imported, module)
			if !ours {
				continue
			}
			if why := forbidden(from, to); why != "" {
				t.Errorf("%s imports %s: %s", from, to, why)
			}
		}
	}
}

func forbidden(from, to string) string {
	stage := func(s string) bool { return under(s, "producers") || under(s, "consumers") }
	switch {
	case under(from, "pipeline/sandbox/stytch") && (stage(to) || under(to, "schemas")):
		return "the simulator stays independent of what it proves"
	case under(to, "pipeline/sandbox") && !under(from, "pipeline/sandbox") && !under(from, "pipeline/cli") && !under(from, "integration"):
		return "only pipeline/cli and integration know the sandbox"
	case under(from, "schemas") && !under(to, "schemas"), under(from, "internal") && !under(to, "internal"):
		return "the bottom imports nothing of ours"
	case under(to, "schemas") || under(to, "internal"):
		return ""
	case under(from, "producers") && under(to, "consumers"), under(from, "consumers") && under(to, "producers"):
		return "producers and consumers meet in Kafka only"
	case stage(from) && !stage(to):
		return "no stage imports pipeline"
	case stage(from) && !parent(from, to) && !listed(from, to):
		return "not an edge of the design: add it to the list only with a decision record"
	}
	return ""
}

func under(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

func parent(from, to string) bool { return strings.HasPrefix(from, to+"/") }

func listed(from, to string) bool {
	return slices.ContainsFunc(allowed, func(e struct{ from, to string }) bool {
		return under(from, e.from) && (e.to == "" || e.to == to)
	})
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
