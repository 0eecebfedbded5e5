package transform

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// view is what PostgreSQL's catalogue says about a SELECT.
type view struct {
	columns   []viewColumn
	relations []relationRef
	wholeRow  bool
	changed   uint32 // OID of the relation "changed" of a route, else 0
	tree      string // as pg_rewrite keeps it
}

type viewColumn struct {
	name string
	oid  uint32
}

// relationRef is a relation that a view reads, and the columns it names.
type relationRef struct {
	oid     uint32
	schema  string
	name    string
	kind    string
	columns []int16
}

// view makes a temporary view of a SELECT and asks the catalogue about it. A
// statement that PostgreSQL refuses becomes a finding and a nil view.
func (c *compiler) view(ctx context.Context, where, sql string) (*view, error) {
	c.views++
	name := fmt.Sprintf("backstitch_view_%d", c.views)
	prefix := "CREATE TEMP VIEW " + name + " AS\n"
	savepoint, err := c.tx.Begin(ctx)
	if err != nil {
		return nil, err
	}
	// hazard C20: the extended protocol takes one statement, and a view takes no
	// statement that changes data.
	_, err = savepoint.Conn().PgConn().ExecParams(ctx, prefix+sql, nil, nil, nil, nil).Close()
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) {
		if rerr := savepoint.Rollback(ctx); rerr != nil {
			return nil, rerr
		}
		c.refused(where, sql, refusal, len([]rune(prefix)))
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := savepoint.Commit(ctx); err != nil {
		return nil, err
	}
	v := new(view)
	if v.columns, err = c.viewColumns(ctx, name); err != nil {
		return nil, err
	}
	return v, c.inspect(ctx, where, name, v)
}

// refused turns PostgreSQL's refusal of a SELECT into a finding. No row was read:
// its message quotes the mapping, not data.
func (c *compiler) refused(where, sql string, e *pgconn.PgError, offset int) {
	what := "is not accepted by PostgreSQL: " + e.Message + " (SQLSTATE " + e.Code + ")"
	if at := int(e.Position) - offset - 1; at >= 0 && at <= len([]rune(sql)) {
		before := string([]rune(sql)[:at])
		line := strings.Count(before, "\n")
		what += fmt.Sprintf(", line %d column %d", line+1, len([]rune(before[strings.LastIndex(before, "\n")+1:]))+1)
	}
	fix := "Try it in psql on the source, with search_path " + searchPath
	switch {
	case e.Code == "42501" && strings.Contains(e.Message, "temporary"):
		fix = "GRANT TEMPORARY ON DATABASE to the role that reads the source"
	case e.Code == "42601" && strings.Contains(e.Message, "multiple commands"), e.Code == "0A000":
		fix = "Write one SELECT that changes nothing"
	case e.Hint != "":
		fix = strings.TrimRight(e.Hint, ".")
	}
	c.refuse(where, fix, "%s", what)
}

func (c *compiler) viewColumns(ctx context.Context, name string) ([]viewColumn, error) {
	rows, err := c.tx.Query(ctx, `SELECT attname, atttypid FROM pg_attribute
		WHERE attrelid = to_regclass('pg_temp.' || $1) AND attnum > 0 ORDER BY attnum`, name)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (col viewColumn, err error) {
		return col, row.Scan(&col.name, &col.oid)
	})
}

var (
	nodeWholeRow  = regexp.MustCompile(`\{VAR :varno \d+ :varattno 0 `)
	nodeFunction  = regexp.MustCompile(`:(?:funcid|opfuncid|aggfnoid|winfnoid) (\d+)`)
	nodeOperator  = regexp.MustCompile(`\{OPEXPR :opno (\d+) [^{}()]*:inputcollid (\d+) `)
	nodeRelation  = regexp.MustCompile(`:relid (\d+)`)
	nodeSQLValue  = regexp.MustCompile(`\{(?:SQLVALUEFUNCTION|TABLESAMPLECLAUSE) `)
	textOfTheTime = regexp.MustCompile(`(?i)'(?:now|today|tomorrow|yesterday)'\s*::\s*(?:time|date)|(?:timestamp|timestamptz|date|time)\s+'(?:now|today|tomorrow|yesterday)'`)
)

// inspect reads a view's rule: pg_depend for tables and columns, the stored tree
// for what pg_depend leaves out (whole rows, system catalogues, functions).
func (c *compiler) inspect(ctx context.Context, where, name string, v *view) error {
	var tree, text string
	var oid uint32
	err := c.tx.QueryRow(ctx, `SELECT ev_class, ev_action::text, pg_get_viewdef(ev_class)
		FROM pg_rewrite WHERE ev_class = to_regclass('pg_temp.' || $1)`, name).Scan(&oid, &tree, &text)
	if err != nil {
		return err
	}
	v.tree = tree
	v.wholeRow = nodeWholeRow.MatchString(tree)
	if err := c.tx.QueryRow(ctx, `SELECT coalesce(to_regclass('pg_temp.changed')::oid, 0)`).Scan(&v.changed); err != nil {
		return err
	}
	if strings.Contains(tree, ":hasForUpdate true") {
		c.refuse(where, "Leave out FOR UPDATE and FOR SHARE", "locks rows")
	}
	if nodeSQLValue.MatchString(tree) || textOfTheTime.MatchString(text) {
		c.volatile(where, "the current time, the current user or a sample of the rows")
	}
	if err := c.functions(ctx, where, submatches(nodeFunction, tree)); err != nil {
		return err
	}
	relations := submatches(nodeRelation, tree)
	relations = slices.DeleteFunc(relations, func(n uint32) bool { return n == oid })
	rows, err := c.tx.Query(ctx, `SELECT r.oid, n.nspname, r.relname, r.relkind::text, coalesce(d.columns, '{}')
		FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace
		LEFT JOIN (SELECT d.refobjid, array_agg(DISTINCT d.refobjsubid::smallint) AS columns
		           FROM pg_depend d JOIN pg_rewrite w ON w.oid = d.objid
		           WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND w.ev_class = $1
		           GROUP BY 1) d ON d.refobjid = r.oid
		WHERE r.oid <> $1 AND (r.oid = ANY($2) OR d.columns IS NOT NULL) ORDER BY 2, 3`, oid, relations)
	if err != nil {
		return err
	}
	v.relations, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r relationRef, err error) {
		return r, row.Scan(&r.oid, &r.schema, &r.name, &r.kind, &r.columns)
	})
	return err
}

func submatches(pattern *regexp.Regexp, s string) []uint32 {
	var numbers []uint32
	for _, m := range pattern.FindAllStringSubmatch(s, -1) {
		if n, err := strconv.ParseUint(m[1], 10, 32); err == nil && n != 0 {
			numbers = append(numbers, uint32(n))
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// unsteady are the functions of pg_catalog that PostgreSQL calls stable because
// they do not change within a statement: between two they do.
var unsteady = []string{
	"now", "transaction_timestamp", "statement_timestamp", "current_setting", "current_schema", "current_schemas",
	"current_database", "current_query", "pg_backend_pid", "version", "inet_client_addr", "inet_server_addr", "getpgusername",
	"txid_current_snapshot", "pg_current_snapshot", "pg_get_userbyid", "has_table_privilege", "pg_has_role",
}

// functions refuses what yields another result without a row's change (hazard
// C19), and what the ledger cannot call.
func (c *compiler) functions(ctx context.Context, where string, oids []uint32) error {
	rows, err := c.tx.Query(ctx, `SELECT p.proname, n.nspname, p.provolatile::text, p.pronargs, coalesce(e.extname, '')
		FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		LEFT JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
		LEFT JOIN pg_extension e ON e.oid = d.refobjid
		WHERE p.oid = ANY($1) ORDER BY 1`, oids)
	if err != nil {
		return err
	}
	var name, schema, volatility, extension string
	var arguments int
	_, err = pgx.ForEachRow(rows, []any{&name, &schema, &volatility, &arguments, &extension}, func() error {
		switch {
		case volatility == "v",
			schema == "pg_catalog" && slices.Contains(unsteady, name),
			schema == "pg_catalog" && name == "age" && arguments == 1:
			c.volatile(where, name+"()")
		case extension != "":
			if !slices.Contains(c.extensions, extension) {
				c.extensions = append(c.extensions, extension)
			}
		case schema != "pg_catalog":
			c.refuse(where, "Write its expression into the select",
				"calls %s.%s(), which the ledger database does not have", sqlIdent(schema), sqlIdent(name))
		}
		return nil
	})
	return err
}

func (c *compiler) volatile(where, what string) {
	c.refuse(where, "A condition on the time needs the column recheck_at, which is not yet built: leave it out, or let the legacy system write a row when it comes true",
		"uses %s: its value changes without a row's change, so nothing would evaluate the entity again", what)
}
