package transform

import (
	"context"
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// sourceBehind lays a transform's way to its source through a network.
func (f *feeder) sourceBehind(dial func(ctx context.Context, network, host string) (net.Conn, error)) func(*Transform) {
	config := f.legacy.Config()
	config.DialFunc = dial
	return func(tr *Transform) {
		tr.deps.Describe = func(ctx context.Context) ([]Captured, error) {
			conn, err := pgx.ConnectConfig(ctx, config)
			if err != nil {
				return nil, err
			}
			defer pgsession.Close(conn)
			return describeSource(ctx, conn, f.cfg.Tables)
		}
	}
}

// recalled has a transform start with what the ledger keeps of the source, as a
// process does that never reached it.
func (f *feeder) recalled(tr *Transform) {
	f.t.Helper()
	c, err := Recall(f.ctx, f.pool, f.prefix, f.cfg.Tables, f.cfg.Mappings)
	f.check(err)
	tr.deps.Plan = c.Plan
}

func TestACatalogueIsKeptWhole(t *testing.T) {
	t.Parallel()
	f := teamsFeeder(t)
	captured, err := describeSource(f.ctx, f.legacy, f.cfg.Tables)
	f.check(err)
	recall := func(tables []schemas.Table, mappings []consumers.Mapping) (*Catalogue, error) {
		return Recall(f.ctx, f.pool, f.prefix, tables, mappings)
	}
	refused := func(what, why string, err error) {
		t.Helper()
		var none *NoCatalogueError
		if !errors.As(err, &none) || !strings.Contains(none.Why, why) {
			t.Errorf("%s: %v, want a refusal because %q", what, err, why)
		}
	}
	_, err = recall(f.cfg.Tables, f.cfg.Mappings)
	refused("before the first", "none was read", err)
	kept := &Catalogue{Plan: f.plan, Captured: captured, Covers: schemas.EndOf(1, 0x2000), ReadAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	f.check(pgx.BeginFunc(f.ctx, f.pool, func(tx pgx.Tx) error { return kept.remember(f.ctx, tx, &f.cfg) }))
	got, err := recall(f.cfg.Tables, f.cfg.Mappings)
	f.check(err)
	got.ReadAt = got.ReadAt.UTC()
	kept.Plan.Warnings = nil // said when the mapping is compiled
	if !reflect.DeepEqual(got, kept) {
		t.Errorf("kept %+v\nrecalled %+v", kept, got)
	}
	if got.Plan.Digest() != f.plan.Digest() {
		t.Error("the recalled plan yields other entities")
	}
	edited := []consumers.Mapping{f.cfg.Mappings[0], f.cfg.Mappings[1]}
	edited[1].Select += " WHERE u.name IS NOT NULL"
	_, err = recall(f.cfg.Tables, edited)
	refused("another mapping", "another mapping", err)
	_, err = recall(f.cfg.Tables[1:], f.cfg.Mappings)
	refused("other tables", "other tables", err)
	_, err = f.pool.Exec(f.ctx, "UPDATE backstitch.catalogue SET format = format + 1")
	f.check(err)
	_, err = recall(f.cfg.Tables, f.cfg.Mappings)
	refused("another format", "another version of Backstitch", err)
}

// The source is down, its owner is killed, and an instance that never reached the
// source takes over: what is in Kafka is evaluated with the catalogue that the owner
// kept. It says so, until the source is back.
func TestTakeOverWhileTheSourceIsAway(t *testing.T) {
	for name, make := range map[string]func(t *testing.T) (dial func(ctx context.Context, network, host string) (net.Conn, error), cut func(bool)){
		"refused": func(*testing.T) (func(ctx context.Context, network, host string) (net.Conn, error), func(bool)) {
			o := new(outage)
			return o.dial, o.cut
		},
		"no answer": func(t *testing.T) (func(ctx context.Context, network, host string) (net.Conn, error), func(bool)) {
			c := testenv.NewCable(t)
			return c.Dial, c.Cut
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := docsFeeder(t)
			f.cfg.Standby = 0 // as in a real run
			dial, cut := make(t)
			first := f.process("first")
			f.reading().insert("docs", 1, "a", "BIG", nil, nil).insert("docs", 2, "b", nil, nil, nil).end()
			f.loaded()
			f.until("an owner", func() bool { return f.owns("first") })
			f.caughtUp()
			f.begin().update("docs", 1, "a2", toasted{}, nil, nil).end()
			f.caughtUp()
			cut(true)
			_ = first.Process.Kill()
			killed := time.Now()
			f.begin().update("docs", 1, "a3", toasted{}, nil, nil).insert("docs", 3, "c", nil, nil, nil).end()
			f.begin().remove("docs", 2).end()
			second := f.start(f.sourceBehind(dial), f.recalled)
			f.evaluated(second)
			t.Logf("evaluated %s after the kill", time.Since(killed).Round(time.Millisecond))
			f.caughtUp()
			f.same()
			f.wakeUps()
			f.until("it says what it works with", func() bool { return second.Status().Catalogue != nil })
			s := second.Status()
			if c := s.Catalogue; c.ReadAt.IsZero() || c.UnreachableSince.Before(killed) || c.Waits != "" {
				t.Errorf("the status says %+v", c)
			}
			if w := s.Warning(); !strings.Contains(w, "cannot be reached since 20") || strings.Contains(w, "waits") {
				t.Errorf("in words: %q", w)
			}
			cut(false)
			f.until("the source is back", func() bool { second.Wake(); return second.Status().Catalogue == nil })
			f.begin().update("docs", 3, "c2", nil, nil, nil).end()
			f.evaluated(second)
			f.same()
		})
	}
}

// Columns changed in the source before it went away, and the stream says so: the types
// are not known. What stands before is evaluated, what stands after waits, with an
// owner that lived through it and with its successor. Nobody is asked. A column that
// no mapping reads does not matter.
func TestChangedColumnsWaitForTheSource(t *testing.T) { // hazard C9
	t.Parallel()
	f := docsFeeder(t)
	network := new(outage)
	tr := f.start(f.sourceBehind(network.dial))
	f.reading().insert("docs", 1, "a", "1", "u", nil).insert("docs", 2, "b", "2", "u", nil).end()
	f.done["public.docs"] = schemas.TableProgress{Done: true, Run: 1, Point: f.commit}
	f.loaded()
	f.evaluated(tr)
	network.cut(true)
	f.sql("ALTER TABLE docs ALTER unread TYPE varchar(40)")
	f.begin().control(schemas.ControlColumns, "docs", "unread").update("docs", 2, "b2", "2", "v", nil).end()
	f.evaluated(tr)
	f.same()
	f.sql("ALTER TABLE docs ALTER big TYPE varchar(90)")
	f.begin().update("docs", 1, "before", "1", "u", nil).end()
	before := f.last.Version.Commit
	f.begin().control(schemas.ControlColumns, "docs", "big").update("docs", 1, "after", "11", "u", nil).end()
	f.begin().update("docs", 2, "after too", "22", "u", nil).end()
	waits := func(tr *Transform) {
		t.Helper()
		f.until("it waits for the source", func() bool {
			return strings.Contains(tr.Status().Doing, "waiting for the source: columns of table public.docs changed at")
		})
		f.alive(tr)
		if s := tr.Status(); s.Held != nil || s.Catalogue == nil || !strings.Contains(s.Warning(), "waits: columns of table public.docs") || s.Evaluated.CommitLSN != before {
			t.Errorf("%q: held %v, catalogue %+v, evaluated to %s, want %s", s.Warning(), s.Held, s.Catalogue, s.Evaluated.CommitLSN, before)
		}
		if n := f.number("SELECT count(*) FROM backstitch.entities WHERE desired->>'organization_name' = ANY ('{before,b2}')"); n != 2 {
			t.Errorf("%d of the 2 entities are as they were before the change", n)
		}
	}
	waits(tr)
	f.stop(tr)
	tr = f.start(f.sourceBehind(network.dial), f.recalled)
	waits(tr)
	network.cut(false)
	f.until("it is the mirror's turn", func() bool { tr.Wake(); return tr.Status().Held != nil })
	f.run = 2
	f.done["public.docs"] = schemas.TableProgress{Done: true, Run: 2, Point: f.commit + 0x100}
	f.begin().end()
	f.evaluated(tr)
	f.same()
}

// hazard C19: a label that an enum got since waits for the source, too.
func TestANewLabelWaitsForTheSource(t *testing.T) {
	t.Parallel()
	f := typedFeeder(t)
	network := new(outage)
	tr := f.start(f.sourceBehind(network.dial))
	f.reading().insert("typed", 1, "a", "sad", "one", "{}", nil, nil).end()
	f.loaded()
	f.evaluated(tr)
	network.cut(true)
	f.sql(`ALTER TYPE "Kinds"."Mood" ADD VALUE 'so-so'`)
	captured, err := describeSource(f.ctx, f.legacy, f.cfg.Tables)
	f.check(err)
	f.describe(captured[0].Relation)
	f.begin().insert("typed", 2, "b", "so-so", "two", "{}", nil, nil).end()
	f.until("it waits for the source", func() bool { return strings.Contains(tr.Status().Doing, "an enum may have a new label") })
	f.alive(tr)
	network.cut(false)
	f.evaluated(tr)
	f.same()
}

// With another mapping, or in another epoch, the catalogue that is kept proves
// nothing: the transform waits for the source, and writes nothing.
func TestWhatNeedsTheSource(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(f *feeder){
		"another mapping": func(f *feeder) {
			mapping := docsMapping()
			mapping.Select = `SELECT d.id AS organization_external_id, d.name || '!' AS organization_name FROM docs d`
			f.cfg.Mappings = []consumers.Mapping{mapping}
			var err error
			f.plan, err = Compile(f.ctx, f.legacy, f.cfg.Tables, f.cfg.Mappings)
			f.check(err)
		},
		"in epoch 2": func(f *feeder) {
			f.sql("DELETE FROM docs")
			f.again()
			f.reading().insert("docs", 1, "a2", "A2", nil, nil).end()
			f.loaded()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := docsFeeder(t)
			tr := f.start()
			f.reading().insert("docs", 1, "a", "A", nil, nil).end()
			f.done["public.docs"] = schemas.TableProgress{Done: true, Run: 1, Point: f.commit}
			f.loaded()
			f.evaluated(tr)
			f.caughtUp()
			f.stop(tr)
			change(f)
			f.begin().update("docs", 1, "b", "B", nil, nil).end()
			const what = "SELECT md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM (SELECT desired, revision, '' AS big FROM backstitch.entities UNION ALL SELECT NULL, id, big FROM docs) t"
			var before, after string
			f.check(f.pool.QueryRow(f.ctx, what).Scan(&before))
			network := new(outage)
			network.cut(true)
			tr = f.start(f.sourceBehind(network.dial))
			f.until("it says that it waits", func() bool {
				warning := tr.Status().Warning()
				return strings.HasPrefix(warning, "waiting for the source") && strings.Contains(warning, name)
			})
			f.alive(tr)
			f.check(f.pool.QueryRow(f.ctx, what).Scan(&after))
			if before != after {
				t.Error("it wrote without knowing the source")
			}
			network.cut(false)
			f.evaluated(tr)
			f.same()
		})
	}
}
