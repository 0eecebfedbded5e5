package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/registry"
)

const (
	organizationsSelect = `SELECT t.id AS organization_external_id, t.name AS organization_name, t.slug AS organization_slug FROM teams t`
	membersSelect       = `SELECT u.team_id AS organization_external_id, u.id AS external_id, u.email AS email_address, u.name, ARRAY[u.role::text] AS roles, u.hash AS password_hash, u.verified AS email_verified FROM users u`
)

var mappings = []consumers.Mapping{
	{
		Kind: consumers.Organization, Select: organizationsSelect,
		Routes: map[schemas.Table]consumers.Route{teamsTable: {Columns: map[string]string{"organization_external_id": "id"}}},
	},
	{
		Kind: consumers.Member, Select: membersSelect,
		Routes: map[schemas.Table]consumers.Route{usersTable: {Columns: map[string]string{"external_id": "id"}}},
	},
}

// transforming measures what the transform makes of topics that are full before it
// starts: first loading, then a backlog of one-row transactions that it follows.
// Beside each stands what SQL alone does with the same rows on the same server,
// without Kafka, decoding and bookkeeping.
func transforming(b *bench) {
	l := b.legacy(b.rows)
	c := l.connector(teamsTable, usersTable)
	c.backfilled()
	f := b.follower(l, c)
	b.servers.profiled(func() { b.loading(l, c, f) })
	changes := b.rows / 3
	l.transactions("touch_users(%s, %s)", 0, changes, 1)
	c.drained()
	b.following(l, f, changes)
}

// follower is a transform over a connector's topics that can be started again.
type follower struct {
	b    *bench
	cfg  transform.Config
	deps transform.Deps
	url  string
}

func (b *bench) follower(l *legacy, c *connector) *follower {
	l.exec(`CREATE FUNCTION touch_users(low int, high int) RETURNS void LANGUAGE sql AS $$
		UPDATE users SET name = 'Renamed ' || id, logins = logins + 1, updated = now() WHERE id BETWEEN low AND high $$`)
	url := testenv.Database(b, b.servers.ledger.URL("postgres"))
	b.ok(ledger.Migrate(b.ctx, url))
	pool, err := ledger.Open(b.ctx, url, "bench")
	b.ok(err)
	b.Cleanup(pool.Close)
	b.ok(ledger.CheckIdentity(b.ctx, pool, ledger.Identity{Name: "bench", Prefix: c.cfg.Prefix, ApplyPartitions: c.cfg.Partitions}))
	conn, err := ledger.ConnConfig(url, "bench")
	b.ok(err)
	plan, err := transform.Compile(b.ctx, l.conn, c.cfg.Tables, mappings)
	b.ok(err)
	client, err := kgo.NewClient(c.deps.Kafka...)
	b.ok(err)
	defer client.Close()
	b.ok(transform.EnsureApplyTopics(b.ctx, client, c.cfg.Prefix, c.cfg.Partitions, 1))
	return &follower{
		b: b, url: url,
		cfg: transform.Config{Name: c.cfg.Prefix, Prefix: c.cfg.Prefix, Tables: c.cfg.Tables, Mappings: mappings, ApplyPartitions: c.cfg.Partitions},
		deps: transform.Deps{
			Ledger: pool, LedgerConn: conn, Plan: plan, Kafka: c.deps.Kafka, Registry: c.deps.Registry.(*registry.Registry),
			Describe: func(ctx context.Context) ([]transform.Captured, error) {
				config, err := pgx.ParseConfig(l.url)
				if err != nil {
					return nil, err
				}
				describing, err := pgx.ConnectConfig(ctx, config)
				if err != nil {
					return nil, err
				}
				defer describing.Close(ctx)
				return pipeline.Captured(ctx, describing, c.cfg.Tables)
			},
		},
	}
}

// during runs the transform while f measures, from the moment on at which it owns
// its work.
func (f *follower) during(measure func(t *transform.Transform)) {
	t := transform.New(f.cfg, f.deps)
	t.Start(context.WithoutCancel(f.b.ctx))
	f.wait(t, "the transform's turn", func(s transform.Status) bool { return s.State == transform.Running })
	measure(t)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.b.ctx), 30*time.Second)
	defer cancel()
	f.b.ok(t.Stop(ctx))
}

func (f *follower) wait(t *transform.Transform, what string, holds func(transform.Status) bool) {
	f.b.until(what, func() bool {
		if err := t.Err(); err != nil {
			f.b.Fatal(err)
		}
		return holds(t.Status())
	})
}

// settled waits until the newest position is evaluated and announced.
func (f *follower) settled(t *transform.Transform, after schemas.LSN) {
	f.wait(t, "the evaluation", func(s transform.Status) bool {
		return s.Evaluated.CommitLSN > after && s.Newest == s.Evaluated
	})
	f.waitSQL("the announcement", "SELECT NOT EXISTS (SELECT FROM backstitch.entities WHERE announced < revision)")
}

// waitSQL asks the ledger ten times a second, which costs what is measured little.
func (f *follower) waitSQL(what, sql string) {
	var next time.Time
	f.b.until(what, func() (done bool) {
		if time.Now().Before(next) {
			return false
		}
		f.b.ok(f.deps.Ledger.QueryRow(f.b.ctx, sql).Scan(&done))
		next = time.Now().Add(100 * time.Millisecond)
		return done
	})
}

// count counts entities.
func count(b *bench, pool *pgxpool.Pool, where string) (n int) {
	b.ok(pool.QueryRow(b.ctx, "SELECT count(*) FROM backstitch.entities WHERE "+where).Scan(&n))
	return n
}

// loading measures the way from topics to mirror and the first evaluation after it.
func (b *bench) loading(l *legacy, c *connector, f *follower) {
	var filling, whole time.Duration
	var rows, entities int
	f.during(func(t *transform.Transform) {
		start := time.Now()
		rows = b.rows + b.rows/usersPerTeam + 1
		f.wait(t, "the mirror", func(s transform.Status) bool { return s.Read >= int64(rows) })
		filling = time.Since(start)
		f.settled(t, 0)
		whole = time.Since(start)
		entities = count(b, f.deps.Ledger, "true")
		// The audit that the first evaluation after a load starts would compete with
		// what is measured next.
		c.drained()
		f.waitSQL("the first audit", "SELECT EXISTS (SELECT FROM backstitch.passes WHERE cause = 'audit' AND ended_at IS NOT NULL)")
	})
	fill, evaluate := f.alone(l)
	b.report("transform/loading/fill", rate(rows, filling), "rows/s", "SQL alone: COPY, upsert", rate(rows, fill))
	b.report("transform/loading/evaluate", rate(entities, whole-filling), "entities/s", "SQL alone: INSERT … SELECT", rate(entities, evaluate))
	b.report("transform/loading", rate(rows, whole), "rows/s", "SQL alone, both", rate(rows, fill+evaluate))
}

// following measures changes/s from topics to announced entities.
func (b *bench) following(l *legacy, f *follower, changes int) {
	var took time.Duration
	f.during(func(t *transform.Transform) {
		before := t.Status().Evaluated.CommitLSN
		start := time.Now()
		b.servers.profiled(func() { f.settled(t, before) })
		took = time.Since(start)
	})
	b.report("transform/following", rate(changes, took), "changes/s", "SQL alone: COPY, upsert, evaluate, upsert", rate(changes, f.aloneFollowing(l, changes)))
}

// peerDDL are the tables of the SQL that runs alone: a mirror and entities in the
// ledger's form, with its indexes.
var peerDDL = fmt.Sprintf(`CREATE SCHEMA peer;
CREATE UNLOGGED TABLE peer.stage (id bigint, team_id bigint, email text, name text, hash text, role varchar(20), verified boolean);
CREATE TABLE peer.users (id bigint PRIMARY KEY, team_id bigint, email text, name text, hash text, role varchar(20), verified boolean);
CREATE TABLE peer.entities (LIKE backstitch.entities INCLUDING DEFAULTS INCLUDING INDEXES);
CREATE VIEW peer.members AS %s;`, "SELECT * FROM ("+membersSelect+") q")
