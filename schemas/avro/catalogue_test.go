package avro

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

// Debezium's own table, described by the catalogue as the producer describes it and
// printed by PostgreSQL, gives Debezium's schema and the texts that the golden
// records are made from.
func TestCatalogueGivesDebeziumsSchema(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	config, err := pgx.ParseConfig(testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range pgsession.Source("test") {
		config.RuntimeParams[k] = v
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(ctx) })
	for _, file := range []string{"ddl.sql", "rows.sql"} {
		sql, err := os.ReadFile(filepath.Join("testdata", "debezium", file))
		if err != nil {
			t.Fatal(err)
		}
		simple(t, conn, string(sql))
	}
	captured, err := producers.DescribeTables(ctx, conn, []schemas.Table{{Schema: "tm", Name: "types"}, {Schema: "tm", Name: "full_ident"}})
	if err != nil {
		t.Fatal(err)
	}
	types, full := captured[0].Relation, captured[1].Relation
	tab := table(t, types)
	want := canonical(t, oracleSchema(t, "types-value-v2"))
	stated(want)
	for name, pair := range map[string][2]any{
		"types-value-v2":      {canonical(t, tab.ValueSchema()), want},
		"types-key-v1":        {canonical(t, tab.KeySchema()), canonical(t, oracleSchema(t, "types-key-v1"))},
		"full_ident-value-v1": {canonical(t, table(t, full).ValueSchema()), canonical(t, oracleSchema(t, "full_ident-value-v1"))},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s differs:\n%v\n%v", name, pair[0], pair[1])
		}
	}
	if !full.Full || types.Full {
		t.Errorf("REPLICA IDENTITY FULL: %t, %t", full.Full, types.Full)
	}
	for _, id := range []string{"10", "11", "12"} {
		comparePrinted(t, conn, types, id)
	}
}

func comparePrinted(t *testing.T, conn *pgx.Conn, rel *schemas.Relation, id string) {
	t.Helper()
	sql := "SELECT "
	for i, c := range rel.Columns {
		if i > 0 {
			sql += ", "
		}
		sql += schemas.QuoteIdent(c.Name)
	}
	printed := simple(t, conn, sql+" FROM tm.types WHERE id = "+id)[0].Rows[0]
	want := typesText(id)
	for i, c := range rel.Columns {
		text, ok := want[c.Name]
		if ok != (printed[i] != nil) || text != string(printed[i]) {
			t.Errorf("row %s, column %s: PostgreSQL prints %q, the golden test assumes %q", id, c.Name, printed[i], text)
		}
	}
}
