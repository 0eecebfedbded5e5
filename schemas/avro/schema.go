package avro

import (
	"encoding/json"
	"strconv"
)

// node is one Avro type. It is written by json and read by parse.
type node struct {
	kind string // an Avro type name, "union", or kindRef
	name string // of a record, enum or fixed; of the type that a reference means
	// namespace is written only where the type has one of its own.
	namespace string
	fields    []field
	items     *node // of an array or map
	branches  []*node
	size      int // of a fixed

	logicalType      string
	scale, precision int // of a decimal
	connect          connect
	// pgType is the attribute backstitch.type: the PostgreSQL type behind a Debezium
	// form that several types share.
	pgType string
}

// connect holds the attributes that carry Kafka Connect's types over Avro.
type connect struct {
	typ        string
	version    int
	doc        string
	name       string
	parameters []parameter
	def        json.RawMessage
}

type parameter struct{ key, value string }

type field struct {
	name string
	node *node
	def  json.RawMessage
	// column is the attribute backstitch.column: the column's own name where Avro
	// forbids it.
	column string
}

// kindRef refers to a named type that was written before.
const kindRef = "ref"

var jsonNull = json.RawMessage("null")

func primitive(kind string) *node { return &node{kind: kind} }

// semantic is a primitive with one of Debezium's type names.
func semantic(kind, name string, params ...parameter) *node {
	return &node{kind: kind, connect: connect{version: 1, name: name, parameters: params}}
}

// optional is the union that Connect makes of a nullable type without default.
func optional(n *node) *node {
	return &node{kind: "union", branches: []*node{primitive("null"), n}}
}

func ref(name string) *node { return &node{kind: kindRef, name: name} }

// object writes JSON members in the order of the calls.
type object struct{ b []byte }

func (o *object) raw(key string, value []byte) {
	if len(o.b) == 0 {
		o.b = append(o.b, '{')
	} else {
		o.b = append(o.b, ',')
	}
	o.b = append(append(append(o.b, quote(key)...), ':'), value...)
}

func (o *object) text(key, value string) {
	if value != "" {
		o.raw(key, quote(value))
	}
}

func (o *object) number(key string, value int) { o.raw(key, strconv.AppendInt(nil, int64(value), 10)) }

func (o *object) end() []byte { return append(o.b, '}') }

func quote(s string) []byte {
	b, _ := json.Marshal(s) // a string always has a JSON form
	return b
}

func list[T any](items []T, one func(T) []byte) []byte {
	b := []byte{'['}
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, one(item)...)
	}
	return append(b, ']')
}

// json writes the type as Avro's JSON, members in a fixed order, so that one
// relation always gives one text.
func (n *node) json() []byte {
	switch n.kind {
	case "union":
		return list(n.branches, (*node).json)
	case kindRef:
		return quote(n.name)
	}
	var o object
	o.text("type", n.kind)
	o.text("name", n.name)
	o.text("namespace", n.namespace)
	if n.kind == "record" {
		o.raw("fields", list(n.fields, field.json))
	}
	if n.items != nil {
		o.raw("items", n.items.json())
	}
	if n.logicalType == "decimal" {
		o.number("scale", n.scale)
		o.number("precision", n.precision)
	}
	n.connect.json(&o)
	o.text("logicalType", n.logicalType)
	o.text("backstitch.type", n.pgType)
	if n.name == "" && len(o.b) == len(`{"type":""`)+len(n.kind) {
		return quote(n.kind)
	}
	return o.end()
}

func (c connect) json(o *object) {
	o.text("connect.type", c.typ)
	o.text("connect.doc", c.doc)
	if c.version != 0 {
		o.number("connect.version", c.version)
	}
	if len(c.parameters) > 0 {
		var p object
		for _, param := range c.parameters {
			p.raw(param.key, quote(param.value))
		}
		o.raw("connect.parameters", p.end())
	}
	if c.def != nil {
		o.raw("connect.default", c.def)
	}
	o.text("connect.name", c.name)
}

func (f field) json() []byte {
	var o object
	o.text("name", f.name)
	o.raw("type", f.node.json())
	if f.def != nil {
		o.raw("default", f.def)
	}
	o.text("backstitch.column", f.column)
	return o.end()
}
