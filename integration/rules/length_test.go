package rules

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The limits are a smoke alarm: where one rings, look for the second job hiding
// in the file.
const (
	fileLines = 400
	testLines = 600
	funcLines = 70
)

func TestLengths(t *testing.T) {
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.Contains(path, "/testdata/") {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		limit, isTest := fileLines, strings.HasSuffix(path, "_test.go")
		if isTest {
			limit = testLines
		}
		if n := bytes.Count(src, []byte("\n")); n > limit {
			t.Errorf("%s has %d lines, over %d", path, n, limit)
		}
		if isTest {
			return nil
		}
		return functions(t, path, src)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func functions(t *testing.T, path string, src []byte) error {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, src, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		if n := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1; n > funcLines {
			t.Errorf("%s: %s has %d lines, over %d", path, f.Name.Name, n, funcLines)
		}
	}
	return nil
}
