package preflight

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/integration/testenv"
)

// normalise replaces what differs from run to run.
func (b *bundle) normalise(s string) string {
	s = strings.ReplaceAll(s, b.environment["PREFIX"], "PREFIX")
	s = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(s, "HOST:PORT")
	s = regexp.MustCompile(`\d+ (bytes|kB|MB|GB|TB)`).ReplaceAllString(s, "SIZE")
	s = regexp.MustCompile(`bytes(_per_hour)?": [1-9]\d*`).ReplaceAllString(s, `bytes$1": SIZE`)
	return s
}

// only drops findings about the shared server, which other tests change meanwhile.
func (r *Report) only(t *testing.T) *Report {
	t.Helper()
	kept := r.Findings[:0]
	for _, f := range r.Findings {
		if f.Code != "source.long_transaction" {
			kept = append(kept, f)
		}
	}
	r.Findings = kept
	return r
}

func TestReady(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.check().only(t)
	if !r.OK() {
		t.Error("a sound configuration has errors")
	}
	golden(t, "ready.txt", b.normalise(r.Text()))
	golden(t, "ready.json", b.normalise(string(r.JSON())))
	if want := (Forecast{Organizations: 2, Members: 3, Calls: 5, RateLimit: 60, Seconds: 1, Hours: 1. / 3600}); r.Backfill == nil || *r.Backfill != want {
		t.Errorf("forecast %+v, want %+v", r.Backfill, want)
	}
}

// TestFindings: each fault alone gives its finding, at its line, and each check
// that it does not touch stays silent.
func TestFindings(t *testing.T) {
	t.Parallel()
	shared := testenv.Postgres(t) // no check writes to it
	for _, tt := range []struct {
		code     string
		severity Severity
		where    string
		what     string // part of what the finding says
		make     func(*bundle)
	}{
		{"source.table", Error, "acme.yaml:4", "public.members cannot be captured", func(b *bundle) {
			b.exec("ALTER TABLE members DROP CONSTRAINT members_pkey")
		}},
		{"source.table", Error, "acme.yaml:4", "public.users cannot be captured", func(b *bundle) { b.exec("ALTER TABLE users REPLICA IDENTITY NOTHING") }},
		{"source.table", Error, "acme.yaml:4", "public.nowhere cannot be captured", func(b *bundle) { b.replace("[teams,", "[nowhere, teams,") }},
		{"source.publication", Error, "acme.yaml:3", "is FOR ALL TABLES", func(b *bundle) {
			b.exec("CREATE PUBLICATION backstitch_" + b.environment["PREFIX"] + " FOR ALL TABLES")
			b.replace("source:\n", "source:\n  publication: backstitch_${PREFIX}\n")
		}},
		{"source.publication", Error, "acme.yaml:2", "leaves out a kind of change", func(b *bundle) {
			b.exec("CREATE PUBLICATION backstitch_" + b.environment["PREFIX"] + " FOR TABLE teams, users, members WITH (publish = 'insert')")
		}},
		{"source.publication", Error, "acme.yaml:3", "lacks tables, and source.create_publication is false", func(b *bundle) {
			b.exec("CREATE PUBLICATION backstitch_" + b.environment["PREFIX"] + " FOR TABLE teams")
			b.replace("source:\n", "source:\n  create_publication: false\n")
		}},
		{"source.row_filter", Warning, "acme.yaml:2", "row filter on public.users", func(b *bundle) {
			b.exec("CREATE PUBLICATION backstitch_" + b.environment["PREFIX"] + " FOR TABLE teams, users WHERE (id > 0), members")
		}},
		{"source.publication", Error, "acme.yaml:2", "leaves out columns of public.users that the mapping reads: verified", func(b *bundle) {
			b.exec("CREATE PUBLICATION backstitch_" + b.environment["PREFIX"] + " FOR TABLE teams, users (id, email, name, password), members")
		}},
		{"source.publication", Warning, "acme.yaml:2", "has tables that are not captured: public.notes", func(b *bundle) {
			b.exec("CREATE TABLE notes (id int PRIMARY KEY)")
			b.exec("CREATE PUBLICATION backstitch_" + b.environment["PREFIX"] + " FOR TABLE teams, users, members, notes")
		}},
		{"source.publication", Error, "acme.yaml:2", "sends changes of public.members under the names of its partitions", func(b *bundle) {
			b.exec("DROP TABLE members")
			b.exec("CREATE TABLE members (team_id int, user_id int, role text NOT NULL, PRIMARY KEY (team_id, user_id)) PARTITION BY HASH (team_id)")
			b.exec("CREATE TABLE members_0 PARTITION OF members FOR VALUES WITH (MODULUS 1, REMAINDER 0)")
			b.exec("CREATE PUBLICATION backstitch_" + b.environment["PREFIX"] + " FOR TABLE teams, users, members")
		}},
		{"source.slot", Error, "acme.yaml:2", "is not ours: plugin test_decoding", func(b *bundle) {
			b.exec("SELECT pg_create_logical_replication_slot($1, 'test_decoding')", "backstitch_"+b.environment["PREFIX"])
		}},
		{"source.toast", Warning, "acme.yaml:4", "public.users stores large values out of line, and the mapping reads email, name", func(b *bundle) {
			b.exec("UPDATE users SET name = (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 500) i) WHERE id = 3")
		}},
		{"mapping", Error, "acme.yaml:12", "organization_nam", func(b *bundle) { b.replace("AS organization_name", "AS organization_nam") }},
		{"mapping", Error, "acme.yaml:16", "is not accepted by PostgreSQL", func(b *bundle) { b.replace("u.email", "u.e_mail") }},
		{"mapping", Error, "acme.yaml:21", "external_idd", func(b *bundle) { b.replace("users: {external_id", "users: {external_idd") }},
		{"mapping.pushdown", Warning, "acme.yaml:16", "every small change costs that much", func(b *bundle) {
			b.slow()
			b.exec("ANALYZE")
			b.replace("u.name,", "max(u.name) OVER () AS name,")
		}},
		{"mapping.duplicate_key", Warning, "acme.yaml:16", "more than one row for 1 keys", func(b *bundle) {
			b.replace("ON u.id = m.user_id", "ON u.id = m.user_id LEFT JOIN generate_series(1, 2) g ON u.id = 2")
		}},
		{"mapping.null_key", Warning, "acme.yaml:16", "returns 1 rows with a NULL in the key", func(b *bundle) { b.replace("m.team_id AS", "nullif(m.team_id, 2) AS") }},
		{"mapping.no_organization", Note, "acme.yaml:16", "returns 1 members of organizations that organizations.select does not return", func(b *bundle) {
			b.exec("INSERT INTO members VALUES (3, 3, 'member')")
		}},
		{"mapping.invalid_slug", Warning, "acme.yaml:12", "returns 1 organizations whose slug Stytch refuses", func(b *bundle) { b.exec("UPDATE teams SET slug = 'é é' WHERE id = 1") }},
		{"mapping.shared_slug", Warning, "acme.yaml:12", "returns 1 organizations whose slug another one has", func(b *bundle) { b.exec("UPDATE teams SET slug = 'same'") }},
		{"mapping.shared_email", Warning, "acme.yaml:16", "returns 1 members whose address another member", func(b *bundle) { // rows that one member has twice are none
			b.exec("UPDATE users SET email = 'ANN@example.com' WHERE id = 2")
			b.replace("ON u.id = m.user_id", "ON u.id = m.user_id CROSS JOIN generate_series(1, 3)")
		}},
		{"mapping.missing_email", Warning, "acme.yaml:16", "returns 1 members without an address", func(b *bundle) { b.exec("UPDATE users SET email = ' ' WHERE id = 2") }},
		{"mapping.shared_email", Warning, "acme.yaml:16", "returns 1 members whose address another member", func(b *bundle) { b.exec("UPDATE users SET email = 'ANN@example.com' WHERE id = 2") }},
		{"mapping.hashes", Warning, "acme.yaml:16", "returns 2 password hashes that Stytch cannot take", func(b *bundle) { b.exec("UPDATE users SET password = '{SSHA}hidden' WHERE id = 1") }},
		{"mapping.unverified", Warning, "acme.yaml:16", "returns 2 password hashes of unverified addresses", func(b *bundle) { b.exec("UPDATE users SET verified = false") }},
		{"mapping.row_error", Warning, "acme.yaml:16", "SQLSTATE 22P02", func(b *bundle) {
			b.exec("UPDATE users SET name = 'hidden'")
			b.replace("u.name,", "u.name::int::text AS name,")
		}},
		{"mapping.unread", Note, "acme.yaml:4", "no mapping reads public.notes", func(b *bundle) {
			b.exec("CREATE TABLE notes (id int PRIMARY KEY)")
			b.replace("[teams,", "[notes, teams,")
		}},
		{"mapping.uncounted", Note, "acme.yaml:4", "rows of public.users that feed nothing: it is swept", func(b *bundle) {
			b.replace("    users: {external_id: id}", "    users: sweep")
		}},
		{"mapping.uncounted", Note, "acme.yaml:16", "takes longer than 1ms", func(b *bundle) { b.deps.CountFor = time.Millisecond; b.slow() }},
		{"stytch.roles", Error, "acme.yaml:16", "roles that the project does not have: owner", func(b *bundle) { b.exec("UPDATE members SET role = 'owner' WHERE user_id = 2") }},
		{"stytch.roles", Error, "acme.yaml:16", "every member has", func(b *bundle) { b.exec("UPDATE members SET role = 'stytch_member'") }},
		{"stytch.credentials", Error, "acme.yaml:10", "401 unauthorized_credentials", func(b *bundle) { b.replace("secret: secret-1", "secret: hidden") }},
		{"stytch.unreachable", Error, "acme.yaml:10", "no usable answer", func(b *bundle) { b.environment["STYTCH"] = "http://127.0.0.1:1" }},
		{"kafka.unreachable", Error, "acme.yaml:6", "no broker takes the connection", func(b *bundle) {
			b.environment["BROKERS"] = "127.0.0.1:1"
			b.deps.Patience = time.Second
		}},
		{"kafka.registry", Error, "acme.yaml:7", "gives no usable answer", func(b *bundle) { b.environment["REGISTRY"] = "http://127.0.0.1:1" }},
		{"kafka.replication_factor", Error, "acme.yaml:8", "with 3 copies, but the cluster has 1 brokers", func(b *bundle) { b.replace("replication_factor: 1", "replication_factor: 3") }},
		{"kafka.topics", Error, "acme.yaml:8", "6 topics do not exist", func(b *bundle) { b.replace("replication_factor: 1", "replication_factor: 1, create: false") }},
		{"kafka.retention", Error, "acme.yaml:8", "public.users has delete.retention.ms 86400000", func(b *bundle) {
			b.topic("public.users", 3, map[string]string{"cleanup.policy": "compact", "min.compaction.lag.ms": "604800000", "delete.retention.ms": "86400000"})
		}},
		{"kafka.retention", Error, "acme.yaml:8", "public.users has min.compaction.lag.ms 0", func(b *bundle) {
			b.topic("public.users", 3, map[string]string{"cleanup.policy": "compact", "min.compaction.lag.ms": "0", "delete.retention.ms": "604800000"})
		}},
		{"kafka.cleanup_policy", Error, "acme.yaml:8", "apply.live has cleanup.policy delete", func(b *bundle) { b.topic("apply.live", 3, map[string]string{"cleanup.policy": "delete"}) }},
		{"kafka.partitions", Error, "acme.yaml:8", "apply.backfill has 5 partitions, the configuration says 3", func(b *bundle) {
			b.topic("apply.backfill", 5, map[string]string{"cleanup.policy": "compact"})
		}},
		{"kafka.partitions", Error, "acme.yaml:8", "checkpoints has 2 partitions", func(b *bundle) { b.topic("checkpoints", 2, map[string]string{"cleanup.policy": "compact"}) }},
		{"source.unreachable", Error, "acme.yaml:3", "no connection to the legacy database", func(b *bundle) { b.environment["SOURCE"] = "postgres://u:hidden@127.0.0.1:1/x" }},
		{"ledger.unreachable", Error, "acme.yaml:9", "no connection to the ledger", func(b *bundle) { b.environment["LEDGER"] = "postgres://u:hidden@127.0.0.1:1/x" }},
		{"ledger.collation", Error, "acme.yaml:9", "encoding, collation and character type", func(b *bundle) { b.environment["LEDGER"] = b.otherCollation() }},
		{"ledger.identity", Error, "acme.yaml:1", "the ledger was built for another pipeline: other, not acme", func(b *bundle) { b.ledgerOf(ledger.Identity{Name: "other", Prefix: b.environment["PREFIX"]}) }},
		{"ledger.digest", Warning, "acme.yaml:11", "are not those that the ledger was built with", func(b *bundle) {
			b.ledgerOf(ledger.Identity{Name: "acme", Prefix: b.environment["PREFIX"], Digest: "other"})
		}},
	} {
		t.Run(tt.code+"/"+tt.what, func(t *testing.T) {
			t.Parallel()
			b := newBundleOn(t, testenv.Postgres(t), shared)
			tt.make(b)
			r := b.check()
			found := r.found(tt.code)
			if len(found) == 0 {
				t.Fatalf("not found:\n%s", r.Text())
			}
			ok := false
			for _, f := range found {
				ok = ok || f.Severity == tt.severity && f.Where == tt.where && strings.Contains(b.normalise(f.What), tt.what)
			}
			if !ok {
				t.Errorf("got %+v, want %s at %s: …%s…", found, tt.severity, tt.where, tt.what)
			}
			if tt.severity == Error && r.OK() {
				t.Error("the report is OK")
			}
			for _, f := range r.Findings {
				if f.Severity == Error && f.Code != tt.code {
					t.Errorf("another error: %+v", f)
				}
				if f.Where == "" || f.What == "" || f.Fix == "" {
					t.Errorf("a finding lacks where, why or the fix: %+v", f)
				}
			}
			if strings.Contains(r.Text()+string(r.JSON()), "hidden") {
				t.Errorf("the report shows a value (invariant 8):\n%s", r.Text())
			}
		})
	}
}

// TestRights: a role that may only log in is told everything that it lacks.
func TestRights(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	role := b.as("SOURCE")
	b.exec("ALTER TABLE users ENABLE ROW LEVEL SECURITY; GRANT SELECT ON users, members TO " + role)
	b.exec("CREATE SCHEMA secret; CREATE TABLE secret.more (id int PRIMARY KEY)")
	b.replace("[teams,", "[secret.more, teams,")
	b.as("LEDGER")
	r := b.check()
	for code, what := range map[string]string{
		"source.usage":        "the role may not use the schema of secret.more",
		"source.select":       "the role may not read public.teams",
		"source.row_security": "row-level security is active for the role on public.users", // hazard S9
		"source.replication":  "the role cannot stream: open a replication connection: SQLSTATE 42501",
		"source.publication":  "does not exist, and the role may not change that",
		"ledger.privileges":   "the role may not create schemas",
	} {
		if found := r.found(code); len(found) != 1 || found[0].Severity != Error || !strings.Contains(found[0].What, what) {
			t.Errorf("%s: got %+v, want …%s…", code, found, what)
		}
	}
	if strings.Contains(r.Text(), "hidden") {
		t.Errorf("the report shows a value (invariant 8):\n%s", r.Text())
	}
	b.exec("ALTER ROLE " + role + " REPLICATION BYPASSRLS; GRANT USAGE ON SCHEMA secret TO " + role +
		"; GRANT SELECT ON ALL TABLES IN SCHEMA public, secret TO " + role)
	b.exec("CREATE PUBLICATION backstitch_" + b.environment["PREFIX"] + " FOR TABLE teams, users, members, secret.more")
	r = b.check()
	for _, f := range r.Findings {
		if f.Severity == Error && f.Code != "ledger.privileges" {
			t.Errorf("with the rights that the findings ask for: %+v", f)
		}
	}
}

// TestServer: a server that is not set up for logical replication, and one whose
// synchronous standby our walsender would become.
func TestServer(t *testing.T) {
	t.Parallel()
	server := testenv.OwnPostgres(t, map[string]string{"wal_level": "replica", "max_replication_slots": "1", "max_wal_senders": "1", "max_slot_wal_keep_size": "1GB"})
	ctx := context.Background()
	source, err := server.CreateDatabase(ctx, "legacy")
	if err != nil {
		t.Fatal(err)
	}
	led, err := server.CreateDatabase(ctx, "ledger")
	if err != nil {
		t.Fatal(err)
	}
	b := newBundleOn(t, source, led)
	b.exec("ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (\"standby-1\", *)'")
	b.exec("SELECT pg_reload_conf()")
	b.until("SELECT current_setting('synchronous_standby_names') <> ''")
	b.exec("SET synchronous_commit = local")
	r := b.check()
	for code, what := range map[string]string{
		"source.wal_level":                 "wal_level is replica",
		"source.max_replication_slots":     "1 of 1 replication slots are free",
		"source.max_wal_senders":           "1 of 1 walsenders are free",
		"source.synchronous_standby_names": "has *, which our connection matches", // hazard S19
		"source.max_slot_wal_keep_size":    "max_slot_wal_keep_size is 1GB",
		"ledger.same_server":               "the slot retains the log of both", // hazard S20
	} {
		if found := r.found(code); len(found) != 1 || !strings.Contains(found[0].What, what) {
			t.Errorf("%s: got %+v, want …%s…", code, found, what)
		}
	}
}

// slow makes the members' mapping take longer than a millisecond.
func (b *bundle) slow() {
	b.exec("INSERT INTO users SELECT i, 'u' || i || '@example.com', 'U', NULL FROM generate_series(10, 6000) i")
	b.exec("INSERT INTO members SELECT 1, i, 'member' FROM generate_series(10, 6000) i")
}

// until waits until a query about the legacy server answers true.
func (b *bundle) until(sql string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for ok := false; !ok; {
		if err := b.admin.QueryRow(ctx, sql).Scan(&ok); err != nil {
			b.Fatal(err)
		}
	}
}

func (b *bundle) topic(suffix string, partitions int32, configs map[string]string) {
	b.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(b.environment["BROKERS"], ",")...))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	pointers := map[string]*string{}
	for k, v := range configs {
		pointers[k] = &v
	}
	if _, err := kadm.NewClient(client).CreateTopic(context.Background(), partitions, 1, pointers, b.environment["PREFIX"]+"."+suffix); err != nil {
		b.Fatal(err)
	}
}

// otherCollation makes a database that sorts otherwise than the source's.
func (b *bundle) otherCollation() string {
	b.Helper()
	var ours string
	if err := b.admin.QueryRow(context.Background(), "SELECT datcollate FROM pg_database WHERE datname = current_database()").Scan(&ours); err != nil {
		b.Fatal(err)
	}
	other := "POSIX"
	if ours == other || ours == "C" {
		other = "C.UTF-8"
	}
	name := testenv.Name(b)
	b.exec(fmt.Sprintf("CREATE DATABASE %s TEMPLATE template0 LC_COLLATE '%s'", name, other))
	b.Cleanup(func() {
		if _, err := b.admin.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			b.Log(err)
		}
	})
	source := b.environment["SOURCE"]
	return source[:strings.LastIndex(source, "/")+1] + name + "?sslmode=disable"
}

// ledgerOf makes the ledger one that was built for id.
func (b *bundle) ledgerOf(id ledger.Identity) {
	b.Helper()
	ctx := context.Background()
	b.environment["LEDGER"] = testenv.Postgres(b)
	if err := ledger.Migrate(ctx, b.environment["LEDGER"]); err != nil {
		b.Fatal(err)
	}
	pool, err := pgxpool.New(ctx, b.environment["LEDGER"])
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	if err := ledger.CheckIdentity(ctx, pool, id); err != nil {
		b.Fatal(err)
	}
}
