package transform

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// world is a ledger with a mirror, and a legacy database beside it, in the schema
// legacy of the same database: what the legacy system commits is filled into the
// mirror as the transform does it, without the topics between.
type world struct {
	t      testing.TB
	ctx    context.Context
	url    string
	pool   *pgxpool.Pool
	tables []schemas.Table
	plan   *Plan
	router *router
	eval   *evaluator
	clock  time.Time
	lsn    schemas.LSN
}

func public(names ...string) []schemas.Table {
	var tables []schemas.Table
	for _, n := range names {
		tables = append(tables, schemas.Table{Schema: "public", Name: n})
	}
	return tables
}

// newWorld makes the tables, in the mirror and in the legacy system, and compiles
// the mappings over them.
func newWorld(t testing.TB, ddl string, tables []schemas.Table, mappings ...consumers.Mapping) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, url: testenv.Postgres(t), tables: tables, clock: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), lsn: 1000}
	if err := ledger.Migrate(ctx, w.url); err != nil {
		t.Fatal(err)
	}
	pool, err := ledger.Open(ctx, w.url, "test")
	if err != nil {
		t.Fatal(err)
	}
	w.pool = pool
	t.Cleanup(pool.Close)
	w.exec(ddl)
	w.exec("CREATE SCHEMA legacy")
	for _, table := range tables {
		w.exec("CREATE TABLE legacy." + schemas.QuoteIdent(table.Name) + " (LIKE " + table.SQL() + " INCLUDING ALL)")
	}
	w.exec("INSERT INTO backstitch.transform (prefix, term) VALUES ('test', 1)")
	w.compile(mappings...)
	return w
}

func (w *world) compile(mappings ...consumers.Mapping) {
	w.t.Helper()
	plan, err := compileOn(w.ctx, w.pool, w.tables, mappings...)
	if err != nil {
		w.t.Fatalf("compile: %v", err)
	}
	log := slog.New(slog.DiscardHandler)
	w.plan, w.router = plan, newRouter(plan, defaultKeyTimeout, log)
	w.eval = newEvaluator(evaluatorConfig{
		Pool: w.pool, Plan: plan, Term: 1, Partitions: 4, Sweep: time.Minute, AuditEvery: 24 * time.Hour,
		Log: log, Metrics: newEvaluationMetrics(nil), Now: func() time.Time { return w.clock },
	})
}

func compileOn(ctx context.Context, pool *pgxpool.Pool, tables []schemas.Table, mappings ...consumers.Mapping) (*Plan, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	return Compile(ctx, conn.Conn(), tables, mappings)
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.pool.Exec(w.ctx, sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

// legacy commits one transaction in the legacy system.
func (w *world) legacy(statements ...string) {
	w.t.Helper()
	w.legacyOnly(statements...)
	w.fill(touchInfo{})
}

func (w *world) legacyOnly(statements ...string) {
	w.t.Helper()
	err := pgx.BeginFunc(w.ctx, w.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(w.ctx, "SET LOCAL search_path = legacy, public; "+strings.Join(statements, "; "))
		return err
	})
	if err != nil {
		w.t.Fatalf("legacy: %v", err)
	}
}

// fill brings the mirror up to the legacy system in one transaction: routes over
// the old images, the mirror, routes over the new ones (hazard C1).
func (w *world) fill(at touchInfo) {
	w.t.Helper()
	w.lsn += 10
	at.Epoch, at.CommitLSN, at.EndLSN, at.CommitTime = 1, w.lsn, w.lsn+5, w.clock
	err := pgx.BeginFunc(w.ctx, w.pool, func(tx pgx.Tx) error {
		images := func(name, from, except string, t schemas.Table) error {
			_, err := tx.Exec(w.ctx, "CREATE TEMP TABLE "+name+" ON COMMIT DROP AS SELECT * FROM "+from+" EXCEPT SELECT * FROM "+except)
			return err
		}
		name := func(kind string, i int) string { return "pg_temp." + kind + string(rune('a'+i)) }
		for i, t := range w.tables {
			legacy := "legacy." + schemas.QuoteIdent(t.Name)
			if err := images(name("old_", i), t.SQL(), legacy, t); err != nil {
				return err
			}
			if err := images(name("new_", i), legacy, t.SQL(), t); err != nil {
				return err
			}
			if err := w.router.touch(w.ctx, tx, t, name("old_", i), at); err != nil {
				return err
			}
		}
		for i, t := range w.tables {
			legacy := "legacy." + schemas.QuoteIdent(t.Name)
			_, err := tx.Exec(w.ctx, "DELETE FROM "+t.SQL()+" m USING "+name("old_", i)+" o WHERE m IS NOT DISTINCT FROM (SELECT x FROM "+t.SQL()+" x WHERE x.ctid = m.ctid) AND m::text = o::text")
			if err != nil {
				return err
			}
			if _, err := tx.Exec(w.ctx, "INSERT INTO "+t.SQL()+" SELECT * FROM "+legacy+" EXCEPT SELECT * FROM "+t.SQL()); err != nil {
				return err
			}
		}
		for i, t := range w.tables {
			if err := w.router.touch(w.ctx, tx, t, name("new_", i), at); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatalf("fill: %v", err)
	}
}

func (w *world) at() Position {
	return Position{Epoch: 1, CommitLSN: w.lsn, EndLSN: w.lsn + 5, CommitTime: w.clock}
}

func (w *world) load() {
	w.t.Helper()
	if err := w.eval.load(w.ctx, w.at()); err != nil {
		w.t.Fatalf("load: %v", err)
	}
}

func (w *world) evaluate() {
	w.t.Helper()
	w.lsn++
	w.clock = w.clock.Add(2 * lookEvery)
	if err := w.eval.evaluate(w.ctx, w.at()); err != nil {
		w.t.Fatalf("evaluate: %v", err)
	}
}

// entity is what a test looks at; Desired is "" when gone.
type entity struct {
	Desired, Lane, Status, Reason, Detail, Cause string
	Revision                                     int64
	Earned                                       bool
}

func (w *world) entity(kind consumers.Kind, org, key string) *entity {
	w.t.Helper()
	var e entity
	err := w.pool.QueryRow(w.ctx, `SELECT coalesce(desired::text, ''), lane, status, coalesce(reason, ''), coalesce(detail, ''), wake_reason, revision, earned
		FROM backstitch.entities WHERE kind = $1 AND org_key = $2 AND key = $3`, kind, org, key).
		Scan(&e.Desired, &e.Lane, &e.Status, &e.Reason, &e.Detail, &e.Cause, &e.Revision, &e.Earned)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return &e
}

func (w *world) member(org, key string) *entity {
	w.t.Helper()
	return w.entity(consumers.Member, org, key)
}

// living lists the members that are desired.
func (w *world) living() []string {
	w.t.Helper()
	rows, err := w.pool.Query(w.ctx, `SELECT org_key || '/' || key FROM backstitch.entities WHERE kind = 'member' AND desired IS NOT NULL ORDER BY 1`)
	if err != nil {
		w.t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

func (w *world) wantLiving(want ...string) {
	w.t.Helper()
	slices.Sort(want)
	if got := w.living(); !slices.Equal(got, want) {
		w.t.Fatalf("desired members are %v, want %v", got, want)
	}
}

func (w *world) number(sql string, args ...any) (n int64) {
	w.t.Helper()
	if err := w.pool.QueryRow(w.ctx, sql, args...).Scan(&n); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// The design's example: three tables, a full and a partial route.
const teamsDDL = `
	CREATE TABLE teams (id int PRIMARY KEY, name text, slug text, plan text, deleted_at timestamptz);
	CREATE TABLE users (id int PRIMARY KEY, email text, name text, password text, email_verified_at timestamptz, last_login timestamptz);
	CREATE TABLE team_members (id int PRIMARY KEY, team_id int, user_id int, role text);
	CREATE INDEX ON team_members (team_id); CREATE INDEX ON team_members (user_id);`

var teamsTables = public("teams", "users", "team_members")

func teamsMappings() (consumers.Mapping, consumers.Mapping) {
	organizations := consumers.Mapping{
		Kind: consumers.Organization, Select: `
		SELECT t.id AS organization_external_id, t.name AS organization_name, t.slug AS organization_slug,
		       jsonb_build_object('plan', t.plan) AS trusted_metadata
		FROM teams t WHERE t.deleted_at IS NULL`,
		Routes: map[schemas.Table]consumers.Route{{Schema: "public", Name: "teams"}: {Columns: map[string]string{"organization_external_id": "id"}}},
	}
	members := consumers.Mapping{
		Kind: consumers.Member, Select: `
		SELECT m.team_id AS organization_external_id, u.id AS external_id, u.email AS email_address, u.name,
		       CASE m.role WHEN 'OWNER' THEN ARRAY['admin'] ELSE ARRAY['member'] END AS roles,
		       u.password AS password_hash, u.email_verified_at IS NOT NULL AS email_verified
		FROM team_members m JOIN users u ON u.id = m.user_id;`,
		Routes: map[schemas.Table]consumers.Route{
			{Schema: "public", Name: "users"}:        {Columns: map[string]string{"external_id": "id"}},
			{Schema: "public", Name: "team_members"}: {Columns: map[string]string{"organization_external_id": "team_id", "external_id": "user_id"}},
		},
	}
	return organizations, members
}

func teamsWorld(t testing.TB) *world {
	t.Helper()
	organizations, members := teamsMappings()
	return newWorld(t, teamsDDL, teamsTables, organizations, members)
}
