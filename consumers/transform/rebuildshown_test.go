package transform

import (
	"strconv"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers/ledger"
)

// A rebuild that a person asked to see says what it changes and waits, across
// restarts, while filling goes on; what it then deletes is not earned.
func TestARebuildIsShownBeforeTheSwap(t *testing.T) { // hazard C10, invariant 7
	t.Parallel()
	f, tr := teamsFed(t)
	asked, err := ledger.AskRebuild(f.ctx, f.pool, "somebody", f.epoch)
	f.check(err)
	if again, err := ledger.AskRebuild(f.ctx, f.pool, "another", f.epoch); err != nil || again.ConsentID != asked.ConsentID || again.AskedBy != "somebody" {
		t.Errorf("asked twice: %+v, %v", again, err)
	}
	f.begin().update("users", 8, "joe@corp.example", "Joe again", nil, nil, nil).end()
	f.evaluated(tr) // it says nothing of the epoch that is followed

	f.sql("DELETE FROM teams; DELETE FROM users; DELETE FROM team_members")
	f.again()
	f.reading().insert("teams", 1, "Acme", "acme", "pro", nil).insert("teams", 3, "Umbrella", nil, nil, nil). // 2 is gone with its member, 3 is new
															insert("users", 7, "jane@corp.example", "Jane", nil, nil, nil).insert("users", 8, "joe@corp.example", "Joe the third", nil, nil, nil).
															insert("team_members", 100, 1, 7, "OWNER").insert("team_members", 101, 1, 8, "MEMBER").insert("team_members", 102, 2, 7, "MEMBER").
															insert("team_members", 104, 3, 7, "MEMBER").end()
	entities := f.print(entitiesNow)
	f.loaded()
	waits := func(tr *Transform) {
		t.Helper()
		f.until("it says what a person can do", func() bool {
			h := tr.Status().Held
			return h != nil && strings.Contains(h.Fix, "backstitch approve "+strconv.FormatInt(asked.ConsentID, 10))
		})
	}
	waits(tr)
	r, err := ledger.OpenRebuild(f.ctx, f.pool)
	f.check(err)
	// 2 and 2/7 vanish, 3 and 3/7 appear, 1/8 changes, 1 and 1/7 stay
	if c := r.Compared; c == nil || c.Entities != 7 || c.Differ != 5 || c.Appear != 2 || c.Vanish != 2 || c.Failed != 0 || c.Epoch != 2 {
		t.Fatalf("the difference is %+v", c)
	}
	if n := f.number("SELECT count(*) FROM backstitch.consents WHERE question LIKE '%Of 7 entities 5 differ%'"); n != 1 {
		t.Error("the question does not say it")
	}
	f.begin().update("users", 8, "joe@corp.example", "Joe the fourth", nil, nil, nil).end()
	f.until("filling goes on", func() bool {
		return f.number("SELECT count(*) FROM backstitch_next_public.users WHERE name = 'Joe the fourth'") == 1
	})
	f.stop(tr)
	tr = f.start()
	waits(tr)
	if got := f.print(entitiesNow); got != entities || f.number("SELECT count(*) FROM users") != 3 {
		t.Errorf("before the consent entities are\n%s\nand were\n%s", got, entities)
	}

	_, err = ledger.Approve(f.ctx, f.pool, asked.ConsentID, "somebody")
	f.check(err)
	f.begin().end() // a heartbeat
	f.evaluated(tr)
	f.same()
	if h := tr.Status().Held; h != nil {
		t.Errorf("it is still held: %v", h)
	}
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE org_key = '2' AND desired IS NULL AND NOT earned"); n != 2 {
		t.Errorf("%d of the 2 that vanished wait for consent", n)
	}
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE desired IS NOT NULL"); n != 5 {
		t.Errorf("%d entities live", n)
	}
	if r, err := ledger.GetRebuild(f.ctx, f.pool, asked.ConsentID); err != nil || !r.Swapped {
		t.Errorf("afterwards the rebuild is %+v, %v", r, err)
	}
	if r, err := ledger.OpenRebuild(f.ctx, f.pool); err != nil || r != nil {
		t.Errorf("%+v is still open, %v", r, err)
	}
}

// Who approves beforehand does not want to look.
func TestARebuildThatWasApprovedBeforehandIsSwappedIn(t *testing.T) {
	t.Parallel()
	f := docsFeeder(t)
	tr := f.start()
	f.reading().insert("docs", 1, "a", "A", nil, nil).end()
	f.loaded()
	f.evaluated(tr)
	asked, err := ledger.AskRebuild(f.ctx, f.pool, "somebody", f.epoch)
	f.check(err)
	_, err = ledger.Approve(f.ctx, f.pool, asked.ConsentID, "somebody")
	f.check(err)
	f.sql("DELETE FROM docs")
	f.again()
	f.reading().insert("docs", 1, "a", "A2", nil, nil).end()
	f.loaded()
	f.evaluated(tr)
	f.same()
	if r, err := ledger.GetRebuild(f.ctx, f.pool, asked.ConsentID); err != nil || !r.Swapped || r.Compared != nil {
		t.Errorf("the rebuild is %+v, %v", r, err)
	}
}
