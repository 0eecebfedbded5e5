package config

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/backstitch/backstitch/schemas"
)

// Schema is the JSON schema of the format, for editors; it stands in
// docs/config.schema.json.
func Schema() []byte {
	root := object(reflect.TypeFor[Config]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Backstitch pipeline"
	b, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("config: schema: " + err.Error()) // maps and strings only
	}
	return append(b, '\n')
}

func object(t reflect.Type) map[string]any {
	return block(fields(reflect.New(t).Elem(), ""))
}

func block(all []field) map[string]any {
	properties, required, spared := map[string]any{}, []string{}, map[string][]string{}
	for _, f := range all {
		if strings.Contains(f.key, ".") {
			continue // stands in the block of the key before the dot
		}
		p := property(f)
		if more := inside(all, f.key); len(more) > 0 {
			p = map[string]any{"anyOf": []any{p, block(append(more, field{"name", f.path, f.tag, f.value}))}}
		}
		if _, ok := f.value.Interface().(Kafka); ok {
			p = map[string]any{"anyOf": []any{map[string]any{"const": embeddedWord}, p}}
		}
		if doc := f.tag.Get("doc"); doc != "" {
			p["description"] = doc
		}
		properties[f.key] = p
		switch instead := f.tag.Get("unless"); {
		case f.tag.Get("required") == "":
		case instead == "":
			required = append(required, f.key)
		default:
			spared[instead] = append(spared[instead], f.key)
		}
	}
	b := map[string]any{"type": "object", "additionalProperties": false, "properties": properties, "required": required}
	for instead, keys := range spared {
		b["anyOf"] = []any{map[string]any{"required": keys}, map[string]any{"required": []string{instead}}}
	}
	return b
}

// reference is what stands for any value that is not text: it comes from the environment.
const referencePattern = `^\$\{[^}]+\}$`

func property(f field) map[string]any {
	text := map[string]any{"type": "string"}
	p := text
	switch f.value.Interface().(type) {
	case time.Duration:
		p["pattern"] = `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$|` + referencePattern
	case Rate:
		p["pattern"] = `^[0-9]+/s$|` + referencePattern
	case int64:
		p["pattern"] = `^0$|^[0-9]+(\.[0-9]+)? *(kB|MB|GB|TB)$|` + referencePattern
		p["type"] = []string{"string", "integer"}
	case []string, []schemas.Table:
		return map[string]any{"type": "array", "items": text, "minItems": 1}
	case Routes:
		columns := map[string]any{"type": "object", "additionalProperties": text, "minProperties": 1}
		return map[string]any{"type": "object", "additionalProperties": map[string]any{"anyOf": []any{columns, text}}}
	case bool:
		p = orReference("boolean")
	case int:
		p = orReference("integer")
		for tag, name := range map[string]string{"min": "minimum", "max": "maximum"} {
			if n, err := strconv.Atoi(f.tag.Get(tag)); err == nil {
				p[name] = n
			}
		}
	default:
		if f.value.Kind() == reflect.Struct {
			return object(f.value.Type())
		}
	}
	if one := f.tag.Get("oneof"); one != "" {
		p["enum"] = strings.Fields(one)
	}
	if s := f.tag.Get("default"); s != "" {
		p["default"] = schemaDefault(f, s)
	}
	return p
}

func orReference(kind string) map[string]any {
	return map[string]any{"type": []string{kind, "string"}, "pattern": referencePattern}
}

func schemaDefault(f field, s string) any {
	v := reflect.New(f.value.Type()).Elem()
	if err := setScalar(v, s); err != nil {
		return s
	}
	if v.Kind() == reflect.Bool || v.Kind() == reflect.Int {
		return v.Interface()
	}
	return s
}
