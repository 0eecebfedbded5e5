package transform

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

const (
	// sampleKeys is how many keys Pushdown asks for: a small batch.
	sampleKeys = 50
	// rowsPerKey and freeRows bound what a filter that was pushed down reads: so many
	// rows for each key asked and each row returned, and so many at all.
	rowsPerKey = 50
	freeRows   = 2000
	// pushdownTimeout bounds one query on a database that other people use.
	pushdownTimeout = "20s"
)

// Pushdown runs the filters of the mappings, and the SELECTs of the routes, for a
// few keys and compares the rows read with the keys asked: where PostgreSQL cannot
// push the filter down, every small batch reads whole tables (hazard C17). It
// reads only, and finds warnings: such a mapping is slow, not wrong.
func (p *Plan) Pushdown(ctx context.Context, conn *pgx.Conn) ([]Finding, error) {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("judge the mappings' filters: %w", redact.SQLError(err))
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	// Small tables are read whole even where an index would do: the question is
	// whether it would.
	if _, err := tx.Exec(ctx, "SET LOCAL search_path = "+searchPath+"; SET LOCAL enable_seqscan = off; SET LOCAL jit = off; SET LOCAL statement_timeout = '"+pushdownTimeout+"'"); err != nil {
		return nil, fmt.Errorf("judge the mappings' filters: %w", redact.SQLError(err))
	}
	var findings []Finding
	for i := range p.Mappings {
		m := &p.Mappings[i]
		found, err := pushdownFilters(ctx, tx, m)
		if err != nil {
			return nil, fmt.Errorf("judge the filters of %ss: %w", m.Kind, redact.SQLError(err))
		}
		findings = append(findings, found...)
		for _, t := range sortedTables(m.Routes) {
			if m.Routes[t].Select == "" {
				continue
			}
			f, err := pushdownRoute(ctx, tx, m, t, p.Columns[t])
			if err != nil {
				return nil, fmt.Errorf("judge the route of %s: %w", t, redact.SQLError(err))
			}
			if f != nil {
				findings = append(findings, *f)
			}
		}
	}
	return findings, nil
}

// parts are the filters that a mapping is evaluated with: by full key, by
// organization (passes, organizations that appear), by entity where a route says so.
func parts(m *CompiledMapping) []int {
	list := []int{partFull}
	if len(m.Keys) == 2 {
		list = append(list, partOrganization)
		for _, r := range m.Routes {
			if p := partOf(m.Kind, r.Keys); !slices.Contains(list, p) {
				list = append(list, p)
			}
		}
	}
	return list
}

func pushdownFilters(ctx context.Context, tx pgx.Tx, m *CompiledMapping) ([]Finding, error) {
	where := string(m.Kind) + "s.select"
	var keys []keyPair
	state, err := try(ctx, tx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, fmt.Sprintf("SELECT %s %s WHERE q.%s IS NOT NULL LIMIT %d", keyColumns(m), from(m), schemas.QuoteIdent(m.Keys[0].Name), sampleKeys))
		if err == nil {
			keys, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (keyPair, error) {
				var org string
				var key *string
				err := row.Scan(&org, &key)
				if key == nil {
					key = &org // some key, for the plan
				}
				return keyPair{org, *key}, err
			})
		}
		return err
	})
	if err != nil || state != "" {
		return unjudged(where, "a sample of its keys", state), err
	}
	if len(keys) == 0 {
		return nil, nil // nothing to judge by
	}
	var findings []Finding
	for _, part := range parts(m) {
		orgs, entities := columnsOf(m, part, keys)
		if part == partOrganization { // a few organizations, not all their members
			orgs = orgs[:min(len(orgs), 3)]
		}
		args := keyArgs(part, m.Kind, orgs, entities)
		asked := 0
		for _, a := range args {
			asked = max(asked, len(a.([]string)))
		}
		scan, state, err := explain(ctx, tx, "SELECT "+desiredSQL(m)+" "+from(m)+filterSQL(m, part), args...)
		if err != nil {
			return nil, err
		}
		names := map[int]string{partFull: "its whole key", partOrganization: "the organization's key", partEntity: "external_id alone"}
		if f := judge(where, "the filter by "+names[part], scan, asked, state); f != nil && !slices.Contains(findings, *f) { // a row that cannot be evaluated is no filter's fault
			findings = append(findings, *f)
		}
	}
	return findings, nil
}

func pushdownRoute(ctx context.Context, tx pgx.Tx, m *CompiledMapping, t schemas.Table, columns []string) (*Finding, error) {
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = schemas.QuoteIdent(c)
	}
	changed := fmt.Sprintf("(SELECT %s FROM %s LIMIT %d)", strings.Join(quoted, ", "), t.SQL(), sampleKeys)
	sql := "SELECT r.* FROM " + changed + " c0, LATERAL (WITH changed AS (SELECT c0.*) SELECT * FROM (\n" + m.Routes[t].Select + "\n) route) r"
	scan, state, err := explain(ctx, tx, sql)
	if err != nil {
		return nil, err
	}
	return judge(string(m.Kind)+"s.routes."+shortName(t), "the join from a changed row to its keys", scan, sampleKeys, state), nil
}

func judge(where, what string, scan scanned, asked int, state string) *Finding {
	if state != "" {
		return &unjudged(where, what, state)[0]
	}
	if scan.read <= float64(freeRows+rowsPerKey*(asked+int(scan.returned))) {
		return nil
	}
	return &Finding{
		SeverityWarning, where, fmt.Sprintf("reads %.0f rows for %d keys (%s returns %.0f): every small change costs that much", scan.read, asked, what, scan.returned),
		"Add an index for it, or write the select so that the key columns are plain columns of tables: no expressions, no OVER (), no CTE that is used twice",
	}
}

func unjudged(where, what, state string) []Finding {
	switch state {
	case "":
		return nil
	case "57014":
		return []Finding{{SeverityWarning, where, "takes longer than " + pushdownTimeout + " for " + what, "Add an index for it, or rewrite the select"}}
	default:
		return []Finding{{SeverityWarning, where, "fails on some row with SQLSTATE " + state + ": such rows are parked", "Write it so that malformed values become NULL"}}
	}
}

// try is tryRows that also takes a time-out for an answer.
func try(ctx context.Context, tx pgx.Tx, do func(tx pgx.Tx) error) (state string, err error) {
	savepoint, err := tx.Begin(ctx)
	if err != nil {
		return "", err
	}
	if err := do(savepoint); err != nil {
		if state = rowState(err); state == "" && redact.SQLState(err) == "57014" && ctx.Err() == nil {
			state = "57014"
		}
		if state == "" {
			return "", err
		}
	}
	return state, savepoint.Rollback(ctx)
}

// scanned is what a query cost: rows that its scans read, and rows it returned.
type scanned struct{ read, returned float64 }

type planNode struct {
	Type     string     `json:"Node Type"`
	Relation string     `json:"Relation Name"`
	Rows     float64    `json:"Actual Rows"`
	Loops    float64    `json:"Actual Loops"`
	Filtered float64    `json:"Rows Removed by Filter"`
	Recheck  float64    `json:"Rows Removed by Index Recheck"`
	Plans    []planNode `json:"Plans"`
}

func (n planNode) read() float64 {
	total := 0.0
	if n.Relation != "" && strings.HasSuffix(n.Type, "Scan") {
		total = (n.Rows + n.Filtered + n.Recheck) * n.Loops
	}
	for _, p := range n.Plans {
		total += p.read()
	}
	return total
}

func explain(ctx context.Context, tx pgx.Tx, sql string, args ...any) (s scanned, state string, err error) {
	var text []byte
	state, err = try(ctx, tx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF, BUFFERS OFF, SUMMARY OFF) "+sql, args...).Scan(&text)
	})
	if err != nil || state != "" {
		return s, state, err
	}
	var plans []struct{ Plan planNode }
	if err := json.Unmarshal(text, &plans); err != nil || len(plans) != 1 {
		return s, "", fmt.Errorf("read the plan that PostgreSQL explains: %w", err)
	}
	return scanned{read: plans[0].Plan.read(), returned: plans[0].Plan.Rows}, "", nil
}
