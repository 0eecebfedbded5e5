package ledger_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/consumers/ledger"
)

// One process compares the mirror at a time; what came of it is kept, and what died is
// forgotten.
func TestMirrorAudits(t *testing.T) {
	t.Parallel()
	pool, ctx := open(t), context.Background()
	session := func() *pgx.Conn {
		conn, err := pgx.ConnectConfig(ctx, pool.Config().ConnConfig)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(ctx) })
		return conn
	}
	if last, err := ledger.LastMirrorAudit(ctx, pool); last != nil || err != nil {
		t.Fatal(last, err)
	}
	dies := session()
	if _, err := ledger.BeginMirrorAudit(ctx, dies, "me"); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.BeginMirrorAudit(ctx, session(), "me"); !errors.Is(err, ledger.ErrAuditing) {
		t.Errorf("beside another one: %v", err)
	}
	_ = dies.Close(ctx)
	<-dies.PgConn().CleanupDone()
	var a *ledger.MirrorAudit
	for err := ledger.ErrAuditing; errors.Is(err, ledger.ErrAuditing); { // the server notices the end in its own time
		a, err = ledger.BeginMirrorAudit(ctx, session(), "you")
		if err != nil && !errors.Is(err, ledger.ErrAuditing) {
			t.Fatal(err)
		}
	}
	if err := a.End(ctx, pool, "clean", map[string]int{"rows": 7}); err != nil {
		t.Fatal(err)
	}
	last, err := ledger.LastMirrorAudit(ctx, pool)
	if err != nil || last == nil || last.ID != a.ID || last.StartedBy != "you" || last.Verdict != "clean" || string(last.Report) != `{"rows": 7}` || last.EndedAt == nil {
		t.Errorf("%+v, %v", last, err)
	}
	var n int
	if err := pool.QueryRow(ctx, "SELECT count(*) FROM backstitch.mirror_audits").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d are kept, %v", n, err)
	}
}
