package transform

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/schemas"
	"go.uber.org/goleak"
)

// history drives a feeder at random: rows come in pairs, 2k and 2k+1, whose names
// every source transaction leaves equal.
type history struct {
	*feeder
	r    *rand.Rand
	live map[int]bool // k
	next int
}

func (h *history) transaction() {
	tx := h.begin()
	for range 1 + h.r.IntN(4) {
		h.step(tx)
		if h.r.IntN(3) == 0 {
			tx.publish(false) // between two Kafka transactions, perhaps within a pair
		}
	}
	tx.end()
}

func (h *history) step(tx *fedTx) {
	name := func() string { return fmt.Sprintf("n%d", h.r.IntN(1000)) }
	k, ok := h.any()
	switch op := h.r.IntN(6); {
	case !ok || op == 0:
		n := name()
		tx.insert("docs", 2*h.next, n, "big", nil, nil)
		h.split(tx)
		tx.insert("docs", 2*h.next+1, n, "BIG\n\\", nil, nil)
		h.live[h.next] = true
		h.next++
	case op == 1:
		tx.remove("docs", 2*k)
		h.split(tx)
		tx.remove("docs", 2*k+1)
		delete(h.live, k)
	case op == 2: // gone and back
		n := name()
		tx.remove("docs", 2*k).remove("docs", 2*k+1)
		h.split(tx)
		tx.insert("docs", 2*k, n, nil, nil, nil).insert("docs", 2*k+1, n, "x", nil, nil)
	case op == 3: // another key
		n := name()
		tx.move("docs", 2*k, 2*h.next, n, toasted{}, nil, nil)
		h.split(tx)
		tx.move("docs", 2*k+1, 2*h.next+1, n, toasted{}, nil, nil)
		delete(h.live, k)
		h.live[h.next] = true
		h.next++
	default:
		n := name()
		tx.update("docs", 2*k, n, toasted{}, "u", nil)
		h.split(tx)
		tx.update("docs", 2*k+1, n, n, nil, nil)
	}
}

func (h *history) split(tx *fedTx) {
	if h.r.IntN(4) == 0 {
		tx.publish(false)
	}
}

func (h *history) any() (int, bool) {
	for k := range h.next {
		if k2 := (k + h.r.IntN(h.next)) % h.next; h.live[k2] {
			return k2, true
		}
	}
	return 0, false
}

// whole fails when a pair of entities differs: half a transaction was evaluated.
func (h *history) whole() {
	h.t.Helper()
	n := h.number(`SELECT count(*) FROM backstitch.entities a JOIN backstitch.entities b ON b.key::int = a.key::int + 1
		WHERE a.key::int % 2 = 0 AND (a.desired->>'organization_name') IS DISTINCT FROM (b.desired->>'organization_name')`)
	if n != 0 {
		h.t.Fatalf("%d pairs are torn: half a transaction was evaluated", n)
	}
}

// entities fails when they are not what the mapping says over the legacy table.
func (h *history) entities() {
	h.t.Helper()
	want, err := rows(h.ctx, h.legacy, "docs", []string{"id", "name", "big"})
	h.check(err)
	var got string
	h.check(h.pool.QueryRow(h.ctx, `SELECT coalesce(string_agg((ROW(key::int, desired->>'organization_name', desired->>'organization_logo_url'))::text, E'\n' ORDER BY
		(ROW(key::int, desired->>'organization_name', desired->>'organization_logo_url'))::text), '') FROM backstitch.entities WHERE desired IS NOT NULL`).Scan(&got))
	if got != want {
		h.t.Errorf("entities\n%s\nthe mapping over the legacy table\n%s", got, want)
	}
}

// newHistory begins one. What it does follows from its seed.
func newHistory(t *testing.T, seed uint64) *history {
	t.Helper()
	f := newFeeder(t, "CREATE TABLE docs (id int PRIMARY KEY, name text, big text, unread text, wrong text)", public("docs"), docsMapping())
	return &history{feeder: f, r: rand.New(rand.NewPCG(seed, 1)), live: map[int]bool{}}
}

func TestRandomHistoryWithKills(t *testing.T) { // invariants 5, 10 and 11, hazards C3, C15, S6
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, seed)
			f := h.feeder
			f.cfg.BatchRows = 5
			ctx, kill := context.WithCancel(f.ctx)
			tr := f.start(func(tr *Transform) { tr.Start(ctx) })
			for i := range 60 {
				h.transaction()
				h.whole()
				if i == 10 {
					f.loaded()
				}
				if h.r.IntN(12) == 0 {
					kill()
					<-tr.Done()
					h.whole()
					ctx, kill = context.WithCancel(f.ctx)
					tr = f.start(func(tr *Transform) { tr.Start(ctx) })
				}
			}
			f.evaluated(tr)
			f.same()
			h.whole()
			h.entities()
			kill()
			<-tr.Done()
		})
	}
}

func TestLosingTheLedgerForAMoment(t *testing.T) { // hazard C13
	t.Parallel()
	f := docsFeeder(t)
	tr := f.start()
	f.reading().insert("docs", 1, "a", nil, nil, nil).end()
	f.loaded()
	f.evaluated(tr)
	for range 3 {
		f.number(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		f.begin().update("docs", 1, f.commit, nil, nil, nil).end()
		f.evaluated(tr)
		f.same()
	}
}

func TestAnotherMappingReadsAnotherColumn(t *testing.T) { // hazards C9, C23, C24
	t.Parallel()
	f := docsFeeder(t)
	f.reading().insert("docs", 1, "a", "A", "u1", nil).insert("docs", 2, "b", "B", "u2", nil).end()
	f.done["public.docs"] = schemas.TableProgress{Done: true, Run: 1, Point: f.commit}
	f.loaded()
	tr := f.start()
	f.evaluated(tr)
	f.stop(tr)
	mapping := docsMapping()
	mapping.Select = `SELECT d.id AS organization_external_id, d.unread AS organization_name FROM docs d`
	var err error
	f.plan, err = Compile(f.ctx, f.legacy, f.cfg.Tables, []consumers.Mapping{mapping})
	f.check(err)
	f.begin().update("docs", 1, "a", "A", "u1", nil).end()
	tr = f.start()
	f.until("the mapping waits for the column", func() bool { return tr.Status().Held != nil })
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE desired->>'organization_name' IS NULL"); n != 0 {
		t.Fatal("the new mapping was evaluated over a column that was never read")
	}
	if n := f.number("SELECT count(*) FROM pg_attribute WHERE attrelid = 'docs'::regclass AND attnum > 0 AND NOT attisdropped"); n != 2 {
		t.Errorf("the mirror has %d columns, want the two that the new mapping reads", n)
	}
	f.run = 2
	tx := f.reading()
	for id, unread := range map[int]string{1: "u1", 2: "u2"} {
		tx.add("docs", tx.version(), schemas.Read, nil, row([]any{id, "x", "x", unread, nil}))
	}
	f.done["public.docs"] = schemas.TableProgress{Done: true, Run: 2, Point: tx.commit}
	tx.end()
	f.evaluated(tr)
	f.same()
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE desired->>'organization_name' = 'u' || key"); n != 2 {
		t.Fatal("the new mapping was not evaluated for every entity")
	}
}

func TestMemoryIsBounded(t *testing.T) { // invariant 9
	t.Parallel()
	f := docsFeeder(t)
	f.cfg.ReadBytes, f.cfg.BatchRows = 1, 500
	tx := f.reading()
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 6000 { // about 12 MB that hardly compress, before one checkpoint
		big := ""
		for range 120 {
			big += fmt.Sprintf("%016x", r.Uint64())
		}
		tx.add("docs", tx.version(), schemas.Read, nil, row([]any{i, i, big, nil, nil}))
	}
	tx.publish(false)
	f.complete = true
	tx.end()
	most := 0
	tr := f.start()
	f.until("everything is filled", func() bool {
		if r := tr.reading.Load(); r != nil {
			r.mu.Lock()
			held := 0
			for _, p := range r.mu.parts {
				held += p.bytes
			}
			r.mu.Unlock()
			most = max(most, held)
		}
		return tr.Status().Read == 6000
	})
	// three partitions, each its share and one fetch beyond it
	if limit := 3 * (minPartBytes + 2<<20); most > limit || most == 0 {
		t.Errorf("the reader held %d bytes, want at most %d", most, limit)
	}
}

func TestStopLeavesNothingBehind(t *testing.T) { // not parallel: it looks at all goroutines
	f := docsFeeder(t)
	f.reading().insert("docs", 1, "a", nil, nil, nil).end()
	f.loaded()
	f.check(f.pool.Ping(f.ctx))
	before := goleak.IgnoreCurrent()
	for range 2 {
		tr := f.start()
		f.evaluated(tr)
		f.begin().update("docs", 1, f.commit, nil, nil, nil).end()
		f.evaluated(tr)
		f.stop(tr)
	}
	f.legacy.Config()
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := goleak.Find(before, goleak.IgnoreAnyFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck"),
			goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
			goleak.IgnoreAnyFunction("net/http.(*conn).serve"), goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"))
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
