package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/producers/capture"
	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/registry"
)

// The legacy system: teams, and users of twelve columns, one team in a hundred
// users. An envelope of a user is about 500 bytes.
const legacyDDL = `CREATE TABLE teams (id bigint PRIMARY KEY, name text NOT NULL, slug text NOT NULL);
CREATE TABLE users (id bigint PRIMARY KEY, team_id bigint NOT NULL, email text NOT NULL, name text, hash text, role varchar(20) NOT NULL,
	verified boolean NOT NULL DEFAULT false, locale varchar(10), logins int NOT NULL DEFAULT 0, created timestamptz NOT NULL, updated timestamptz, meta jsonb);
CREATE FUNCTION add_users(low int, high int) RETURNS void LANGUAGE sql AS $$
	INSERT INTO users SELECT i, i / 100 + 1, 'user' || i || '@corp' || i % 97 || '.example', 'Given' || i || ' Family' || i,
		'$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy', 'member', true, 'en-GB', i % 100,
		'2024-02-29 12:00:00.123456+00'::timestamptz + i * interval '1 second', now(), '{"plan": "pro", "seats": 12, "source": "import", "flags": ["a", "b"]}'
	FROM generate_series(low, high) i $$;
CREATE FUNCTION add_teams(low int, high int) RETURNS void LANGUAGE sql AS $$
	INSERT INTO teams SELECT i, 'Team ' || i, 'team-' || i FROM generate_series(low / 100 + 1, high / 100 + 1) i ON CONFLICT DO NOTHING $$`

const usersPerTeam = 100

var usersTable, teamsTable = schemas.Table{Schema: "public", Name: "users"}, schemas.Table{Schema: "public", Name: "teams"}

// legacy is a legacy database of a benchmark's own.
type legacy struct {
	b    *bench
	url  string
	conn *pgx.Conn
}

func (b *bench) legacy(rows int) *legacy {
	l := &legacy{b: b, url: testenv.Database(b, b.servers.source.URL("postgres"))}
	var err error
	l.conn, err = pgx.Connect(b.ctx, l.url)
	b.ok(err)
	b.Cleanup(func() { _ = l.conn.Close(context.Background()) }) // the database goes next
	l.exec(legacyDDL)
	if rows > 0 {
		l.exec(fmt.Sprintf("SELECT add_teams(1, %d), add_users(1, %[1]d)", rows))
		l.exec("VACUUM (ANALYZE)")
		l.exec("CHECKPOINT")
	}
	return l
}

func (l *legacy) exec(sql string) {
	_, err := l.conn.Exec(l.b.ctx, sql)
	l.b.ok(err)
}

// transactions commits one transaction of so many rows after the other, as fast as
// the server can: a backlog need not be durable.
func (l *legacy) transactions(statement string, from, n, rows int) {
	l.exec("SET synchronous_commit = off")
	l.exec(fmt.Sprintf("DO $$ BEGIN FOR i IN 0..%d LOOP PERFORM %s; COMMIT; END LOOP; END $$",
		n/rows-1, fmt.Sprintf(statement, fmt.Sprintf("%d + i * %d + 1", from, rows), fmt.Sprintf("%d + (i + 1) * %d", from, rows))))
	l.exec("RESET synchronous_commit")
	l.exec("CHECKPOINT")
}

// connector is a source connector over a legacy database that can be started
// again and again.
type connector struct {
	b    *bench
	cfg  capture.Config
	deps capture.Deps
	conn *pgx.Conn
}

func (l *legacy) connector(tables ...schemas.Table) *connector {
	reg, err := registry.New(testenv.Registry(l.b))
	l.b.ok(err)
	config, err := pgx.ParseConfig(l.url)
	l.b.ok(err)
	prefix := testenv.Name(l.b)
	return &connector{
		b: l.b, conn: l.conn,
		cfg:  capture.Config{Prefix: prefix, Tables: tables, Partitions: 4, CreateTopics: true},
		deps: capture.Deps{Source: config, Registry: reg, Kafka: []kgo.Opt{kgo.SeedBrokers(testenv.Kafka(l.b)...)}},
	}
}

// backfilled runs the connector until its first backfill is complete.
func (c *connector) backfilled() time.Duration {
	return c.run(func(s *capture.Source) bool { return s.Status().FirstComplete })
}

// drained runs the connector until it has committed everything that stands in the
// log now.
func (c *connector) drained() time.Duration {
	lsn, err := capture.Heartbeat(c.b.ctx, c.conn)
	c.b.ok(err)
	return c.run(func(s *capture.Source) bool { return s.Status().Position.Version.Commit >= lsn })
}

// run starts the connector, waits, and stops it. The time goes from the start to
// the condition: it holds the connector's whole way to its first row.
func (c *connector) run(holds func(*capture.Source) bool) time.Duration {
	s := capture.New(c.cfg, c.deps)
	start := time.Now()
	s.Start(context.WithoutCancel(c.b.ctx))
	c.b.until("the source connector", func() bool {
		if err := s.Err(); err != nil {
			c.b.Fatal(err)
		}
		return holds(s)
	})
	took := time.Since(start)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.b.ctx), 20*time.Second)
	defer cancel()
	c.b.ok(s.Stop(ctx))
	return took
}

// release drops the connector's slot, so that the server keeps no log for it.
func (c *connector) release() {
	_, err := c.conn.Exec(c.b.ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", capture.DefaultSlot(c.cfg.Prefix))
	c.b.ok(err)
}

// command runs a program to its end.
func (b *bench) command(program string, args ...string) time.Duration {
	start := time.Now()
	if out, err := exec.CommandContext(b.ctx, program, args...).CombinedOutput(); err != nil {
		b.Fatalf("%s: %v: %s", program, err, out)
	}
	return time.Since(start)
}

func rate(n int, took time.Duration) float64 { return float64(n) / took.Seconds() }
