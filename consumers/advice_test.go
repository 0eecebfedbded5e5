package consumers_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers"
)

// declared are the values of the constants of a type in entity.go.
func declared(t *testing.T, typeName string) (values []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "entity.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); !ok || id.Name != typeName {
			return true
		}
		v, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
		return true
	})
	return values
}

// A person can act on every reason and every loss (invariant 6).
func TestEveryReasonAndLossHasAdvice(t *testing.T) {
	t.Parallel()
	check := func(kind, name string, a consumers.Advice) {
		for part, s := range map[string]string{"meaning": a.Means, "fix": a.Fix, "way to end by itself": a.ByItself} {
			if s == "" {
				t.Errorf("%s %s has no %s", kind, name, part)
			}
		}
		if !strings.HasSuffix(a.Means, ".") || !strings.HasSuffix(a.Fix, ".") {
			t.Errorf("%s %s: meaning and fix are sentences", kind, name)
		}
	}
	reasons, losses := declared(t, "Reason"), declared(t, "Loss")
	if len(reasons) < 20 || len(losses) < 3 {
		t.Fatalf("found %d reasons and %d losses in entity.go", len(reasons), len(losses))
	}
	for _, r := range reasons {
		check("reason", r, consumers.Advise(consumers.Reason(r)))
		if !slices.Contains(consumers.Reasons(), consumers.Reason(r)) || consumers.Fix(consumers.Reason(r)) == "" {
			t.Errorf("reason %s is not in the list", r)
		}
	}
	for _, l := range losses {
		check("loss", l, consumers.AdviseLoss(consumers.Loss(l)))
		if !slices.Contains(consumers.Losses(), consumers.Loss(l)) || consumers.FixLoss(consumers.Loss(l)) == "" {
			t.Errorf("loss %s is not in the list", l)
		}
	}
	if len(consumers.Reasons()) != len(reasons) || len(consumers.Losses()) != len(losses) {
		t.Error("there is advice about something that is not declared, or twice")
	}
}
