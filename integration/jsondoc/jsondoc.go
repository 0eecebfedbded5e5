// Package jsondoc holds pages against the JSON that they describe.
package jsondoc

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Check fails for every JSON field of typ that no row of the page's tables names. The
// fields of a structure stand, in backquotes, in a row that begins with its path
// (`run`, `findings[].samples[]`), or in one of what it is a part of; two paths may share
// a row as `a.b`, `.c`.
func Check(t *testing.T, path string, typ reflect.Type) {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields(typ, "") {
		if !named(string(page), f.in, f.name) {
			t.Errorf("%s lacks %s", path, strings.TrimPrefix(f.in+"."+f.name, "."))
		}
	}
}

// field is a name in the structure at a path.
type field struct{ in, name string }

func fields(typ reflect.Type, in string) (list []field) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		if f.Anonymous {
			list = append(list, fields(f.Type, in)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		list = append(list, field{in, name})
		inner, brackets := f.Type, ""
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			if inner.Kind() == reflect.Slice {
				brackets = "[]"
			}
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[time.Time]() {
			list = append(list, fields(inner, strings.TrimPrefix(in+"."+name+brackets, "."))...)
		}
	}
	return list
}

func named(page, in, name string) bool {
	for line := range strings.Lines(page) {
		row, isRow := strings.CutPrefix(line, "| ")
		if !isRow {
			continue
		}
		cell, _, _ := strings.Cut(row, " |")
		if in == "" {
			if quotes(cell, name) {
				return true
			}
			continue
		}
		for around := in; around != ""; around = parent(around) {
			shared := strings.Contains(cell, "`."+around[strings.LastIndex(around, ".")+1:]+"`") && strings.Contains(cell, "`"+parent(around)+".")
			if (strings.Contains(cell, "`"+around+"`") || shared) && quotes(line, name) {
				return true
			}
		}
	}
	return false
}

func quotes(text, name string) bool {
	return strings.Contains(text, "`"+name+"`") || strings.Contains(text, "`"+name+"[]`")
}

func parent(path string) string { return path[:max(0, strings.LastIndex(path, "."))] }
