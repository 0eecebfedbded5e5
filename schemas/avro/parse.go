package avro

import (
	"encoding/json"
	"fmt"
	"strings"
)

// parser turns a schema's JSON into nodes; references become the nodes they mean.
type parser struct{ named map[string]*node }

func parseSchema(text string) (*node, error) {
	p := parser{named: map[string]*node{}}
	n, err := p.parse([]byte(text), "")
	if err != nil {
		return nil, fmt.Errorf("parse Avro schema: %w", err)
	}
	return n, nil
}

// definition has the members of a type's JSON object that a decoder needs.
type definition struct {
	Type      json.RawMessage `json:"type"`
	Name      string          `json:"name"`
	Namespace string          `json:"namespace"`
	Fields    []struct {
		Name   string          `json:"name"`
		Type   json.RawMessage `json:"type"`
		Column string          `json:"backstitch.column"`
	} `json:"fields"`
	Items             json.RawMessage   `json:"items"`
	Values            json.RawMessage   `json:"values"`
	Symbols           []string          `json:"symbols"`
	Size              int               `json:"size"`
	Scale             int               `json:"scale"`
	Precision         int               `json:"precision"`
	LogicalType       string            `json:"logicalType"`
	ConnectType       string            `json:"connect.type"`
	ConnectName       string            `json:"connect.name"`
	ConnectParameters map[string]string `json:"connect.parameters"`
	PGType            string            `json:"backstitch.type"`
}

func (p *parser) parse(raw json.RawMessage, namespace string) (*node, error) {
	if len(raw) == 0 {
		return nil, fmt.Errorf("a type is missing")
	}
	switch raw[0] {
	case '"':
		var name string
		if err := json.Unmarshal(raw, &name); err != nil {
			return nil, err
		}
		return p.resolve(name, namespace)
	case '[':
		var branches []json.RawMessage
		if err := json.Unmarshal(raw, &branches); err != nil {
			return nil, err
		}
		n := &node{kind: "union"}
		for _, b := range branches {
			branch, err := p.parse(b, namespace)
			if err != nil {
				return nil, err
			}
			n.branches = append(n.branches, branch)
		}
		return n, nil
	}
	var d definition
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, err
	}
	var kind string
	if json.Unmarshal(d.Type, &kind) != nil { // {"type": {...}}: a wrapped type
		return p.parse(d.Type, namespace)
	}
	return p.define(kind, d, namespace)
}

func (p *parser) resolve(name, namespace string) (*node, error) {
	switch name {
	case "null", "boolean", "int", "long", "float", "double", "bytes", "string":
		return primitive(name), nil
	}
	for _, full := range []string{fullName(name, namespace), name} {
		if n := p.named[full]; n != nil {
			return n, nil
		}
	}
	return nil, fmt.Errorf("the type %q is not defined", name)
}

func fullName(name, namespace string) string {
	if namespace == "" || strings.Contains(name, ".") {
		return name
	}
	return namespace + "." + name
}

func (p *parser) define(kind string, d definition, namespace string) (*node, error) {
	n := &node{kind: kind, name: d.Name, size: d.Size, logicalType: d.LogicalType, scale: d.Scale, precision: d.Precision, pgType: d.PGType}
	n.connect.typ, n.connect.name = d.ConnectType, d.ConnectName
	for key, value := range d.ConnectParameters {
		n.connect.parameters = append(n.connect.parameters, parameter{key, value})
	}
	var err error
	switch kind {
	case "record", "enum", "fixed":
		if d.Namespace != "" {
			namespace = d.Namespace
		}
		full := fullName(d.Name, namespace)
		if i := strings.LastIndexByte(full, '.'); i >= 0 {
			namespace = full[:i]
		}
		p.named[full] = n
		for _, f := range d.Fields {
			fieldNode, err := p.parse(f.Type, namespace)
			if err != nil {
				return nil, fmt.Errorf("field %s: %w", f.Name, err)
			}
			n.fields = append(n.fields, field{name: f.Name, column: f.Column, node: fieldNode})
		}
		return n, nil
	case "array":
		n.items, err = p.parse(d.Items, namespace)
		return n, err
	case "map":
		n.items, err = p.parse(d.Values, namespace)
		return n, err
	case "null", "boolean", "int", "long", "float", "double", "bytes", "string":
		return n, nil
	}
	return p.resolve(kind, namespace)
}

func (n *node) parameter(key string) string {
	for _, p := range n.connect.parameters {
		if p.key == key {
			return p.value
		}
	}
	return ""
}

// skip passes over a value of the type.
func (n *node) skip(in *cursor) {
	switch n.kind {
	case "null":
	case "boolean":
		in.take(1)
	case "int", "long", "enum":
		in.long()
	case "float":
		in.take(4)
	case "double":
		in.take(8)
	case "bytes", "string":
		in.bytes()
	case "fixed":
		in.take(int64(n.size))
	case "union":
		if b := n.branch(in); b != nil {
			b.skip(in)
		}
	case "record":
		for _, f := range n.fields {
			f.node.skip(in)
		}
	case "array", "map":
		for count := in.block(); count > 0; count = in.block() {
			for range count {
				if in.err != nil {
					return
				}
				if n.kind == "map" {
					in.bytes()
				}
				n.items.skip(in)
			}
		}
	}
}

// branch reads a union's branch.
func (n *node) branch(in *cursor) *node {
	i := in.long()
	if i < 0 || i >= int64(len(n.branches)) {
		in.fail(errForm("a branch of a union"))
		return nil
	}
	return n.branches[i]
}
