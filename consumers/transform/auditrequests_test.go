package transform

import (
	"reflect"
	"testing"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/schemas"
)

// A request in the ledger is answered by the next audit, which any owner begins; one
// that comes after it has begun waits for another.
func TestAuditRequestedInTheLedger(t *testing.T) {
	t.Parallel()
	w := distinctWorld(t)
	stop := w.auditing()
	defer stop()
	w.evaluate()
	w.audited(causeAudit, 1) // the load's
	w.legacy(`DELETE FROM users WHERE id = 7`)
	w.evaluate()
	ask := func() int64 {
		id, err := ledger.AskAudit(w.ctx, w.pool, "me")
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	request := func(id int64) ledger.AuditRequest {
		r, err := ledger.ReadAuditRequest(w.ctx, w.pool, id)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first, second := ask(), ask()
	w.clock = w.clock.Add(lookEvery)
	w.evaluate()
	w.audited(causeAudit, 2)
	a, b := request(first), request(second)
	if !a.Done || a != b {
		t.Fatalf("the requests are %+v and %+v", a, b)
	}
	if p, err := PassOf(w.ctx, w.pool, a.Pass); err != nil || p == nil || p.Missed != 1 || p.Changed != 1 {
		t.Errorf("their audit is %+v, %v", p, err)
	}
	late := ask()
	if r := request(late); r.Done || r.Pass != 0 {
		t.Errorf("a later request is %+v", r)
	}
	if err := ledger.WithdrawAudit(w.ctx, w.pool, late); err != nil {
		t.Fatal(err)
	}
	w.clock = w.clock.Add(lookEvery)
	w.evaluate()
	if n := w.number(`SELECT count(*) FROM backstitch.passes WHERE cause = 'audit'`); n != 2 {
		t.Errorf("%d audits, though the request was withdrawn", n)
	}
}

// The mirror's tables come with their keys first and without incomplete columns, and
// rows with what they lack.
func TestMirroredTables(t *testing.T) {
	t.Parallel()
	w := distinctWorld(t)
	w.exec(`CREATE TABLE pairs (v text, b int, a text, PRIMARY KEY (a, b))`)
	w.exec(`INSERT INTO backstitch.mirror_columns (schema_name, table_name, column_name, type, complete) VALUES
		('public', 'pairs', 'v', 'text', true), ('public', 'pairs', 'b', 'integer', true), ('public', 'pairs', 'a', 'text', true), ('public', 'pairs', 'w', 'text', false)`)
	w.exec(`INSERT INTO backstitch.incomplete_rows VALUES ('public', 'pairs', '["x", "2"]', '{v}')`)
	tables, err := MirroredTables(w.ctx, w.pool)
	if err != nil {
		t.Fatal(err)
	}
	pairs := schemas.Table{Schema: "public", Name: "pairs"}
	want := Mirrored{Table: pairs, Columns: []string{"a", "b", "v"}, Types: []string{"text", "integer", "text"}, Keys: 2, Incomplete: []string{"w"}}
	found := false
	for _, m := range tables {
		found = found || reflect.DeepEqual(m, want)
	}
	if !found {
		t.Errorf("%+v lack %+v", tables, want)
	}
	lacks, err := LackedValues(w.ctx, w.pool, pairs, [][]string{{"x", "1"}, {"x", "2"}})
	if err != nil || !reflect.DeepEqual(lacks, [][]string{nil, {"v"}}) {
		t.Errorf("the rows lack %v, %v", lacks, err)
	}
}
