package config

import (
	"github.com/goccy/go-yaml/ast"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/schemas"
)

// routes decodes a mapping's routes: a table's value is text for the SELECT form
// or the word sweep, and a mapping for the columns form.
func (d *decoder) routes(n ast.Node, path string, target *Routes) {
	m, ok := mapping(n)
	if !ok {
		fix := "Write TABLE: {key column: column of the row}, or TABLE: SELECT …"
		if s, isText := n.(*ast.StringNode); isText && s.Value == "auto" {
			d.problem(n.GetToken(), "Leave the key out", "%s needs no auto: routes that are left out are derived", path)
			return
		}
		d.problem(n.GetToken(), fix, "%s wants a table's name and its route under it", path)
		return
	}
	*target = Routes{}
	head := path[:len(path)-len(".routes")]
	for _, pair := range m.Values {
		key := pair.Key.GetToken()
		if pair.Key.IsMergeKey() {
			d.problem(key, "Write the routes out", "merge keys are not taken here")
			continue
		}
		table, err := schemas.ParseTable(key.Value)
		if err != nil {
			d.problem(key, `Write it as in SQL: users, public."Team"`, "%s: %v", path, err)
			continue
		}
		if _, twice := (*target)[table]; twice {
			d.problem(key, "Give it one route", "%s names %s twice", path, table)
			continue
		}
		d.config.lines[routePath(head, table)] = key.Position.Line
		(*target)[table] = d.route(pair.Value, path+"."+key.Value)
	}
}

func (d *decoder) route(n ast.Node, path string) consumers.Route {
	m, ok := mapping(n)
	if !ok {
		s, _ := d.text(n, path)
		if s == "sweep" {
			return consumers.Route{Sweep: true}
		}
		return consumers.Route{Select: s}
	}
	columns := map[string]string{}
	for _, pair := range m.Values {
		if s, ok := d.text(pair.Value, path+"."+pair.Key.GetToken().Value); ok {
			columns[pair.Key.GetToken().Value] = s
		}
	}
	if len(columns) == 0 {
		d.problem(n.GetToken(), "Write {key column: column of the row}, or leave the table out to have its route derived", "%s names no column", path)
	}
	return consumers.Route{Columns: columns}
}
