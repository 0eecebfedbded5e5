package transform

import (
	"log/slog"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

const docsDDL = `CREATE TABLE docs (id int PRIMARY KEY, name text UNIQUE, big text, unread text, wrong text DEFAULT 'x')`

func docsMapping() consumers.Mapping {
	return consumers.Mapping{
		Kind:   consumers.Organization,
		Select: `SELECT d.id AS organization_external_id, d.name AS organization_name, d.big AS organization_logo_url FROM docs d`,
		Routes: map[schemas.Table]consumers.Route{{Schema: "public", Name: "docs"}: {Columns: map[string]string{"organization_external_id": "id"}}},
	}
}

func docsFeeder(t testing.TB) *feeder {
	t.Helper()
	return newFeeder(t, docsDDL, public("docs"), docsMapping())
}

func TestUnchangedValuesComeFromTheMirror(t *testing.T) { // hazards C15, S6
	t.Parallel()
	f := docsFeeder(t)
	tr := f.start()
	f.reading().insert("docs", 1, "a", "BIG1", "u", "w").insert("docs", 2, "b", "BIG2", "u", "w").insert("docs", 3, "c", "BIG3", "u", "w").end()
	f.loaded()
	f.evaluated(tr)
	f.begin().update("docs", 1, "a2", toasted{}, "u", "w").end()
	f.evaluated(tr)
	f.same()
	f.begin().move("docs", 1, 11, "a3", toasted{}, "u", "w").end()
	f.evaluated(tr)
	f.same()
	f.begin().update("docs", 2, "b2", "NEW2", "u", "w").move("docs", 2, 12, "b3", toasted{}, "u", "w").update("docs", 12, "b4", toasted{}, "u", "w").end()
	f.evaluated(tr)
	f.same()
	// a chain of key changes in one transaction, and a reused key
	f.begin().move("docs", 3, 13, "c1", toasted{}, "u", "w").move("docs", 13, 23, "c2", toasted{}, "u", "w").insert("docs", 3, "n", "N", "u", "w").end()
	f.evaluated(tr)
	f.same()
	if n := f.number("SELECT count(*) FROM backstitch.incomplete_rows"); n != 0 {
		t.Fatalf("%d rows are called incomplete", n)
	}
}

func TestTheMirrorHoldsLegacyColumnsAndNoConstraint(t *testing.T) { // hazards C7, C8
	t.Parallel()
	f := docsFeeder(t)
	tr := f.start()
	f.reading().insert("docs", 1, "a", nil, nil, nil).insert("docs", 2, "b", nil, nil, nil).end()
	f.loaded()
	f.evaluated(tr)
	var columns, constraints, unique string
	f.check(f.pool.QueryRow(f.ctx, `SELECT
		(SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'docs'::regclass AND attnum > 0 AND NOT attisdropped),
		(SELECT string_agg(contype::text, ',') FROM pg_constraint WHERE conrelid = 'docs'::regclass),
		(SELECT string_agg(indexrelid::regclass::text || ' ' || indisunique, ',' ORDER BY indisunique) FROM pg_index WHERE indrelid = 'docs'::regclass)`).
		Scan(&columns, &constraints, &unique))
	if columns != "id,name,big" || constraints != "p" {
		t.Errorf("columns %s and constraints %s, want what the mapping reads and the primary key", columns, constraints)
	}
	if unique != "docs_name_key false,docs_pkey true" {
		t.Errorf("indexes %s, want the primary key and a plain copy", unique)
	}
	// two rows swap a unique value in one transaction
	f.sql("ALTER TABLE docs DROP CONSTRAINT docs_name_key")
	f.begin().update("docs", 1, "b", nil, nil, nil).update("docs", 2, "a", nil, nil, nil).end()
	f.evaluated(tr)
	f.same()
}

func TestWhatNoMappingReadsWritesNothing(t *testing.T) { // hazard C21
	t.Parallel()
	f := docsFeeder(t)
	tr := f.start()
	f.reading().insert("docs", 1, "a", "B", "u", "w").end()
	f.loaded()
	f.evaluated(tr)
	before := f.number("SELECT xmin::text::bigint FROM docs")
	f.begin().update("docs", 1, "a", toasted{}, "changed", "w").end()
	f.evaluated(tr)
	if after := f.number("SELECT xmin::text::bigint FROM docs"); after != before {
		t.Error("a change that the mirror does not hold rewrote its row")
	}
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE lane = 'live'"); n != 0 {
		t.Error("a change that no mapping reads woke an entity")
	}
}

func TestHalfATransactionIsNeverEvaluated(t *testing.T) { // invariant 11, hazards C3, C14
	t.Parallel()
	f := docsFeeder(t)
	f.cfg.BatchRows = 7
	tr := f.start()
	tx := f.reading()
	for i := range 50 {
		tx.insert("docs", i, i, nil, nil, nil)
	}
	tx.end()
	f.loaded()
	f.evaluated(tr)
	before := tr.Status().Evaluated
	// one large source transaction over three Kafka transactions: everything goes and comes back
	tx = f.begin()
	for i := range 50 {
		tx.remove("docs", i)
	}
	tx.publish(false)
	f.until("the first part is filled", func() bool { return f.number("SELECT count(*) FROM docs") == 0 })
	for i := range 50 {
		tx.insert("docs", i, i, "back", nil, nil)
	}
	tx.publish(false)
	f.until("the second part is filled", func() bool { return f.number("SELECT count(*) FROM docs") == 50 })
	if tr.Status().Evaluated != before || f.number("SELECT count(*) FROM backstitch.entities WHERE desired IS NULL") != 0 {
		t.Fatal("half a transaction was evaluated")
	}
	tx.end()
	f.evaluated(tr)
	f.same()
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE desired IS NULL OR desired->>'organization_logo_url' <> 'back'"); n != 0 {
		t.Fatalf("%d entities are not as the whole transaction left them", n)
	}
}

func TestLoadingWaitsForTheFirstBackfill(t *testing.T) { // design: no half-loaded entity is ever sent
	t.Parallel()
	f := docsFeeder(t)
	tr := f.start()
	f.reading().insert("docs", 1, "a", "B", nil, nil).end()
	f.begin().update("docs", 1, "a2", toasted{}, nil, nil).end()
	f.until("the rows are filled", func() bool { return tr.Status().Read == 2 })
	if f.number("SELECT count(*) FROM backstitch.entities") != 0 || tr.Status().Phase != phaseLoading {
		t.Fatal("entities before the backfill is complete")
	}
	f.loaded()
	f.evaluated(tr)
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE lane = 'backfill' AND desired->>'organization_logo_url' = 'B'"); n != 1 {
		t.Fatal("the loaded entity is not as its rows")
	}
}

func TestAbortedTransactionsAreNoRows(t *testing.T) { // invariant 2, hazard S28
	t.Parallel()
	f := docsFeeder(t)
	tr := f.start()
	f.reading().insert("docs", 1, "a", nil, nil, nil).end()
	f.loaded()
	f.evaluated(tr)
	f.check(f.kafka.BeginTransaction())
	tx := f.begin()
	for i := range 30 {
		tx.add("docs", tx.version(), schemas.Create, nil, row([]any{100 + i, i, nil, nil, nil}))
	}
	f.check(f.kafka.ProduceSync(f.ctx, tx.records...).FirstErr())
	f.check(f.kafka.EndTransaction(f.ctx, kgo.TryAbort))
	// the checkpoint's ends lie below the aborted records, then beyond them
	f.begin().end()
	f.evaluated(tr)
	f.begin().insert("docs", 2, "b", nil, nil, nil).insert("docs", 3, "c", nil, nil, nil).insert("docs", 4, "d", nil, nil, nil).end()
	f.evaluated(tr)
	f.same()
}

func TestOnlyTheFillMayBeAsynchronous(t *testing.T) { // hazard C12
	t.Parallel()
	f := docsFeeder(t)
	acquired, err := f.pool.Acquire(f.ctx)
	f.check(err)
	defer acquired.Release()
	conn := acquired.Conn()
	s, err := takeOver(f.ctx, conn, &Config{Prefix: f.prefix, Owner: "test"})
	f.check(err)
	fill, err := newFiller(f.ctx, conn, s.term, f.prefix, nil, newRouter(f.plan, defaultKeyTimeout, slog.New(slog.DiscardHandler)))
	f.check(err)
	var inside, after string
	f.check(pgx.BeginFunc(f.ctx, conn, func(tx pgx.Tx) error {
		if err := fill.begin(f.ctx, tx); err != nil {
			return err
		}
		return tx.QueryRow(f.ctx, "SHOW synchronous_commit").Scan(&inside)
	}))
	f.check(conn.QueryRow(f.ctx, "SHOW synchronous_commit").Scan(&after))
	if inside != "off" || after != "on" {
		t.Errorf("synchronous_commit is %s in a fill and %s after it, want off and on", inside, after)
	}
}
