package transform

import (
	"fmt"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/schemas"
	"github.com/twmb/franz-go/pkg/kgo"
)

const typedDDL = `CREATE EXTENSION citext; CREATE SCHEMA "Kinds";
	CREATE TYPE "Kinds"."Mood" AS ENUM ('it''s "fine"', 'sad');
	CREATE DOMAIN "Kinds".short AS varchar(20) CHECK (value <> '');
	CREATE DOMAIN "Kinds".mail AS citext;
	CREATE FUNCTION only_here(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1';
	CREATE TABLE typed (id int PRIMARY KEY, mail "Kinds".mail UNIQUE, mood "Kinds"."Mood", short "Kinds".short, moods "Kinds"."Mood"[], ratio numeric(10, 2), spare text);
	CREATE INDEX typed_lower ON typed (lower(short) DESC) WHERE mood IS NOT NULL;
	CREATE INDEX typed_only_here ON typed (only_here(short));
	CREATE INDEX typed_spare ON typed (spare);
	CREATE INDEX typed_pattern ON typed USING btree (short varchar_pattern_ops) INCLUDE (id);`

func typedFeeder(t testing.TB) *feeder {
	t.Helper()
	return newFeeder(t, typedDDL, public("typed"), consumers.Mapping{
		Kind: consumers.Organization,
		Select: `SELECT d.id AS organization_external_id, d.short AS organization_name, d.mood::text AS organization_slug,
			jsonb_build_object('mail', d.mail, 'moods', d.moods, 'ratio', d.ratio) AS trusted_metadata FROM typed d`,
		Routes: map[schemas.Table]consumers.Route{public("typed")[0]: {Columns: map[string]string{"organization_external_id": "id"}}},
	})
}

// hazards C7 and C19: the mirror has the source's types, and plain copies of those
// of its indexes that it can have.
func TestTheMirrorHasTheSourcesTypesAndIndexes(t *testing.T) {
	t.Parallel()
	f := typedFeeder(t)
	tr := f.start()
	f.reading().insert("typed", 1, "Jane@corp.example", `it's "fine"`, "one", "{sad}", "1.50", nil).end()
	f.loaded()
	f.evaluated(tr)
	f.same()
	var columns, indexes string
	f.check(f.pool.QueryRow(f.ctx, `SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute
		WHERE attrelid = 'typed'::regclass AND attnum > 0 AND NOT attisdropped`).Scan(&columns))
	if want := `id integer, mail "Kinds".mail, mood "Kinds"."Mood", short "Kinds".short, moods "Kinds"."Mood"[], ratio numeric(10,2)`; columns != want {
		t.Errorf("the mirror has columns %s, want %s", columns, want)
	}
	f.check(f.pool.QueryRow(f.ctx, `SELECT string_agg(indexrelid::regclass || CASE WHEN indisunique THEN ' unique' ELSE '' END, ', ' ORDER BY indexrelid::regclass::text)
		FROM pg_index WHERE indrelid = 'typed'::regclass AND NOT indisprimary`).Scan(&indexes))
	if want := "typed_lower, typed_mail_key, typed_pattern"; indexes != want { // one calls what only the source has, one a column that nothing reads
		t.Errorf("the mirror has indexes %s, want %s", indexes, want)
	}
}

// invariants 6 and 9: a value that Avro cannot carry travels as NULL with its text
// in a header, and the mirror gets the value.
func TestAValueWithoutAvroForm(t *testing.T) {
	t.Parallel()
	f := typedFeeder(t)
	tr := f.start()
	f.loaded()
	f.evaluated(tr)
	nan := kgo.RecordHeader{Key: headerValue + "ratio", Value: []byte("NaN")}
	tx := f.begin()
	f.sql(`INSERT INTO typed VALUES (1, 'a', 'sad', 'one', '{}', 'NaN'), (2, 'b', 'sad', 'two', '{}', NULL)`)
	tx.add("typed", tx.version(), schemas.Create, nil, row([]any{1, "a", "sad", "one", "{}", nil, nil}), nan)
	tx.add("typed", tx.version(), schemas.Create, nil, row([]any{2, "b", "sad", "two", "{}", nil, nil}))
	tx.end()
	f.evaluated(tr)
	f.same()
	if n := f.number(`SELECT count(*) FROM typed WHERE (id = 1 AND ratio = 'NaN') OR (id = 2 AND ratio IS NULL)`); n != 2 {
		t.Error("the mirror does not have NaN where the source has it")
	}
	if n := f.number(`SELECT count(*) FROM backstitch.entities WHERE key = '1' AND desired->'trusted_metadata'->>'ratio' = 'NaN'`); n != 1 {
		t.Error("the mapping does not see NaN")
	}
}

// hazard C19: a label that an enum gets later reaches the mirror with the first row
// that has it, at its place in the enum's order.
func TestAnEnumGetsALabel(t *testing.T) {
	t.Parallel()
	f := typedFeeder(t)
	tr := f.start()
	f.reading().insert("typed", 1, "a", "sad", "one", "{}", nil, nil).end()
	f.loaded()
	f.evaluated(tr)
	f.sql(`ALTER TYPE "Kinds"."Mood" ADD VALUE 'so-so' BEFORE 'sad'`)
	f.sql(`ALTER TYPE "Kinds"."Mood" ADD VALUE 'E\nd'`)
	captured, err := describeSource(f.ctx, f.legacy, f.cfg.Tables)
	f.check(err)
	f.describe(captured[0].Relation)
	f.begin().insert("typed", 2, "b", "so-so", "two", `{so-so,"E\\nd"}`, nil, nil).update("typed", 1, "a", `E\nd`, "one", "{}", nil, nil).end()
	f.evaluated(tr)
	f.same()
	var labels string
	f.check(f.pool.QueryRow(f.ctx, `SELECT string_agg(l::text, ' < ' ORDER BY l) FROM unnest(enum_range(NULL::"Kinds"."Mood")) l`).Scan(&labels))
	if want := `it's "fine" < so-so < sad < E\nd`; labels != want {
		t.Errorf("the mirror's labels are %s, want %s", labels, want)
	}
	if tr.Status().Held != nil {
		t.Errorf("held: %v", tr.Status().Held)
	}
}

// hazards C9 and C21: a column that appears and that no mapping reads changes
// nothing here; rows written before and after it are followed.
func TestAColumnThatNobodyReadsAppears(t *testing.T) {
	t.Parallel()
	f := docsFeeder(t)
	tr := f.start()
	f.reading().insert("docs", 1, "a", "BIG", "u", "w").end()
	f.loaded()
	f.evaluated(tr)
	f.sql("ALTER TABLE docs ADD COLUMN later int NOT NULL DEFAULT 7")
	captured, err := describeSource(f.ctx, f.legacy, f.cfg.Tables)
	f.check(err)
	f.describe(captured[0].Relation)
	tx := f.begin().control(schemas.ControlColumns, "docs", "later")
	tx.update("docs", 1, "a2", toasted{}, "u", "w", 8).insert("docs", 2, "b", nil, "u", "w", 9).end()
	f.evaluated(tr)
	f.same()
	if tr.Status().Held != nil {
		t.Errorf("held: %v", tr.Status().Held)
	}
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE desired->>'organization_name' = ANY ('{a2,b}')"); n != 2 {
		t.Errorf("%d of 2 entities were evaluated", n)
	}
	f.stop(tr)
	tr = f.start() // and a new owner sees it from the start
	f.begin().update("docs", 2, fmt.Sprint("b", 2), nil, "u", "w", 9).end()
	f.evaluated(tr)
	f.same()
}
