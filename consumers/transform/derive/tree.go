package derive

import (
	"errors"
	"strconv"
	"strings"
)

// node is a node of PostgreSQL's parse tree as pg_rewrite.ev_action writes it:
// {VAR :varno 1 :varattno 2 …}. A field's value is a token, a node or a list, or
// several tokens (the bytes of a constant).
type node struct {
	kind   string
	fields map[string][]any
}

type list []any

var errTree = errors.New("the tree that PostgreSQL keeps of the SELECT cannot be read")

// parse reads a tree. Its tokens are those of pg_strtok (src/backend/nodes/read.c):
// white space and ( ) { } end one unless a backslash stands before.
func parse(s string) (any, error) {
	p := &parser{rest: s}
	p.next()
	v, err := p.value()
	if err == nil && p.token != "" {
		err = errTree
	}
	return v, err
}

type parser struct{ rest, token string }

func (p *parser) next() {
	p.rest = strings.TrimLeft(p.rest, " \n\t")
	end := 0
	for end < len(p.rest) && !strings.ContainsRune(" \n\t(){}", rune(p.rest[end])) {
		if p.rest[end] == '\\' {
			end++
		}
		end++
	}
	if end == 0 && p.rest != "" {
		end = 1
	}
	end = min(end, len(p.rest))
	p.token, p.rest = p.rest[:end], p.rest[end:]
}

func (p *parser) value() (any, error) {
	switch p.token {
	case "", ")", "}":
		return nil, errTree
	case "(":
		l := list{}
		for p.next(); p.token != ")"; {
			v, err := p.value()
			if err != nil {
				return nil, err
			}
			l = append(l, v)
		}
		p.next()
		return l, nil
	case "{":
		return p.node()
	}
	token := p.token
	p.next()
	return token, nil
}

// node reads the fields of a node. A name that a person chose may begin with a
// colon: the first value of a field is a value, whatever it looks like.
func (p *parser) node() (any, error) {
	p.next()
	n := &node{kind: p.token, fields: map[string][]any{}}
	for p.next(); p.token != "}"; {
		name, isField := strings.CutPrefix(p.token, ":")
		if !isField {
			return nil, errTree
		}
		p.next()
		for first := true; first || p.token != "}" && !strings.HasPrefix(p.token, ":"); first = false {
			v, err := p.value()
			if err != nil {
				return nil, err
			}
			n.fields[name] = append(n.fields[name], v)
		}
	}
	p.next()
	return n, nil
}

// node is a field that holds one node, nil when it is empty.
func (n *node) node(field string) *node {
	if v := n.fields[field]; len(v) == 1 {
		child, _ := v[0].(*node)
		return child
	}
	return nil
}

// nodes are the nodes of a field that holds a list of them.
func (n *node) nodes(field string) []*node {
	v := n.fields[field]
	if len(v) != 1 {
		return nil
	}
	l, _ := v[0].(list)
	var children []*node
	for _, item := range l {
		child, _ := item.(*node)
		children = append(children, child)
	}
	return children
}

// empty: the field is not there, or PostgreSQL's null.
func (n *node) empty(field string) bool {
	v := n.fields[field]
	return len(v) == 0 || len(v) == 1 && v[0] == "<>"
}

func (n *node) text(field string) string {
	v := n.fields[field]
	if len(v) != 1 {
		return ""
	}
	token, _ := v[0].(string)
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		if token[i] == '\\' && i+1 < len(token) {
			i++
		}
		b.WriteByte(token[i])
	}
	return b.String()
}

func (n *node) is(field string) bool { return n.text(field) == "true" }

// number is a field's number, -1 when it holds none.
func (n *node) number(field string) int {
	i, err := strconv.Atoi(n.text(field))
	if err != nil {
		return -1
	}
	return i
}

func (n *node) oid(field string) uint32 {
	i, err := strconv.ParseUint(n.text(field), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(i)
}

// walk calls visit for every node under a value, parents first; false leaves out
// what is under one.
func walk(v any, visit func(*node) bool) {
	switch v := v.(type) {
	case list:
		for _, item := range v {
			walk(item, visit)
		}
	case []any:
		walk(list(v), visit)
	case *node:
		if v == nil || !visit(v) {
			return
		}
		for _, values := range v.fields {
			walk(values, visit)
		}
	}
}
