package config

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Load reads a file and the environment that it refers to. What is wrong with its
// content is an *Error with every problem.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return Parse(path, data, os.LookupEnv)
}

// Parse reads the content of a file, whose path is for messages. lookup is where
// ${NAME} comes from.
func Parse(path string, data []byte, lookup func(string) (string, bool)) (*Config, error) {
	d := &decoder{config: &Config{file: path, lines: map[string]int{}}, lookup: lookup}
	root, ok := d.parse(data)
	if ok {
		d.decodeInto(root)
		if len(d.problems) == 0 {
			d.config.derive()
			d.validate()
		}
	}
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b located) int { return a.line - b.line })
		e := &Error{}
		for _, p := range d.problems {
			e.Problems = append(e.Problems, p.Problem)
		}
		return nil, e
	}
	return d.config, nil
}

// parse makes the tree of the one document. goccy's own strict decoding names the
// first problem only and overlooks a second document.
func (d *decoder) parse(data []byte) (*ast.MappingNode, bool) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		var y interface {
			GetToken() *token.Token
			GetMessage() string
		}
		if errors.As(err, &y) {
			d.problem(y.GetToken(), `Mend it there; inside {…} and […] a reference needs quotes: "${NAME}"`, "not valid YAML: %s", y.GetMessage()) // the excerpt is left out: it shows values (invariant 8)
		} else {
			d.problem(nil, "Mend it", "not valid YAML")
		}
		return nil, false
	}
	docs := slices.DeleteFunc(file.Docs, func(doc *ast.DocumentNode) bool { return doc.Body == nil || isComment(doc.Body) })
	switch {
	case len(docs) == 0:
		d.problem(nil, "Start from the commented example, pipeline/config/example.yaml", "the file is empty")
		return nil, false
	case len(docs) > 1:
		d.problem(cmp.Or(docs[1].Start, docs[1].Body.GetToken()), "Keep one document a file, without a second ---", "a second document begins here")
		return nil, false
	}
	root, ok := mapping(docs[0].Body)
	if !ok {
		d.problem(docs[0].Body.GetToken(), "Begin with name:", "the file is not a mapping of keys")
	}
	return root, ok
}

func isComment(n ast.Node) bool {
	return n.Type() == ast.CommentType || n.Type() == ast.CommentGroupType
}

// mapping is a node as a mapping: a block with one key is parsed as a node of its own.
func mapping(n ast.Node) (*ast.MappingNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n, true
	case *ast.MappingValueNode:
		return ast.Mapping(n.GetToken(), false, n), true
	}
	return nil, false
}
