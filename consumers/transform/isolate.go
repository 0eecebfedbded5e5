package transform

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// tryRows runs do in a savepoint. When a row's values made it fail, what it did is
// undone and the SQLSTATE returned; any other error is returned as such.
func tryRows(ctx context.Context, tx pgx.Tx, do func(tx pgx.Tx) error) (state string, err error) {
	savepoint, err := tx.Begin(ctx)
	if err != nil {
		return "", err
	}
	if err := do(savepoint); err != nil {
		state := rowState(err)
		if state == "" {
			return "", err
		}
		if rerr := savepoint.Rollback(ctx); rerr != nil {
			return "", rerr
		}
		return state, nil
	}
	return "", savepoint.Commit(ctx)
}

// rowState is the SQLSTATE of an error that a row's values cause, or "": data
// exceptions, cardinality and constraint violations (domains), exceeded limits
// and raised errors. Everything else fails for any row.
func rowState(err error) string {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || len(pg.Code) != 5 {
		return ""
	}
	switch pg.Code[:2] {
	case "21", "22", "23", "38", "39", "54", "P0":
		return pg.Code
	}
	return ""
}

// keyPair is a key as the mapping has it, as text; a part that is not asked for
// is empty.
type keyPair struct{ org, key string }

// fill evaluates the mapping for keys into the workspace. A row that cannot be
// evaluated fails its whole statement: the keys are halved until it stands alone,
// and only its entity is parked, with the SQLSTATE and nothing of the message,
// which quotes values (hazard C5).
func (e *evaluator) fill(ctx context.Context, tx pgx.Tx, m *CompiledMapping, part int, keys []keyPair) error {
	if len(keys) == 0 {
		return nil
	}
	state, err := tryRows(ctx, tx, func(tx pgx.Tx) error {
		orgs, entities := columnsOf(m, part, keys)
		_, err := tx.Exec(ctx, fillSQL(m, part), keyArgs(part, m.Kind, orgs, entities)...)
		return err
	})
	if err != nil {
		return fmt.Errorf("evaluate %d keys: %w", len(keys), err)
	}
	switch {
	case state == "":
		return nil
	case len(keys) > 1:
		half := len(keys) / 2
		if err := e.fill(ctx, tx, m, part, keys[:half]); err != nil {
			return err
		}
		return e.fill(ctx, tx, m, part, keys[half:])
	case part == partFull:
		_, err := tx.Exec(ctx, `INSERT INTO pg_temp.backstitch_failed (org_key, key, reason, detail) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			keys[0].org, keys[0].key, consumers.ReasonEvaluation, "SQLSTATE "+state)
		return err
	default:
		full, err := e.expand(ctx, tx, m, part, keys[0])
		if err != nil {
			return err
		}
		return e.fill(ctx, tx, m, partFull, full)
	}
}

// expand lists the full keys behind a partial one: those that the SELECT returns
// when nothing but its keys is asked for, and those stored.
func (e *evaluator) expand(ctx context.Context, tx pgx.Tx, m *CompiledMapping, part int, k keyPair) ([]keyPair, error) {
	var found []keyPair
	state, err := tryRows(ctx, tx, func(tx pgx.Tx) error {
		orgs, entities := columnsOf(m, part, []keyPair{k})
		rows, err := tx.Query(ctx, keysSQL(m, part), keyArgs(part, m.Kind, orgs, entities)...)
		if err == nil {
			found, err = collectKeys(rows)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the keys of a row that cannot be evaluated: %w", err)
	}
	if state != "" {
		e.metrics.unlisted.Inc()
		e.log.WarnContext(ctx, "rows cannot be evaluated, not even for their keys: entities not seen before are not parked but missing",
			"kind", m.Kind, "key", redact.Key(k.org, k.key), "sqlstate", state)
	}
	rows, err := tx.Query(ctx, `SELECT org_key, key FROM backstitch.entities
		WHERE kind = $1 AND ($2 = '' OR org_key = $2) AND ($3 = '' OR key = $3)`, m.Kind, k.org, k.key)
	if err != nil {
		return nil, err
	}
	stored, err := collectKeys(rows)
	if err != nil {
		return nil, err
	}
	seen := map[keyPair]bool{}
	all := found[:0:0]
	for _, pair := range append(found, stored...) {
		if !seen[pair] {
			seen[pair] = true
			all = append(all, pair)
		}
	}
	return all, nil
}

func collectKeys(rows pgx.Rows) ([]keyPair, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (k keyPair, err error) {
		return k, row.Scan(&k.org, &k.key)
	})
}

// columnsOf splits keys into the arrays that a statement takes, each value once.
// A text that the key's type never prints is left out: the mapping cannot return
// it, and its cast would fail (a stored key of an earlier mapping).
func columnsOf(m *CompiledMapping, part int, keys []keyPair) (orgs, entities []string) {
	orgs, entities = []string{}, []string{}
	seenOrg, seenKey := map[string]bool{}, map[string]bool{}
	entityType := m.Keys[len(m.Keys)-1].Type
	for _, k := range keys {
		if part&partOrganization != 0 && !validKey(m.Keys[0].Type, k.org) ||
			part&partEntity != 0 && !validKey(entityType, k.key) {
			continue
		}
		if !seenOrg[k.org] {
			seenOrg[k.org] = true
			orgs = append(orgs, k.org)
		}
		if !seenKey[k.key] {
			seenKey[k.key] = true
			entities = append(entities, k.key)
		}
	}
	return orgs, entities
}

var uuidText = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// validKey reports whether a type prints a value as this text.
func validKey(sqlType, text string) bool {
	bits := map[string]int{"smallint": 16, "integer": 32, "bigint": 64}[sqlType]
	switch {
	case bits > 0:
		n, err := strconv.ParseInt(text, 10, bits)
		return err == nil && strconv.FormatInt(n, 10) == text
	case sqlType == "uuid":
		return uuidText.MatchString(text)
	default:
		return true
	}
}
