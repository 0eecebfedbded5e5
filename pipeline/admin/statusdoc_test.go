package admin

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// The page on JSON contracts names every field of the status, as scripts read them.
func TestStatusIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/status.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range fieldsOf(reflect.TypeFor[Status](), "") {
		parent, name := "", field
		if i := strings.LastIndex(field, "."); i >= 0 {
			parent, name = field[:i+1], field[i+1:]
		}
		named := false
		for line := range strings.Lines(string(page)) {
			cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " |")
			inOwn := strings.Contains(cell, "`"+field+"`") || strings.Contains(cell, "`."+name+"`") && strings.Contains(cell, "`"+parent)
			inParent := strings.HasPrefix(line, "| `"+strings.TrimSuffix(parent, ".")+"` |") && strings.Contains(line, "`"+name+"`")
			named = named || inOwn || inParent
		}
		if !named {
			t.Errorf("docs/status.md lacks %s", field)
		}
	}
}

// fieldsOf are the paths of a type's JSON fields, with [] after a list's name.
func fieldsOf(typ reflect.Type, path string) (list []string) {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ.Kind() == reflect.Slice {
		return fieldsOf(typ.Elem(), strings.TrimSuffix(path, ".")+"[].")
	}
	if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[time.Time]() {
		return nil
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			list = append(list, fieldsOf(f.Type, path)...)
			continue
		case name == "" || name == "-":
			continue
		}
		inner := fieldsOf(f.Type, path+name+".")
		if len(inner) == 0 {
			inner = []string{path + name}
		}
		list = append(list, inner...)
	}
	return list
}
