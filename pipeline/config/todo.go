package config

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// todoKey is what `backstitch init` writes where a person has to decide: a key with
// one decision or a list of them, or the beginning of a value.
const todoKey = "TODO"

// todo refuses the decisions under the key TODO, each at its line.
func (d *decoder) todo(n ast.Node, path string) {
	items := []ast.Node{n}
	if seq, ok := n.(*ast.SequenceNode); ok && len(seq.Values) > 0 {
		items = seq.Values
	}
	for _, item := range items {
		what := "something"
		if s, ok := item.(*ast.StringNode); ok {
			what = s.Value
		}
		d.problem(item.GetToken(), "Decide, then remove the "+todoKey, "%s: to be decided: %s", path, strings.TrimSuffix(what, "."))
	}
}

// isTodo says whether a text is a decision that waits.
func isTodo(s string) bool { return strings.HasPrefix(strings.TrimSpace(s), todoKey+":") }
