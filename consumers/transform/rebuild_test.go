package transform

import (
	"testing"

	"github.com/backstitch/backstitch/schemas"
)

// again starts the next epoch: `backfill --all` makes a new slot, and every table is
// read again. Until it is done nothing is complete.
func (f *feeder) again() {
	f.epoch++
	f.commit = 0x50 // a restored source: every LSN is smaller
	f.complete, f.run, f.done = false, f.run+1, map[string]schemas.TableProgress{}
}

func TestANewEpochIsFilledBesideTheOldMirror(t *testing.T) { // hazards C10, S10, invariant 7
	t.Parallel()
	f := docsFeeder(t)
	tr := f.start()
	f.reading().insert("docs", 1, "a", "A", nil, nil).insert("docs", 2, "b", "B", nil, nil).insert("docs", 3, "c", "C", nil, nil).end()
	f.loaded()
	f.evaluated(tr)
	// what nobody saw: a deletion and an insert; then the source is read again
	f.sql("DELETE FROM docs")
	f.again()
	f.reading().insert("docs", 1, "a", "A2", nil, nil).end()
	f.until("a mirror is filled beside", func() bool {
		return tr.Status().Phase == phaseRebuilding && f.number("SELECT count(*) FROM pg_tables WHERE schemaname = 'backstitch_next_public'") == 1
	})
	f.until("with the row read again", func() bool { return f.number("SELECT count(*) FROM backstitch_next_public.docs") == 1 })
	if n := f.number("SELECT count(*) FROM docs"); n != 3 {
		t.Fatalf("the old mirror has %d rows, want its 3 until the new one is complete", n)
	}
	// it goes on where it was after a restart
	f.stop(tr)
	tr = f.start()
	f.reading().insert("docs", 4, "d", "D", nil, nil).end()
	f.loaded()
	f.evaluated(tr)
	f.same()
	if n := f.number("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'backstitch_next_%'"); n != 0 {
		t.Error("the schema beside is still there")
	}
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE key IN ('2', '3') AND desired IS NULL AND NOT earned"); n != 2 {
		t.Fatalf("%d of the 2 rows that vanished are deletes that wait for consent", n)
	}
	f.begin().remove("docs", 4).end()
	f.evaluated(tr)
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE key = '4' AND desired IS NULL AND earned"); n != 1 {
		t.Fatal("a deletion that was seen afterwards is not earned")
	}
	f.same()
}

func TestANewLedgerIgnoresEarlierEpochs(t *testing.T) { // hazard C10
	t.Parallel()
	f := docsFeeder(t)
	f.reading().insert("docs", 1, "a", "A", nil, nil).insert("docs", 2, "b", "B", nil, nil).end()
	f.loaded()
	f.sql("DELETE FROM docs")
	f.again()
	f.reading().insert("docs", 1, "a", "A2", nil, nil).end()
	f.loaded()
	tr := f.start()
	f.evaluated(tr)
	f.same()
}

func TestANewEpochEndsAHold(t *testing.T) { // hazards S22, C10
	t.Parallel()
	f := docsFeeder(t)
	f.reading().insert("docs", 1, "a", "A", nil, nil).insert("docs", 2, "b", "B", nil, nil).end()
	f.loaded()
	tr := f.start()
	f.evaluated(tr)
	f.stop(tr)
	topic := f.tables["docs"].topic
	_, err := f.admin.DeleteTopics(f.ctx, topic, schemas.CheckpointsTopic(f.prefix))
	f.check(err)
	for name, partitions := range map[string]int32{topic: 3, schemas.CheckpointsTopic(f.prefix): 1} {
		f.until("the topics are there again", func() bool {
			_, err := f.admin.CreateTopic(f.ctx, partitions, 1, nil, name)
			return err == nil
		})
	}
	f.connect()
	f.identify()
	f.sql("DELETE FROM docs WHERE id = 2")
	f.begin().end()
	f.held(f.start(), "recreated", "backfill --all")
	f.sql("DELETE FROM docs")
	f.again()
	f.reading().insert("docs", 1, "a", "A", nil, nil).end()
	f.loaded()
	tr = f.start()
	f.evaluated(tr)
	f.same()
}
