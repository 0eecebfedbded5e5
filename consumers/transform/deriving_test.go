package transform

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/transform/derive"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// deriving derives routes for drawn mappings as Compile does, and asks PostgreSQL
// nothing twice.
type deriving struct {
	t          *testing.T
	conn       *pgx.Conn
	made       string // the schema that is there
	catalogue  *derive.Catalogue
	equalities map[[2]uint32]bool
	asked      map[string]bool // operators with their collations
}

// errLooseKey: a key in a collation where different texts are equal. The ledger, where
// mappings run, has none, so no key there is one.
var errLooseKey = errors.New("a loose key")

func newDeriving(t *testing.T) *deriving {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	_, err = conn.Exec(t.Context(), `CREATE EXTENSION citext; CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); SET jit = off`)
	if err != nil {
		t.Fatal(err)
	}
	return &deriving{t: t, conn: conn, equalities: map[[2]uint32]bool{}, asked: map[string]bool{}}
}

// derive finds the routes of a trial.
func (d *deriving) derive(tr *trial) error {
	ctx := d.t.Context()
	ddl := tr.schema.ddl()
	if ddl != d.made {
		if _, err := d.conn.Exec(ctx, "SET statement_timeout = 0; DROP TABLE IF EXISTS a, b, c, d; "+ddl+" SET statement_timeout = '1s'"); err != nil {
			return err
		}
	}
	tx, err := d.conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	c := &compiler{tx: tx, tables: map[schemas.Table]*table{}, oids: map[uint32]*table{}}
	if ddl != d.made {
		for _, t := range anyTables {
			if err := c.describe(ctx, t); err != nil {
				return err
			}
		}
		if d.catalogue, err = c.catalogue(ctx, &view{}); err != nil {
			return err
		}
		d.catalogue.Equality = func(operator, collation uint32) bool { return d.equalities[[2]uint32{operator, collation}] }
		d.made = ddl
	}
	var tree string
	var loose bool
	if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = 0; CREATE TEMP VIEW drawn AS "+tr.sql); err != nil {
		return err
	}
	err = tx.QueryRow(ctx, `SELECT ev_action::text, EXISTS (SELECT FROM pg_attribute a JOIN pg_collation l ON l.oid = a.attcollation
		WHERE a.attrelid = ev_class AND a.attnum <= 2 AND NOT l.collisdeterministic)
		FROM pg_rewrite WHERE ev_class = 'pg_temp.drawn'::regclass`).Scan(&tree, &loose)
	if err != nil {
		return err
	}
	if loose {
		return errLooseKey
	}
	if err := d.learn(ctx, c, tree); err != nil {
		return err
	}
	tr.routes, tr.why, err = derive.Routes(tree, consumers.KeyColumns(consumers.Member), d.catalogue)
	return err
}

// learn asks about the operators that were not met before.
func (d *deriving) learn(ctx context.Context, c *compiler, tree string) error {
	var fresh []string
	for _, operator := range nodeOperator.FindAllString(tree, -1) {
		if !d.asked[operator] {
			d.asked[operator] = true
			fresh = append(fresh, operator)
		}
	}
	found, err := c.equalities(ctx, &view{tree: strings.Join(fresh, "")})
	for pair, equal := range found {
		d.equalities[pair] = equal
	}
	return err
}
