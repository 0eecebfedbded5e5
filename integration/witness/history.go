package witness

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/schemas"
)

// The history is the source's own account: a trigger writes each row event into a
// table that nobody captures, in the transaction that makes it. A row lock is kept
// until its transaction ends, so one row's events stand in the order of their
// commits. A change of the key is two events, as it is two records.
const historySQL = `
CREATE SCHEMA IF NOT EXISTS witness;
CREATE TABLE IF NOT EXISTS witness.history (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tbl text NOT NULL,
    xid bigint NOT NULL,
    op  text NOT NULL,
    key jsonb NOT NULL,
    new jsonb
);
CREATE OR REPLACE FUNCTION witness.key(r jsonb, columns text[]) RETURNS jsonb LANGUAGE sql AS
$$ SELECT jsonb_object_agg(c, r -> c) FROM unnest(columns) c $$;
CREATE OR REPLACE FUNCTION witness.log() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    xid bigint := pg_current_xact_id()::text::bigint & 4294967295;
    o jsonb := CASE WHEN TG_OP <> 'INSERT' THEN witness.key(to_jsonb(OLD), TG_ARGV::text[]) END;
    n jsonb := CASE WHEN TG_OP <> 'DELETE' THEN witness.key(to_jsonb(NEW), TG_ARGV::text[]) END;
BEGIN
    IF o IS NOT NULL AND o IS DISTINCT FROM n THEN
        INSERT INTO witness.history (tbl, xid, op, key) VALUES (TG_RELID::regclass::text, xid, 'd', o);
        o := NULL;
    END IF;
    IF n IS NOT NULL THEN
        INSERT INTO witness.history (tbl, xid, op, key, new)
        VALUES (TG_RELID::regclass::text, xid, CASE WHEN o IS NULL THEN 'c' ELSE 'u' END, n, to_jsonb(NEW));
    END IF;
    RETURN NULL;
END $$;`

// Keep begins the history of a table whose primary key is key, with the rows that
// it holds now.
func Keep(tb testing.TB, pool *pgxpool.Pool, t schemas.Table, key ...string) {
	tb.Helper()
	ctx := context.Background()
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		for _, sql := range []string{
			historySQL,
			"LOCK TABLE " + t.SQL() + " IN SHARE ROW EXCLUSIVE MODE",
			fmt.Sprintf(`CREATE TRIGGER witness AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION witness.log('%s')`,
				t.SQL(), strings.Join(key, "', '")),
			fmt.Sprintf(`INSERT INTO witness.history (tbl, xid, op, key, new)
				SELECT tableoid::regclass::text, 0, 'c', witness.key(to_jsonb(r), ARRAY['%s']), to_jsonb(r) FROM %s r`,
				strings.Join(key, "', '"), t.SQL()),
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatalf("keep the history of %s: %v", t, err)
	}
}

// change is one row event of the history.
type change struct {
	xid int64
	op  string
	new map[string]any // nil: deleted
}

// changesOf reads a table's history by key, in JSON.
func changesOf(tb testing.TB, pool *pgxpool.Pool, t schemas.Table) map[string][]change {
	tb.Helper()
	rows, err := pool.Query(context.Background(),
		`SELECT xid, op, key, new FROM witness.history WHERE tbl = $1::regclass::text ORDER BY seq`, t.SQL())
	if err != nil {
		tb.Fatal(err)
	}
	all := map[string][]change{}
	var c change
	var key map[string]any
	var after []byte
	_, err = pgx.ForEachRow(rows, []any{&c.xid, &c.op, &key, &after}, func() error {
		c.new = nil
		if after != nil {
			if err := json.Unmarshal(after, &c.new); err != nil {
				return err
			}
		}
		k := keyText(key)
		all[k] = append(all[k], c)
		key = nil
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// keyText is a key's canonical form, over JSON's and Avro's numbers alike.
func keyText(key map[string]any) string {
	parts := map[string]string{}
	for name, v := range key {
		parts[name] = fmt.Sprint(plain(v))
	}
	b, err := json.Marshal(parts) // sorts the names
	if err != nil {
		panic(err)
	}
	return string(b)
}
