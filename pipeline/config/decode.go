package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/backstitch/backstitch/schemas"
)

// decoder walks the file's tree and the types' tags together.
type decoder struct {
	config   *Config
	lookup   func(string) (string, bool)
	problems []located
}

type located struct {
	Problem
	line int
}

func (d *decoder) problem(at *token.Token, fix, what string, args ...any) {
	line := 1
	if at != nil && at.Position != nil {
		line = at.Position.Line
	}
	d.problemAt(line, fix, what, args...)
}

func (d *decoder) problemAt(line int, fix, what string, args ...any) {
	d.problems = append(d.problems, located{Problem{fmt.Sprintf("%s:%d", d.config.file, line), fmt.Sprintf(what, args...), fix}, line})
}

// field is a key of the format.
type field struct {
	key   string
	path  string
	tag   reflect.StructTag
	value reflect.Value
}

// fields lists the keys of a struct, those of an inlined one among them.
func fields(v reflect.Value, path string) []field {
	var out []field
	t := v.Type()
	for i := range t.NumField() {
		key, ok := t.Field(i).Tag.Lookup("key")
		switch {
		case !ok:
			continue
		case key == ",inline":
			out = append(out, fields(v.Field(i), path)...)
		default:
			out = append(out, field{key, join(path, key), t.Field(i).Tag, v.Field(i)})
		}
	}
	return out
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (d *decoder) decodeInto(root *ast.MappingNode) {
	setDefaults(reflect.ValueOf(d.config).Elem())
	d.structure(root, reflect.ValueOf(d.config).Elem(), "")
}

func setDefaults(v reflect.Value) {
	for _, f := range fields(v, "") {
		if f.value.Kind() == reflect.Struct {
			setDefaults(f.value)
		} else if s := f.tag.Get("default"); s != "" {
			if err := setScalar(f.value, s); err != nil {
				panic("config: default of " + f.key + ": " + err.Error()) // a tag of ours, pinned by a test
			}
		}
	}
}

func (d *decoder) structure(n *ast.MappingNode, v reflect.Value, path string) {
	d.keys(n, fields(v, path), path)
}

// keys decodes a block. A known key with a dot belongs into the block of the key
// before the dot, which may also be written as one value: its name.
func (d *decoder) keys(n *ast.MappingNode, all []field, path string) {
	known := slices.DeleteFunc(slices.Clone(all), func(f field) bool { return strings.Contains(f.key, ".") })
	seen := map[string]bool{}
	for _, pair := range n.Values {
		key, at := pair.Key.GetToken().Value, pair.Key.GetToken()
		d.config.lines[join(path, key)] = at.Position.Line
		i := slices.IndexFunc(known, func(f field) bool { return f.key == key })
		switch what, later := notYet[join(path, key)]; {
		case pair.Key.IsMergeKey():
			d.problem(at, "Write the keys out", "merge keys are not taken here")
		case i >= 0:
			seen[key] = true
			if m, ok := mapping(pair.Value); ok && len(inside(all, key)) > 0 {
				d.keys(m, append(inside(all, key), field{"name", join(path, key+".name"), known[i].tag, known[i].value}), join(path, key))
				continue
			}
			d.value(pair.Value, known[i])
		case key == todoKey:
			d.todo(pair.Value, join(path, key))
		case later:
			d.problem(at, "Remove "+join(path, key)+" for now", "not yet: %s is not built", what)
		case elsewhere[join(path, key)] != "":
			d.problem(at, elsewhere[join(path, key)], "unknown key %s", join(path, key))
		default:
			d.problem(at, unknownFix(key, known), "unknown key %s", join(path, key))
		}
	}
	for _, f := range known {
		if f.tag.Get("required") != "" && !seen[f.key] && !spared(f, known) {
			d.problem(n.GetToken(), strings.TrimSuffix(f.tag.Get("doc"), "."), "%s is missing", f.path)
		}
	}
}

// spared: another key of the block is set, and stands in the place of a required one.
func spared(f field, known []field) bool {
	unless := f.tag.Get("unless")
	return slices.ContainsFunc(known, func(o field) bool { return o.key == unless && o.value.Bool() })
}

// inside are the fields that a key's block holds beside its name.
func inside(all []field, key string) []field {
	var out []field
	for _, f := range all {
		if rest, ok := strings.CutPrefix(f.key, key+"."); ok {
			out = append(out, field{rest, f.path, f.tag, f.value})
		}
	}
	return out
}

func unknownFix(key string, known []field) string {
	if head, rest, ok := strings.Cut(key, "."); ok {
		return "Write it as a block: " + head + ": {" + rest + ": …}"
	}
	names := make([]string, len(known))
	for i, f := range known {
		names[i] = f.key
		if strings.EqualFold(f.key, key) || len(key) > 3 && (strings.HasPrefix(f.key, key[:4]) || strings.Contains(key, f.key)) {
			return "Did you mean " + f.key + "?"
		}
	}
	return "Known here: " + strings.Join(names, ", ")
}

// value decodes one key's value.
func (d *decoder) value(n ast.Node, f field) {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		d.problem(n.GetToken(), "Write the value out", "anchors, aliases and tags are not taken here")
		return
	case *ast.NullNode:
		d.problem(n.GetToken(), "Give it one, or remove the key", "%s has no value", f.path)
		return
	}
	switch target := f.value.Addr().Interface().(type) {
	case *Routes:
		d.routes(n, f.path, target)
	case *[]schemas.Table:
		if s, ok := n.(*ast.StringNode); ok && isTodo(s.Value) {
			d.text(n, f.path)
			return
		}
		d.list(n, f.path, func(at *token.Token, s string) {
			t, err := schemas.ParseTable(s)
			switch {
			case err != nil:
				d.problem(at, `Write it as in SQL: public.users, public."Team"`, "%s: %v", f.path, err)
			case slices.Contains(*target, t):
				d.problem(at, "Name it once", "%s names %s twice", f.path, t)
			default:
				*target = append(*target, t)
			}
		})
	case *[]string:
		d.list(n, f.path, func(_ *token.Token, s string) { *target = append(*target, s) })
	default:
		if f.value.Kind() != reflect.Struct {
			d.scalar(n, f)
			return
		}
		if d.inOneWord(n, f) {
			return
		}
		m, ok := mapping(n)
		if !ok {
			d.problem(n.GetToken(), f.tag.Get("doc"), "%s wants keys under it, not a single value", f.path)
			return
		}
		d.structure(m, f.value, f.path)
	}
}

func (d *decoder) list(n ast.Node, path string, each func(*token.Token, string)) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.problem(n.GetToken(), "Write it as [a, b], or one a line after -", "%s wants a list", path)
		return
	}
	for _, item := range seq.Values {
		if s, ok := d.text(item, path); ok {
			each(item.GetToken(), s)
		}
	}
}

// text is a scalar that was written as a string, with its references replaced.
func (d *decoder) text(n ast.Node, path string) (string, bool) {
	var s string
	switch n := n.(type) {
	case *ast.StringNode:
		s = n.Value
	case *ast.LiteralNode:
		s = n.Value.Value
	default:
		d.problem(n.GetToken(), "Put it into quotes if it is meant as text", "%s wants text", path)
		return "", false
	}
	if isTodo(s) {
		d.problem(n.GetToken(), "Decide, and write it in the place of the "+todoKey, "%s is to be decided", path)
		return "", false
	}
	if strings.HasSuffix(path, ".select") || strings.Contains(path, ".routes.") {
		return s, true // SQL stays as it is written: its digest must not depend on an environment
	}
	s, err := expand(s, d.lookup)
	if err != nil {
		d.problem(n.GetToken(), referenceFix(err), "%s: %v", path, err)
		return "", false
	}
	return s, true
}

func (d *decoder) scalar(n ast.Node, f field) {
	text := f.value.Kind() == reflect.String || f.value.Kind() == reflect.Int64 || f.value.Type() == reflect.TypeFor[Rate]()
	var s string
	switch node := n.(type) {
	case *ast.IntegerNode, *ast.BoolNode, *ast.FloatNode:
		if s = node.GetToken().Value; text && (s != "0" || !isSize(f)) {
			d.problem(n.GetToken(), "Put it into quotes if it is meant", "%s wants %s", f.path, wants(f))
			return
		}
	case *ast.StringNode, *ast.LiteralNode:
		var ok bool
		if s, ok = d.text(n, f.path); !ok {
			return
		}
		if !text && s == node.GetToken().Value {
			s = "" // text where a number or truth value is wanted, unless it came from a reference
		}
	default:
		d.notScalar(n, f)
		return
	}
	if err := setScalar(f.value, s); err != nil {
		d.problem(n.GetToken(), "", "%s wants %s", f.path, wants(f))
		return
	}
	d.limits(n, f)
}

func isSize(f field) bool { return f.value.Type() == reflect.TypeFor[int64]() }

// notScalar names a block where the format has a single value.
func (d *decoder) notScalar(n ast.Node, f field) {
	if m, ok := mapping(n); ok {
		for _, pair := range m.Values {
			if fix := elsewhere[join(f.path, pair.Key.GetToken().Value)]; fix != "" {
				d.problem(pair.Key.GetToken(), fix, "%s wants %s, not keys", f.path, wants(f))
				return
			}
		}
	}
	d.problem(n.GetToken(), strings.TrimSuffix(f.tag.Get("doc"), "."), "%s wants %s, not a list or keys", f.path, wants(f))
}

// limits checks the tags min, max and oneof.
func (d *decoder) limits(n ast.Node, f field) {
	if one := f.tag.Get("oneof"); one != "" && !slices.Contains(strings.Fields(one), f.value.String()) {
		d.problem(n.GetToken(), "", "%s wants %s", f.path, wants(f))
	}
	for tag, wrong := range map[string]func(v, limit int64) bool{
		"min": func(v, limit int64) bool { return v < limit },
		"max": func(v, limit int64) bool { return v > limit },
	} {
		s := f.tag.Get(tag)
		if s == "" {
			continue
		}
		limit := reflect.New(f.value.Type()).Elem()
		if err := setScalar(limit, s); err != nil {
			panic("config: " + tag + " of " + f.path + ": " + err.Error()) // a tag of ours
		}
		if wrong(f.value.Int(), limit.Int()) {
			d.problem(n.GetToken(), "", "%s wants %s", f.path, wants(f))
		}
	}
}

// setScalar sets a field from its text form.
func setScalar(v reflect.Value, s string) (err error) {
	switch v.Addr().Interface().(type) {
	case *time.Duration:
		var dur time.Duration
		dur, err = time.ParseDuration(s)
		v.SetInt(int64(dur))
		return err
	case *int64:
		var n int64
		n, err = ParseSize(s)
		v.SetInt(n)
		return err
	case *Rate:
		var r Rate
		r, err = ParseRate(s)
		v.SetInt(int64(r))
		return err
	}
	switch v.Kind() {
	case reflect.Int:
		var n int64
		n, err = strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, 32)
		v.SetInt(n)
	case reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(s)
		v.SetBool(b)
	default:
		v.SetString(s)
	}
	return err
}

// wants says in words what a scalar field takes.
func wants(f field) string {
	if one := f.tag.Get("oneof"); one != "" {
		return strings.ReplaceAll(one, " ", " or ")
	}
	var s string
	switch f.value.Interface().(type) {
	case time.Duration:
		s = "a duration such as 30s or 15m"
	case Rate:
		return "requests per second from 1/s to 10000/s, such as 60/s"
	case int64:
		return "a size such as 512MB or 10GB"
	case bool:
		return "true or false"
	case int:
		s = "a whole number"
	default:
		return "text"
	}
	low, high := f.tag.Get("min"), f.tag.Get("max")
	switch {
	case low != "" && high != "":
		s += " from " + low + " to " + high
	case low != "":
		s += ", " + low + " or more"
	}
	return s
}
