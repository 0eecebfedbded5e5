package transform

import (
	"context"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/jackc/pgx/v5"
)

// caught keeps the last statement that was sent.
type caught struct{ pgx.TraceQueryStartData }

func (c *caught) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	c.TraceQueryStartData = q
	return ctx
}

func (*caught) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// hazard C28: touched keys are taken without a join. Over a table that a fill has just
// filled, and nobody has analyzed, the planner expects a handful of rows, and a join
// of so few compares each with each.
func TestTouchedKeysAreTakenByTheirPlaces(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.exec("ALTER TABLE backstitch.touched SET (autovacuum_enabled = false)")
	w.exec(`INSERT INTO backstitch.touched (kind, part, org_key, key, wide, earned)
		SELECT 'member', 3, i % 100, i, false, true FROM generate_series(1, 20000) i`)
	config := w.pool.Config().ConnConfig
	statement := &caught{}
	config.Tracer = statement
	conn, err := pgx.ConnectConfig(w.ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	defer pgsession.Close(conn)
	err = pgx.BeginFunc(w.ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(w.ctx, begin); err != nil {
			return err
		}
		n, err := take(w.ctx, tx, consumers.Member, queue{part: partFull}, 5000)
		if err != nil {
			return err
		}
		if n != 5000 {
			t.Errorf("%d keys were taken of the 5000 that were asked for", n)
		}
		rows, err := tx.Query(w.ctx, "EXPLAIN "+statement.SQL, statement.Args...)
		if err != nil {
			return err
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if plan := strings.Join(lines, "\n"); strings.Contains(plan, "Join") || strings.Contains(plan, "Nested Loop") || !strings.Contains(plan, "Tid Scan") {
			t.Errorf("touched keys are not taken by their places:\n%s", plan)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
