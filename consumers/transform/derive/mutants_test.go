package derive_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// mutant is a derivation that is broken in one way: texts of its source and what
// stands there instead.
type mutant struct {
	what  string
	file  string
	edits [][2]string
}

var mutants = []mutant{
	{"LEFT JOIN: the side that may be absent is forgotten", "derive/scope.go", [][2]string{{"right = &region{in}\n", ""}}},
	{"RIGHT JOIN: the side that may be absent is forgotten", "derive/scope.go", [][2]string{{"left = &region{in}\n", ""}}},
	{"FULL JOIN is an inner one", "derive/scope.go", [][2]string{{"\t\t\tr.unknown = \"it uses FULL JOIN\"\n\t\t\treturn\n", ""}}},
	{"DISTINCT ON is plain", "derive/scope.go", [][2]string{{`if q.is("hasDistinctOn")`, `if false`}}},
	{"LIMIT and OFFSET are plain", "derive/scope.go", [][2]string{{`!q.empty("limitCount") || !q.empty("limitOffset") || `, ``}}},
	{"LIMIT of a UNION is plain", "derive/doc.go", [][2]string{{`r.unknown == "" && opaqueUnion(root)`, `false`}}},
	{"windows are plain", "derive/scope.go", [][2]string{{"if q.is(\"hasWindowFuncs\") {\n\t\tfor", "if false {\n\t\tfor"}}},
	{"an aggregate over everything is plain", "derive/scope.go", [][2]string{{`!grouped && (q.is("hasAggs") || !q.empty("havingQual"))`, `!grouped && false`}}},
	{"a group's value has the text of each of its rows", "derive/conditions.go", [][2]string{{`return !v.text || !v.folded || r.comparison(v.column) != ""`, `return true`}}},
	{"equal values have equal texts, whatever their type", "derive/follow.go", [][2]string{{`i := 0; comparison != "" && i`, `i := 0; i`}}},
	{"a self-join is read once", "derive/follow.go", [][2]string{{"ways[table] = append(ways[table], w)", "ways[table] = []way{w}"}}},
	{"a mention without a way is forgotten", "derive/follow.go", [][2]string{{`why[table] = "no equality that always`, `_ = "no equality that always`}}},
	{"every region is there", "derive/follow.go", [][2]string{{"return !regions[e.region]", "return regions == nil"}}},
	{"every operator is an equality", "derive/conditions.go", [][2]string{{` || !r.catalogue.Equality(n.oid("opno"), n.oid("inputcollid"))`, ``}}},
	{"any type may be called another", "derive/scope.go", [][2]string{{`t != typeText && t != typeVarchar`, `t == ""`}}},
	{"OR is AND", "derive/conditions.go", [][2]string{{`certain && op == "and"`, `certain`}}},
	{"NOT is nothing", "derive/conditions.go", [][2]string{{`op != "not"`, `true`}}},
	{"ALL is IN", "derive/conditions.go", [][2]string{{`n.number("subLinkType") == linkAny`, `true`}}},
	{"an expression is its first column", "derive/scope.go", [][2]string{{
		`if n == nil || n.kind != "VAR" {`,
		`walk(n, func(x *node) bool { if x.kind == "VAR" && n.kind != "VAR" && n.kind != "SUBLINK" { n = x }; return x.kind != "SUBLINK" }); if n == nil || n.kind != "VAR" {`,
	}}},
	{"a CTE that is used twice is one", "derive/scope.go", [][2]string{{
		"s.subs[index] = r.subquery(q, at, in)",
		"if onces[q] == nil { onces[q] = r.subquery(q, at, in) }; s.subs[index] = onces[q]",
	}, {"// reading is what", "var onces = map[*node]*scope{}\n\n// reading is what"}}},
	{"LATERAL: every column is of the query itself", "derive/scope.go", [][2]string{{`for range n.number("varlevelsup")`, `for range 0`}}},
	{"subqueries in expressions are always there", "derive/conditions.go", [][2]string{{"r.query(n, s, &region{in})", "r.query(n, s, in)"}}},
	{"a subquery that chooses is always there", "derive/scope.go", [][2]string{{"\tif opaque, _ := shape(q); opaque {\n\t\tin = &region{in}\n\t}\n", ""}}},
	{"only the first SELECT of a UNION is read", "derive/doc.go", [][2]string{
		{"var list []arm\n\twalk(q.fields[\"setOperations\"]", "var list []arm\n\tdefer func() { list = list[:1] }()\n\twalk(q.fields[\"setOperations\"]"},
		{"\n\treturn list\n}\n\nfunc opaqueUnion", "\n\treturn list[:1]\n}\n\nfunc opaqueUnion"},
		{"case !t.seen && why[t.table] == \"\":", "case false:"},
	}},
}

// TestMutants breaks the derivation in every way that is listed and sees that the
// drawn mappings notice. It takes minutes: BACKSTITCH_MUTANTS=1 asks for it, a regular
// expression for those whose description it matches.
func TestMutants(t *testing.T) {
	asked := os.Getenv("BACKSTITCH_MUTANTS")
	if asked == "" {
		t.Skip("BACKSTITCH_MUTANTS is not set")
	}
	if asked == "1" {
		asked = ""
	}
	which, err := regexp.Compile(asked)
	if err != nil {
		t.Fatalf("BACKSTITCH_MUTANTS: %v", err)
	}
	for _, m := range mutants {
		if !which.MatchString(m.what) {
			continue
		}
		t.Run(m.what, func(t *testing.T) {
			t.Parallel()
			m.caught(t)
		})
	}
}

func (m mutant) caught(t *testing.T) {
	original, err := filepath.Abs(filepath.Join("..", m.file))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	for _, edit := range m.edits {
		if n := bytes.Count(source, []byte(edit[0])); n != 1 {
			t.Fatalf("%s has %q %d times", m.file, edit[0], n)
		}
		source = bytes.Replace(source, []byte(edit[0]), []byte(edit[1]), 1)
	}
	dir := t.TempDir()
	broken, overlay := filepath.Join(dir, "broken.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {original: broken}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{broken: source, overlay: replace} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-count=1", "-vet=off", "-timeout=15m",
		"-run=^TestDerivedRoutesMissNothing$", "..", "-rapid.nofailfile", "-rapid.shrinktime=1ms")
	cmd.Env = append(os.Environ(), "BACKSTITCH_MUTANTS=")
	if os.Getenv("BACKSTITCH_DERIVED_FOR") == "" {
		cmd.Env = append(cmd.Env, "BACKSTITCH_DERIVED_FOR=3m")
	}
	out, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("and was not touched")) {
		t.Errorf("the drawn mappings do not notice: %v\n%s", err, out)
	}
}
