package producers

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
)

// evaluateDefaults turns the constant defaults of a table into the type's text
// output, which a simple query prints. The others are only marked: what now() or
// nextval() would say is no property of the column. Nothing but immutable
// functions of PostgreSQL itself is ever run.
func evaluateDefaults(ctx context.Context, conn *pgx.Conn, t *rawTable) error {
	var expressions []string
	var columns []*rawColumn
	for i := range t.columns {
		c := &t.columns[i]
		if c.def == nil {
			continue
		}
		c.HasDefault = true
		if !c.fixed {
			c.Volatile = true
			continue
		}
		expressions, columns = append(expressions, "CAST("+*c.def+" AS "+c.Type.Declared+")"), append(columns, c)
	}
	if len(columns) == 0 {
		return nil
	}
	results, err := conn.PgConn().Exec(ctx, "SELECT "+strings.Join(expressions, ", ")).ReadAll()
	if err != nil && conn.PgConn().TxStatus() == 'I' && strings.HasPrefix(redact.SQLState(err), "2") {
		// A default that its own type refuses, 'toolong'::varchar(2): no row can ever have it.
		for _, c := range columns {
			c.Volatile = true
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("evaluate the constant defaults of table %s: %w", t.table.SQL(), redact.SQLError(err))
	}
	for i, c := range columns {
		value := results[0].Rows[0][i]
		if value == nil { // DEFAULT NULL::type is no default
			c.HasDefault = false
			continue
		}
		c.Default = string(value)
	}
	return nil
}
