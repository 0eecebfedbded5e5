package transform

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// stateTimeout is the SQLSTATE of a statement that took too long, and stateReadOnly
// of one that would have written.
const (
	stateTimeout  = "57014"
	stateReadOnly = "25006"
)

// tryRows runs do in a savepoint, each statement for at most within. When a row's
// values made it fail, or time ran out, what it did is undone and the SQLSTATE
// returned; any other error is returned as such.
func tryRows(ctx context.Context, tx pgx.Tx, within time.Duration, do func(tx pgx.Tx) error) (state string, err error) {
	savepoint, err := tx.Begin(ctx)
	if err != nil {
		return "", err
	}
	if _, err := savepoint.Exec(ctx, fmt.Sprintf("SET LOCAL statement_timeout = %d", max(1, within.Milliseconds()))); err != nil {
		return "", err
	}
	if err := do(savepoint); err != nil {
		if state = rowState(err); state == "" && redact.SQLState(err) == stateTimeout && ctx.Err() == nil {
			state = stateTimeout
		}
		if state == "" {
			return "", err
		}
		return state, savepoint.Rollback(ctx) // the time-out goes with it
	}
	if err := savepoint.Commit(ctx); err != nil {
		return "", err
	}
	_, err = tx.Exec(ctx, "SET LOCAL statement_timeout = 0")
	return "", err
}

// tryReading is tryRows for the mapping: hazard C20. A read-only transaction may
// still write temporary tables, where results go, and PostgreSQL lifts the ban with
// the savepoint that imposed it, so what comes of the results is stored in the same
// transaction. It holds for whatever the mapping calls, whatever a role may do, and
// needs no session of its own, which would not see the evaluation's snapshot.
func tryReading(ctx context.Context, tx pgx.Tx, within time.Duration, do func(tx pgx.Tx) error) (state string, err error) {
	state, err = tryRows(ctx, tx, within, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL transaction_read_only = on"); err != nil {
			return err
		}
		return do(tx)
	})
	if redact.SQLState(err) == stateReadOnly {
		return "", stage.Hold("Take the call out of the mapping: a SELECT describes entities and changes nothing",
			"the mapping calls a function that writes, and was stopped (SQLSTATE %s)", stateReadOnly)
	}
	return state, err
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
//
// A statement that takes too long is taken apart the same way (hazard C20), each
// half with half the time, so that finding the entity costs a few time-outs and not
// one per key.
func (e *evaluator) fill(ctx context.Context, tx pgx.Tx, m *CompiledMapping, part int, keys []keyPair, p *patience, within time.Duration) error {
	if len(keys) == 0 {
		return nil
	}
	state, err := tryReading(ctx, tx, within, func(tx pgx.Tx) error {
		orgs, entities := columnsOf(m, part, keys)
		_, err := tx.Exec(ctx, fillSQL(m, part), keyArgs(part, m.Kind, orgs, entities)...)
		return err
	})
	if err != nil {
		return fmt.Errorf("evaluate %d keys: %w", len(keys), err)
	}
	if state == "" {
		return nil
	}
	if state == stateTimeout {
		within = p.shorter(within)
	}
	if half := len(keys) / 2; half > 0 {
		if err := e.fill(ctx, tx, m, part, keys[:half], p, within); err != nil {
			return err
		}
		return e.fill(ctx, tx, m, part, keys[half:], p, within)
	}
	if state == stateTimeout {
		if err := p.spend(m); err != nil {
			return err
		}
	}
	full := keys
	if part != partFull {
		if full, err = e.expand(ctx, tx, m, part, keys[0], p.shortest()); err != nil {
			return err
		}
		if state != stateTimeout { // whoever took too long together is not tried one by one
			return e.fill(ctx, tx, m, partFull, full, p, within)
		}
	}
	for _, k := range full {
		_, err := tx.Exec(ctx, `INSERT INTO pg_temp.backstitch_failed (org_key, key, reason, detail) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			k.org, k.key, consumers.ReasonEvaluation, "SQLSTATE "+state)
		if err != nil {
			return err
		}
	}
	return nil
}

// slowKeys is how many keys of one transaction may take too long alone. Beyond it
// the mapping is slow, not a row: nothing is parked for that.
const slowKeys = 3

// patience is what is left of the time for the keys of one transaction.
type patience struct {
	whole time.Duration // for all of them in one statement
	slow  int           // keys that took too long alone
}

func (p *patience) shortest() time.Duration { return p.whole / 10 }

func (p *patience) shorter(within time.Duration) time.Duration { return max(within/2, p.shortest()) }

func (p *patience) spend(m *CompiledMapping) error {
	if p.slow++; p.slow <= slowKeys {
		return nil
	}
	return stage.Hold("Add an index to the source for it, or write the select so that PostgreSQL can push the keys down; `backstitch check` measures both",
		"the mapping of %ss does not answer for single keys within %s", m.Kind, p.shortest())
}

// expand lists the full keys behind a partial one: those that the SELECT returns
// when nothing but its keys is asked for, and those stored.
func (e *evaluator) expand(ctx context.Context, tx pgx.Tx, m *CompiledMapping, part int, k keyPair, within time.Duration) ([]keyPair, error) {
	var found []keyPair
	state, err := tryReading(ctx, tx, within, func(tx pgx.Tx) error {
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
