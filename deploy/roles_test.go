package deploy

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/pipeline/preflight"
	"github.com/backstitch/backstitch/pipeline/sandbox/postgres"
	"github.com/backstitch/backstitch/producers/backfill"
)

const rolePassword = "a password: with signs / in it"

// hardened is what a careful administrator has taken from everybody: what the role
// needs must then come from our files alone.
const hardened = `
REVOKE ALL ON DATABASE legacy FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE TABLE payments (id bigint PRIMARY KEY, iban text);
INSERT INTO payments VALUES (1, 'not for us')`

// servers are a legacy server and one for the ledger, with the roles of deploy/sql.
type servers struct {
	*harness.World
	legacy, ledger *postgres.Server
}

func newServers(t *testing.T) *servers {
	t.Helper()
	s := &servers{legacy: testenv.OwnPostgres(t, nil), ledger: testenv.OwnPostgres(t, nil)}
	legacy, err := s.legacy.CreateDatabase(t.Context(), "legacy")
	if err != nil {
		t.Fatal(err)
	}
	apply(t, s.ledger.URL("postgres"), read(t, "sql/ledger.sql"))
	o := harness.Example()
	o.Schema += harness.ExampleRows(20) + ";" + hardened
	o.Legacy, o.Ledger = legacy, s.ledger.URL("ledger")
	s.World = harness.New(t, o)
	apply(t, legacy, replaced(t, read(t, "sql/source.sql"), "backstitch_acme", "backstitch_"+s.Prefix))
	for _, admin := range []string{legacy, s.ledger.URL("postgres")} {
		apply(t, admin, "ALTER ROLE backstitch PASSWORD '"+rolePassword+"';")
	}
	config := replaced(t, read(t, s.Config), legacy, asRole(legacy), s.ledger.URL("ledger"), asRole(s.ledger.URL("ledger")),
		"\nkafka:", "\n  create_publication: false\nkafka:")
	s.Config = filepath.Join(t.TempDir(), "roles.yaml")
	if err := os.WriteFile(s.Config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// asRole is a superuser's URL with the role of deploy/sql in its place.
func asRole(admin string) string {
	u, err := url.Parse(admin)
	if err != nil {
		panic(err) // it is ours
	}
	u.User = url.UserPassword("backstitch", rolePassword)
	return u.String()
}

// apply runs statements one after another, as psql does: CREATE DATABASE must stand
// alone. Comments hold no statement's end.
func apply(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var code strings.Builder
	for line := range strings.Lines(sql) {
		if !strings.HasPrefix(strings.TrimSpace(line), "--") {
			code.WriteString(line)
		}
	}
	for statement := range strings.SplitSeq(code.String(), ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// The whole pipeline works with nothing but what deploy/sql grants: check, the first
// backfill, the stream, a later backfill in slices with its temporary slot, audits, a replay,
// a rebuild of what the ledger says, and the end.
func TestLeastPrivilegedRolesSuffice(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	if found := s.check(t); len(found) > 0 {
		t.Errorf("check finds %v", found)
	}
	p := s.Run(t)
	s.CaughtUp(t, 2*time.Minute)
	s.Exec(t, "UPDATE users SET name = 'Changed' WHERE id = 1")
	s.Exec(t, "DELETE FROM team_members WHERE user_id = 2")
	s.CaughtUp(t, 2*time.Minute)
	s.Clean(t)
	for _, command := range []string{
		"audit", "backfill --table users", "replay apply --to-earliest --yes", "status", "parked list", "approve list", "wait --lsn 0/1",
	} {
		if out, code := s.Command(t, strings.Fields(command)...); code != 0 {
			t.Errorf("%s exits with %d: %s", command, code, out)
		}
	}
	harness.Eventually(t, 2*time.Minute, "the table is read again", func() bool {
		return strings.Count(p.Log(), "the stream goes on after a pause for the backfill") > 1
	})
	s.CaughtUp(t, 2*time.Minute)
	s.Clean(t)
	if code := p.Stop(t); code != 0 {
		t.Errorf("it ends with %d", code)
	}
	if out, code := s.Command(t, "audit"); code != 0 { // it looks into the slot
		t.Errorf("audit without a pipeline exits with %d: %s", code, out)
	}
	if out, code := s.Command(t, "teardown"); code != 0 || !strings.Contains(out, "backstitch_"+s.Prefix) {
		t.Errorf("teardown exits with %d: %s", code, out)
	}
	s.mayNot(t)
}

// mayNot proves what the roles cannot do.
func (s *servers) mayNot(t *testing.T) {
	t.Helper()
	for sql, url := range map[string]string{
		"SELECT * FROM payments":                                         s.Legacy,
		"UPDATE users SET name = NULL":                                   s.Legacy,
		"CREATE TABLE public.ours (id int)":                              s.Legacy,
		"CREATE SCHEMA ours":                                             s.Legacy,
		"ALTER PUBLICATION backstitch_" + s.Prefix + " DROP TABLE users": s.Legacy,
		"CREATE ROLE another":                                            s.ledger.URL("ledger"),
		"CREATE DATABASE another":                                        s.ledger.URL("ledger"),
		"SELECT pg_create_physical_replication_slot('another')":          s.ledger.URL("ledger"),
	} {
		conn, err := pgx.Connect(t.Context(), asRole(url))
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Exec(t.Context(), sql)
		if state := redact.SQLState(err); state != "42501" { // insufficient_privilege
			t.Errorf("%s: %v, want a refusal", sql, err)
		}
		conn.Close(t.Context())
	}
	apply(t, s.ledger.URL("postgres"), "CREATE ROLE stranger LOGIN PASSWORD 'stranger';")
	u, err := url.Parse(s.ledger.URL("ledger"))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("stranger", "stranger")
	if conn, err := pgx.Connect(t.Context(), u.String()); err == nil {
		conn.Close(t.Context())
		t.Error("a stranger may connect to the ledger, which holds personal data")
	}
}

// check are the codes of the errors that a pre-flight finds with the roles.
func (s *servers) check(t *testing.T) []string {
	t.Helper()
	var report preflight.Report
	p := s.Start(t, "check", "-o", "json", "-c", s.Config)
	p.Wait(t, 2*time.Minute)
	out, _, _ := strings.Cut(p.Log(), "\n}\n")
	if err := json.Unmarshal([]byte(out+"}"), &report); err != nil {
		t.Fatalf("%v: %s", err, p.Log())
	}
	var codes []string
	for _, f := range report.Findings {
		if f.Severity == preflight.Error {
			codes = append(codes, f.Code)
		}
	}
	return codes
}

// No grant of source.sql is there in vain: without it the pre-flight says so.
func TestEveryGrantIsNeeded(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	for _, c := range []struct{ without, code, again string }{
		{"ALTER ROLE backstitch NOREPLICATION;", "source.replication", "ALTER ROLE backstitch REPLICATION;"},
		{"REVOKE CONNECT ON DATABASE legacy FROM backstitch;", "source.unreachable", "GRANT CONNECT ON DATABASE legacy TO backstitch;"},
		{"REVOKE TEMPORARY ON DATABASE legacy FROM backstitch;", "mapping", "GRANT TEMPORARY ON DATABASE legacy TO backstitch;"},
		{"REVOKE USAGE ON SCHEMA public FROM backstitch;", "source.usage", "GRANT USAGE ON SCHEMA public TO backstitch;"},
		{"REVOKE SELECT ON public.users FROM backstitch;", "source.select", "GRANT SELECT ON public.users TO backstitch;"},
		{"ALTER PUBLICATION backstitch_" + s.Prefix + " DROP TABLE users;", "source.publication", "ALTER PUBLICATION backstitch_" + s.Prefix + " ADD TABLE users;"},
	} {
		apply(t, s.Legacy, c.without)
		if found := s.check(t); !slices.Contains(found, c.code) {
			t.Errorf("%s check finds %v, want %s", c.without, found, c.code)
		}
		apply(t, s.Legacy, c.again)
	}
	s.seesOpenTransactions(t, true)
	apply(t, s.Legacy, "REVOKE pg_read_all_stats FROM backstitch;")
	s.seesOpenTransactions(t, false)
	apply(t, s.Legacy, "GRANT pg_read_all_stats TO backstitch;")
	if found := s.check(t); len(found) > 0 {
		t.Errorf("with everything given back, check finds %v", found)
	}
}

// seesOpenTransactions is what a backfill asks before it pauses the stream (hazard S20).
func (s *servers) seesOpenTransactions(t *testing.T, want bool) {
	t.Helper()
	ctx := t.Context()
	tx, err := s.Pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, "SELECT pg_current_xact_id()"); err != nil {
		t.Fatal(err)
	}
	writers := func(url string) []string {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.WithoutCancel(ctx))
		found, err := backfill.Writers(ctx, conn, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	harness.Eventually(t, time.Minute, "the transaction is a second old", func() bool { return len(writers(s.Legacy)) > 0 })
	if found := writers(asRole(s.Legacy)); (len(found) > 0) != want {
		t.Errorf("the role sees the open transactions %v, want any: %v", found, want)
	}
}
