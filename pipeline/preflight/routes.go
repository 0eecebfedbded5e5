package preflight

import (
	"fmt"
	"strings"

	"github.com/backstitch/backstitch/consumers/transform"
)

// Route says how a changed row of a table finds the entities that it touches, where
// nobody wrote a route for it.
type Route struct {
	Kind  string `json:"kind"`
	Table string `json:"table"`
	// SQL is the derived route, a SELECT over the relation changed.
	SQL string `json:"sql,omitempty"`
	// Swept says why there is none: the table is swept.
	Swept string `json:"swept,omitempty"`
}

// routes lists what was derived, and what could not be.
func (c *check) routes(plan *transform.Plan) {
	for _, m := range plan.Mappings {
		for _, t := range m.Reads {
			r := Route{Kind: string(m.Kind), Table: t.String(), Swept: m.Swept[t]}
			if route := m.Routes[t]; route.Derived {
				r.SQL = route.SQL()
			}
			if r.SQL != "" || r.Swept != "" {
				c.report.Routes = append(c.report.Routes, r)
			}
		}
	}
}

// routesText prints the derived routes as they may be written into the configuration.
func (r *Report) routesText(b *strings.Builder) {
	for i, route := range r.Routes {
		if i == 0 {
			b.WriteString("Routes that are derived from the selects (one that is written is taken instead):\n")
		}
		if route.SQL == "" {
			fmt.Fprintf(b, "  %ss.routes.%s: swept, %s\n", route.Kind, route.Table, route.Swept)
			continue
		}
		fmt.Fprintf(b, "  %ss.routes.%s:\n    %s\n", route.Kind, route.Table, strings.ReplaceAll(route.SQL, "\n", "\n    "))
	}
}
