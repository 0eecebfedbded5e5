package checksum_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/producers/checksum"
	"github.com/backstitch/backstitch/schemas"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// world is a source, and a database of copies that PostgreSQL's own subscription keeps:
// it follows as the mirror does, and has nothing of ours in it.
type world struct {
	testing.TB
	source, mirror *pgx.Conn
	cfg            *pgx.ConnConfig
	deps           checksum.Deps
	marks          int
	lacks          func(key []string) []string
	behind         string
	subscription   string
	awaited        func() // before it is waited for the mirror
}

func newWorld(tb testing.TB, ddl ...string) *world {
	tb.Helper()
	w := &world{TB: tb}
	sourceURL, mirrorURL := testenv.Postgres(tb), testenv.Postgres(tb)
	w.source, w.mirror = w.connect(sourceURL), w.connect(mirrorURL)
	w.cfg = w.source.Config()
	ddl = append(ddl, "CREATE TABLE backstitch_marks (id int PRIMARY KEY)")
	for _, sql := range ddl {
		w.exec(w.source, sql)
		w.exec(w.mirror, sql)
	}
	w.exec(w.source, "CREATE PUBLICATION p FOR ALL TABLES WITH (publish_via_partition_root = true)")
	w.deps = checksum.Deps{
		Source: w.cfg, Mirror: w.session(mirrorURL), Copy: w, Publication: "p", Slot: testenv.Name(tb), Application: "audit", Progress: func(s string) { tb.Log(s) },
	}
	return w
}

func (w *world) connect(url string) *pgx.Conn {
	w.Helper()
	conn, err := pgx.Connect(w.Context(), url)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// session has the formats that both sides must have.
func (w *world) session(url string) *pgx.Conn {
	w.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		w.Fatal(err)
	}
	for name, value := range pgsession.Ledger("audit") {
		cfg.RuntimeParams[name] = value
	}
	conn, err := pgx.ConnectConfig(w.Context(), cfg)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (w *world) exec(conn *pgx.Conn, sql string, args ...any) {
	w.Helper()
	if _, err := conn.Exec(w.Context(), sql, args...); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
}

// both runs a statement on both sides.
func (w *world) both(sql string) {
	w.Helper()
	w.exec(w.source, sql)
	w.exec(w.mirror, sql)
}

// follow has the mirror follow the source from now on.
func (w *world) follow() {
	w.Helper()
	slot := testenv.Name(w)
	w.subscription = slot
	w.exec(w.source, "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", slot)
	w.exec(w.mirror, fmt.Sprintf("CREATE SUBSCRIPTION %s CONNECTION '%s' PUBLICATION p WITH (create_slot = false, copy_data = false, slot_name = %s)",
		slot, strings.ReplaceAll(w.cfg.ConnString(), "'", "''"), slot))
	w.Cleanup(func() {
		ctx := context.Background()
		for _, sql := range []string{"ALTER SUBSCRIPTION " + slot + " DISABLE", "ALTER SUBSCRIPTION " + slot + " SET (slot_name = NONE)", "DROP SUBSCRIPTION " + slot} {
			if _, err := w.mirror.Exec(ctx, sql); err != nil {
				w.Error(err)
			}
		}
		deadline := time.Now().Add(time.Minute)
		for _, err := w.source.Exec(ctx, "SELECT pg_drop_replication_slot($1)", slot); err != nil && time.Now().Before(deadline); {
			_, err = w.source.Exec(ctx, "SELECT pg_drop_replication_slot($1)", slot)
		}
	})
}

// Await is of checksum.Copy: a mark written now comes after all that stands below lsn.
func (w *world) Await(ctx context.Context, _ schemas.LSN, _ schemas.Table) error {
	if w.behind != "" {
		return &checksum.BehindError{Why: w.behind}
	}
	if w.awaited != nil {
		w.awaited()
	}
	w.marks++
	w.exec(w.source, "INSERT INTO backstitch_marks VALUES ($1)", w.marks)
	var subscribed bool
	if err := w.mirror.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database())").Scan(&subscribed); err != nil || !subscribed {
		return err
	}
	deadline := time.Now().Add(time.Minute)
	for {
		var there bool
		if err := w.mirror.QueryRow(ctx, "SELECT EXISTS (SELECT FROM backstitch_marks WHERE id = $1)", w.marks).Scan(&there); err != nil || there {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("mark %d does not arrive", w.marks)
		}
	}
}

// Lacks is of checksum.Copy.
func (w *world) Lacks(_ context.Context, _ schemas.Table, keys [][]string) ([][]string, error) {
	lacks := make([][]string, len(keys))
	for i, key := range keys {
		if w.lacks != nil {
			lacks[i] = w.lacks(key)
		}
	}
	return lacks, nil
}

// tables describes tables of schema public as a mirror with all their columns has them.
func (w *world) tables(names ...string) []checksum.Table {
	w.Helper()
	var tables []schemas.Table
	for _, n := range names {
		tables = append(tables, schemas.Table{Schema: "public", Name: n})
	}
	described, err := producers.DescribeTables(w.Context(), w.session(w.cfg.ConnString()), tables)
	if err != nil {
		w.Fatal(err)
	}
	var list []checksum.Table
	for _, d := range described {
		t := checksum.Table{Table: d.Relation.Table, Keys: len(d.Relation.Key)}
		add := func(i int) {
			t.Columns, t.Types = append(t.Columns, d.Relation.Columns[i].Name), append(t.Types, d.Relation.Columns[i].Type.Declared)
		}
		key := map[int]bool{}
		for _, i := range d.Relation.Key {
			add(i)
			key[i] = true
		}
		for i := range d.Relation.Columns {
			if !key[i] {
				add(i)
			}
		}
		list = append(list, t)
	}
	return list
}

// compare compares, in small portions.
func (w *world) compare(names ...string) *checksum.Report {
	w.Helper()
	return w.compareBy(checksum.Config{Rows: 100, Suspects: 100}, names...)
}

func (w *world) compareBy(cfg checksum.Config, names ...string) *checksum.Report {
	w.Helper()
	r, err := checksum.Compare(w.Context(), cfg, w.deps, w.tables(names...))
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// slots counts the slots that a comparison has left.
func (w *world) slots() (n int) {
	w.Helper()
	if err := w.source.QueryRow(w.Context(), "SELECT count(*) FROM pg_replication_slots WHERE starts_with(slot_name, $1)", w.deps.Slot).Scan(&n); err != nil {
		w.Fatal(err)
	}
	return n
}
