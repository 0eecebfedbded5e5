package transform

import (
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/stage"
)

// A process that wakes when another one has begun with a broker of its own must not fill
// the mirror from topics that are behind it (invariant 10).
func TestAFormerBrokersTransformDoesNotTakeOver(t *testing.T) {
	t.Parallel()
	f := docsFeeder(t)
	conn, err := f.pool.Acquire(f.ctx)
	f.check(err)
	defer conn.Release()
	former, err := ledger.BeginIncarnation(f.ctx, f.pool, f.prefix, 1)
	f.check(err)
	mine := &Config{Prefix: f.prefix, Owner: "former", Incarnation: former.Number}
	one, err := takeOver(f.ctx, conn.Conn(), mine)
	f.check(err)
	_, err = ledger.BeginIncarnation(f.ctx, f.pool, f.prefix, 1)
	f.check(err)
	tx, err := conn.Begin(f.ctx)
	f.check(err)
	if err := fence(f.ctx, tx, one.term); err == nil {
		t.Error("it may still write under its term")
	}
	f.check(tx.Rollback(f.ctx))
	_, err = takeOver(f.ctx, conn.Conn(), mine)
	if held, ok := stage.AsHeld(err); !ok || !strings.Contains(held.Reason, "another process began") {
		t.Errorf("it took over again: %v", err)
	}
	if n := f.number("SELECT term FROM backstitch.transform"); n != one.term+1 {
		t.Errorf("the term is %d: who was refused has taken the place of the one that works", n)
	}
}
