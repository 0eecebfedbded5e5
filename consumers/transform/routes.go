package transform

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// touchInfo says where the changed rows of a fill transaction come from.
type touchInfo struct {
	// Bulk: rows of a source transaction of more than 1,000 rows (hazard C18).
	Bulk      bool
	CommitLSN schemas.LSN // the oldest among the rows
	EndLSN    schemas.LSN // of the checkpoint that the fill goes to
	Epoch     uint32
	// CommitTime is the source's commit time of the oldest row.
	CommitTime time.Time
}

// router finds the entities that changed rows touch. Its routes are an
// optimisation, never a contract: audits find what they miss.
type router struct {
	plan   *Plan
	within time.Duration // for a route's SELECT
	log    *slog.Logger
}

func newRouter(plan *Plan, within time.Duration, log *slog.Logger) *router {
	return &router{plan: plan, within: within, log: log}
}

// touch records in the ledger which entities the rows of a temporary table touch.
// changed is that table's name as SQL; it has the mirror's columns of table. The
// fill calls it on the old images before it updates the mirror and on the new
// ones after it: what a row led to is lost with it otherwise (hazard C1).
func (r *router) touch(ctx context.Context, tx pgx.Tx, table schemas.Table, changed string, at touchInfo) error {
	for i := range r.plan.Mappings {
		m := &r.plan.Mappings[i]
		route, routed := m.Routes[table]
		if !routed && !slices.Contains(m.Reads, table) {
			continue
		}
		if routed {
			failed, err := r.follow(ctx, tx, m, table, route, changed, at)
			if err != nil {
				return fmt.Errorf("follow the %s route of %s: %w", m.Kind, table, redact.SQLError(err))
			}
			routed = !failed
		}
		_, err := tx.Exec(ctx, `INSERT INTO backstitch.sweeps AS s (kind, source_table, routed, changes)
			SELECT $1, $2, $3, 1 WHERE EXISTS (SELECT FROM `+changed+`)
			ON CONFLICT (kind, source_table) DO UPDATE SET changes = s.changes + 1, routed = s.routed AND excluded.routed`,
			m.Kind, table.String(), routed)
		if err != nil {
			return fmt.Errorf("note that %s changed: %w", table, redact.SQLError(err))
		}
	}
	return nil
}

// follow evaluates one route. A SELECT that fails on a row fails for the whole
// batch: the table is swept instead, so that nothing is missed (hazard C5). So is
// the table of one that takes too long (hazard C20). What it finds is written by
// the same statement, so it cannot be read-only: Compile lets no function pass that
// could write.
func (r *router) follow(ctx context.Context, tx pgx.Tx, m *CompiledMapping, table schemas.Table, route CompiledRoute, changed string, at touchInfo) (failed bool, err error) {
	found := columnsFound(m, route, changed)
	if route.Select != "" {
		found = selectFound(m, route, changed)
	}
	sql := touchSQL(m.Kind, partOf(m.Kind, route.Keys), found)
	var committed *time.Time
	if !at.CommitTime.IsZero() {
		committed = &at.CommitTime
	}
	args := []any{at.Bulk, table.String(), at.Epoch, int64(at.CommitLSN), int64(at.EndLSN), committed}
	if route.Select == "" {
		_, err = tx.Exec(ctx, sql, args...)
		return false, err
	}
	state, err := tryRows(ctx, tx, r.within, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL search_path = "+searchPath); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, sql, args...)
		return err
	})
	if state != "" {
		r.log.WarnContext(ctx, "a route cannot be evaluated for a batch; its table will be swept",
			"kind", m.Kind, "table", table.String(), "sqlstate", state)
	}
	return state != "", err
}

// The parts of a key that a touched row names.
const (
	partOrganization = 1
	partEntity       = 2
	partFull         = 3
)

func partOf(kind consumers.Kind, keys []string) int {
	names := consumers.KeyColumns(kind)
	switch {
	case len(keys) == len(names):
		return partFull
	case keys[0] == names[0]:
		return partOrganization
	default:
		return partEntity
	}
}

// touchSQL records what a query finds: org_key, key and wide, each key once.
// Arguments: bulk, table, epoch, commit LSN, end LSN, commit time.
func touchSQL(kind consumers.Kind, part int, found string) string {
	return `INSERT INTO backstitch.touched AS t
		(kind, part, org_key, key, wide, earned, source_table, epoch, commit_lsn, end_lsn, committed_at)
		SELECT '` + string(kind) + `', ` + strconv.Itoa(part) + `, f.org_key, f.key, f.wide OR $1, true, $2, $3, $4, $5, $6::timestamptz
		FROM (` + found + `) f ` + touchAgain
}

// touchAgain: one small change makes an entity's turn a live one, one change of a
// row makes a delete earned, and the oldest change is what the entity is late by.
const touchAgain = `ON CONFLICT (kind, part, org_key, key) DO UPDATE SET
		wide = t.wide AND excluded.wide, earned = t.earned OR excluded.earned, cause = excluded.cause,
		source_table = excluded.source_table, epoch = excluded.epoch, end_lsn = excluded.end_lsn,
		commit_lsn = CASE WHEN t.epoch = excluded.epoch THEN least(t.commit_lsn, excluded.commit_lsn) ELSE excluded.commit_lsn END,
		committed_at = CASE WHEN t.epoch = excluded.epoch THEN least(t.committed_at, excluded.committed_at) ELSE excluded.committed_at END`

// columnsFound reads the keys from the changed rows themselves.
func columnsFound(m *CompiledMapping, route CompiledRoute, changed string) string {
	var notNull []string
	for _, column := range route.Columns {
		notNull = append(notNull, "c."+schemas.QuoteIdent(column)+" IS NOT NULL")
	}
	slices.Sort(notNull)
	org, key := keyExpressions(m.Kind, func(name string) string {
		if column, ok := route.Columns[name]; ok {
			return "c." + schemas.QuoteIdent(column) + "::text"
		}
		return "''"
	})
	return "SELECT DISTINCT " + org + " AS org_key, " + key + " AS key, false AS wide FROM " + changed + " c WHERE " + strings.Join(notNull, " AND ")
}

// selectFound runs a route's SELECT for every changed row, so that each row's
// fan-out is known. PostgreSQL flattens a plain SELECT into one join.
func selectFound(m *CompiledMapping, route CompiledRoute, changed string) string {
	var notNull []string
	for _, name := range route.Keys {
		notNull = append(notNull, "r."+schemas.QuoteIdent(name)+" IS NOT NULL")
	}
	org, key := keyExpressions(m.Kind, func(name string) string {
		if slices.Contains(route.Keys, name) {
			return "r." + schemas.QuoteIdent(name) + "::text"
		}
		return "''"
	})
	return `SELECT org_key, key, bool_and(n > ` + strconv.Itoa(wideFanOut) + `) AS wide FROM (
		SELECT ` + org + ` AS org_key, ` + key + ` AS key, count(*) OVER (PARTITION BY c0.ctid) AS n
		FROM ` + changed + ` c0, LATERAL (WITH changed AS (SELECT c0.*) SELECT * FROM (
` + route.Select + `
		) route) r WHERE ` + strings.Join(notNull, " AND ") + `) x GROUP BY 1, 2`
}

// keyExpressions are the SQL of org_key and key; an organization's are the same.
func keyExpressions(kind consumers.Kind, column func(name string) string) (org, key string) {
	names := consumers.KeyColumns(kind)
	return column(names[0]), column(names[len(names)-1])
}
