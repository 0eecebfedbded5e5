package discover_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/pipeline/discover"
	"github.com/backstitch/backstitch/schemas"
)

var (
	tenantNames = []string{"accounts", "teams", "Organization", "tenant", "my company"}
	userNames   = []string{"users", "User", "app user", "people"}
	otherNames  = []string{"member", "team_members", "userorganizations", "roles", "select", "invitations", "sessions", "it's", `q"t`}
	columnNames = []string{
		"name", "Title", "displayname", "first_name", "last_name", "email", "E-Mail", "primary_email", "password", "passwordHash", "hash", "email_verified", "verifiedAt",
		"slug", "subdomain", "role", "roles", "level", "is_admin", "owner", "status", "state", "deleted_at", "deleteat", "is_active", "accepted", "locked", "parent_id",
		"select", "user", "on", `a"b`, "a b", "value", "uuid",
	}
	keyTypes    = []string{"int", "bigint", "uuid", "text", "varchar(40)", "char(8)", "numeric", "smallint"}
	columnTypes = []string{"text", "varchar(64)", "boolean", "timestamptz", "bigint", "smallint", "jsonb", "text[]", "uuid", "mood", "mood[]", "mail", "bytea", "date", "numeric"}
)

// randomTable is a table of a random schema.
type randomTable struct{ sql, name, key string }

// randomSchema draws the DDL of tables that refer to each other: tenants, users, and
// others of which some connect the two.
func randomSchema(t *rapid.T) string {
	var b strings.Builder
	b.WriteString("DROP SCHEMA IF EXISTS app CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE SCHEMA app;\n" +
		"CREATE TYPE mood AS ENUM ('Happy', 'so so'); CREATE DOMAIN mail AS varchar(99);\n")
	names := append([]string{rapid.SampledFrom(tenantNames).Draw(t, "tenants"), rapid.SampledFrom(userNames).Draw(t, "users")},
		rapid.SliceOfNDistinct(rapid.SampledFrom(otherNames), 1, 4, func(s string) string { return s }).Draw(t, "others")...)
	var earlier []randomTable
	for i, name := range names {
		earlier = append(earlier, drawTable(t, &b, name, earlier, i == 1))
	}
	return b.String()
}

func drawTable(t *rapid.T, b *strings.Builder, name string, earlier []randomTable, user bool) randomTable {
	often := func(what string) bool { return rapid.IntRange(0, 4).Draw(t, what) > 0 }
	table := randomTable{sql: schemas.Table{Schema: rapid.SampledFrom([]string{"public", "public", "app"}).Draw(t, "schema"), Name: name}.SQL(), name: name}
	table.key = rapid.SampledFrom(keyTypes).Draw(t, "key")
	columns := []string{"id " + table.key + " NOT NULL"}
	names := rapid.SliceOfNDistinct(rapid.SampledFrom(columnNames), 0, 9, func(s string) string { return s }).Draw(t, "columns")
	if user && !slices.Contains(names, "email") {
		columns = append(columns, "email "+rapid.SampledFrom([]string{"text", "mail", "varchar(64) UNIQUE"}).Draw(t, "email"))
	}
	for _, c := range names {
		columns = append(columns, schemas.QuoteIdent(c)+" "+rapid.SampledFrom(columnTypes).Draw(t, "type")+rapid.SampledFrom([]string{"", "", " NOT NULL", " UNIQUE"}).Draw(t, "constraint"))
	}
	var keys []string
	for _, to := range earlier {
		if !often("refers") {
			continue
		}
		column := schemas.QuoteIdent(strings.TrimSuffix(to.name, "s") + "_id")
		columns = append(columns, column+" "+to.key+rapid.SampledFrom([]string{"", " NOT NULL", " REFERENCES " + to.sql + " (id)"}).Draw(t, "how"))
		keys = append(keys, column)
	}
	unique := "UNIQUE"
	if often("primary") {
		unique = "PRIMARY KEY"
	}
	columns = append(columns, unique+" (id)")
	if len(keys) == 2 && often("pair") {
		columns = append(columns, "UNIQUE ("+strings.Join(keys, ", ")+")")
	}
	fmt.Fprintf(b, "CREATE TABLE %s (%s);\n", table.sql, strings.Join(columns, ", "))
	return table
}

// TestAnySchema: whatever the schema is, the proposal is YAML that is refused at its
// TODOs alone, and its SELECTs and routes compile as the pre-flight compiles them.
func TestAnySchema(t *testing.T) {
	t.Parallel()
	ctx, source := context.Background(), testenv.Postgres(t)
	admin := connect(t, source)
	settings, err := pgx.ParseConfig(source)
	if err != nil {
		t.Fatal(err)
	}
	mapped := 0
	t.Cleanup(func() {
		if !t.Failed() && mapped == 0 {
			t.Error("no schema had a mapping to compile")
		}
		t.Logf("%d schemas had a mapping to compile", mapped)
	})
	rapid.Check(t, func(t *rapid.T) {
		ddl := randomSchema(t)
		if _, err := admin.PgConn().Exec(ctx, ddl).ReadAll(); err != nil {
			t.Skip("not a schema: ", err)
		}
		p, err := discover.Discover(ctx, settings, discover.Options{Name: "acme"})
		if err != nil {
			t.Fatalf("%v\n%s", err, ddl)
		}
		var b strings.Builder
		if err := p.YAML(&b); err != nil {
			t.Fatal(err)
		}
		cfg, err := parseAlone(undecided(b.String()))
		var refused *config.Error
		if errors.As(err, &refused) && !slices.ContainsFunc(refused.Problems, func(p config.Problem) bool { return !strings.Contains(p.What, "is to be decided") }) {
			return // nothing to select from
		}
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, ddl, b.String())
		}
		mapped++
		_, err = transform.Compile(ctx, admin, cfg.Source.Tables, cfg.Mappings())
		var findings transform.Findings
		if errors.As(err, &findings) {
			for _, f := range findings {
				keyless := f.Where == "source.tables" && strings.Contains(f.What, "no primary key") && strings.Contains(b.String(), "it has no primary key")
				if f.Severity == transform.SeverityError && !keyless {
					t.Errorf("%s %s", f.Where, f.What)
				}
			}
			if t.Failed() {
				t.Fatalf("%s\n%s", ddl, b.String())
			}
		} else if err != nil {
			t.Fatalf("%v\n%s\n%s", err, ddl, b.String())
		}
	})
}

// parseAlone reads a configuration in an environment that no server answers to.
func parseAlone(yaml string) (*config.Config, error) {
	environment := map[string]string{
		"LEGACY_DATABASE_URL": "postgres://localhost/legacy", "LEDGER_DATABASE_URL": "postgres://localhost/ledger", "KAFKA_BROKERS": "localhost:9092",
		"SCHEMA_REGISTRY_URL": "http://localhost:8081", "STYTCH_PROJECT_ID": "project-test-1", "STYTCH_SECRET": "secret-1",
	}
	return config.Parse("acme.yaml", []byte(yaml), func(name string) (string, bool) { v, ok := environment[name]; return v, ok })
}
