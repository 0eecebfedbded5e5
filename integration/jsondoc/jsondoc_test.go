package jsondoc

import (
	"reflect"
	"testing"
)

func TestNamed(t *testing.T) {
	t.Parallel()
	type inner struct {
		C int `json:"c"`
	}
	type outer struct {
		A    int     `json:"a"`
		List []inner `json:"list,omitempty"`
	}
	for page, want := range map[string]int{
		"":                                     3,
		"| `a` | x |\n":                        2,
		"| `a` | x |\n| `list[]` | `c` of |\n": 0,
		"| `a` | x |\n| `list[]` | c |\n":      1,
		"| `a` | x |\n| `list` | `d`, `c` |\n": 1, // `list` is no list
		"the fields `a`, `list[]` and `c`\n":   3, // no row of a table
	} {
		lacks := 0
		for _, f := range fields(reflect.TypeFor[outer](), "") {
			if !named(page, f.in, f.name) {
				lacks++
			}
		}
		if lacks != want {
			t.Errorf("%q lacks %d fields, want %d", page, lacks, want)
		}
	}
}
