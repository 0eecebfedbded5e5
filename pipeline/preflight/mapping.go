package preflight

import (
	"context"
	"errors"
	"slices"

	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/internal/redact"
)

// mapping compiles the mappings on the source: columns, fields, tables, routes.
func (c *check) mapping(ctx context.Context) {
	plan, err := transform.Compile(ctx, c.source, c.cfg.Source.Tables, c.cfg.Mappings())
	var findings transform.Findings
	switch {
	case errors.As(err, &findings):
		c.addFindings("mapping", findings)
		return
	case err != nil:
		c.failed("mapping", "organizations.select", redact.SQLError(err))
		return
	}
	c.plan = plan
	c.addFindings("mapping", plan.Warnings)
	c.routes(plan)
	slow, err := plan.Pushdown(ctx, c.source) // hazard C17
	switch {
	case redact.SQLState(err) == "42501": // no SELECT on a table: found by privileges
	case err != nil:
		c.failed("mapping.pushdown", "members.select", err)
	default:
		c.addFindings("mapping.pushdown", slow)
	}
}

func (c *check) addFindings(code string, findings transform.Findings) {
	for _, f := range findings {
		if f.Where == "source.tables" {
			continue // found by tables, with its reason
		}
		severity := Warning
		if f.Severity == transform.SeverityError {
			severity = Error
		}
		c.find(severity, code, f.Where, f.Fix, "%s", f.What)
	}
}

// returns says whether a mapping has a field.
func returns(m *transform.CompiledMapping, field string) bool {
	return slices.ContainsFunc(m.Fields, func(f transform.FieldColumn) bool { return f.Name == field })
}
