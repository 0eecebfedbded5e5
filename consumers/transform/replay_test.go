package transform

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/spans"
	"github.com/backstitch/backstitch/schemas"
	"github.com/twmb/franz-go/pkg/kgo"
)

// find looks at a replay of what was filled, from offset from on, of all tables or some.
func (f *feeder) find(from int64, organization string, tables ...string) (*Replay, error) {
	f.t.Helper()
	captured, err := describeSource(f.ctx, f.legacy, f.cfg.Tables)
	f.check(err)
	return FindReplay(f.ctx, ReplayDeps{
		Ledger: f.pool, Kafka: []kgo.Opt{kgo.SeedBrokers(f.brokers...)}, Schema: f.registry.Schema, Plan: f.plan, Captured: captured,
		Prefix: f.prefix, Logger: slog.New(slog.DiscardHandler),
	}, f.filledSpans(from, tables), organization)
}

func (f *feeder) filledSpans(from int64, tables []string) (list []spans.Span) {
	for topic, ends := range f.ends {
		if len(tables) > 0 && !slices.ContainsFunc(tables, func(table string) bool { return f.tables[table].topic == topic }) {
			continue
		}
		for p, end := range ends.Ends {
			list = append(list, spans.Span{Topic: topic, Partition: int32(p), From: min(from, end), Until: end})
		}
	}
	return list
}

// replay finds and compares.
func (f *feeder) replay(from int64, organization string, tables ...string) (*Replay, Difference) {
	f.t.Helper()
	r, err := f.find(from, organization, tables...)
	f.check(err)
	f.t.Cleanup(r.Close)
	d, quiet, err := r.Compare(f.ctx, f.cfg.ApplyPartitions)
	f.check(err)
	if !quiet {
		f.t.Error("no moment was quiet")
	}
	return r, d
}

// teamsFed is a legacy system of two teams and three users, followed.
func teamsFed(t *testing.T) (*feeder, *Transform) {
	t.Helper()
	organizations, members := teamsMappings()
	f := newFeeder(t, teamsDDL, teamsTables, organizations, members)
	tr := f.start()
	f.reading().insert("teams", 1, "Acme", "acme", "pro", nil).insert("teams", 2, "Initech", nil, "free", nil).
		insert("users", 7, "jane@corp.example", "Jane", nil, nil, nil).insert("users", 8, "joe@corp.example", "Joe", nil, nil, nil).
		insert("users", 9, "ann@corp.example", "Ann", nil, nil, nil).
		insert("team_members", 100, 1, 7, "OWNER").insert("team_members", 101, 1, 8, "MEMBER").insert("team_members", 102, 2, 7, "MEMBER").
		insert("team_members", 103, 2, 9, "MEMBER").end()
	f.loaded()
	f.evaluated(tr)
	f.begin().update("users", 8, "joe@corp.example", "Joseph", nil, nil, nil).remove("team_members", 103).end()
	f.evaluated(tr)
	return f, tr
}

func (f *feeder) print(sql string) string {
	f.t.Helper()
	var s string
	f.check(f.pool.QueryRow(f.ctx, "SELECT coalesce(string_agg(x::text, E'\n' ORDER BY x::text), '') FROM ("+sql+") x").Scan(&s))
	return s
}

const (
	entitiesNow = "SELECT kind, org_key, key, lane, revision, desired, earned, wake_reason, source_table, commit_lsn, status FROM backstitch.entities"
	offsetsNow  = "SELECT topic, partition, next_offset FROM backstitch.offsets WHERE topic NOT LIKE '%.checkpoints'"
	touchedNow  = "SELECT kind, part, org_key, key, wide, earned, cause FROM backstitch.touched"
)

func TestReplayOfUnchangedRowsChangesNothing(t *testing.T) { // invariant 5
	t.Parallel()
	f, tr := teamsFed(t)
	entities, offsets := f.print(entitiesNow), f.print(offsetsNow)
	r, d := f.replay(0, "")
	// 9 rows read, one updated, one deleted with its tombstone
	if r.Records != 12 || d != (Difference{Entities: 5}) || r.Unrouted != nil || r.Misfits != 0 {
		t.Errorf("%d records, %+v, unrouted %v, %d misfits", r.Records, d, r.Unrouted, r.Misfits)
	}
	f.stop(tr)
	f.check(r.Begin(f.ctx))
	if n := f.number("SELECT count(*) FROM backstitch.touched WHERE cause = 'replay' AND NOT earned AND NOT wide"); n == 0 || f.print(offsetsNow) != offsets {
		t.Errorf("%d keys are touched, offsets\n%s\nwere\n%s", n, f.print(offsetsNow), offsets)
	}
	tr = f.start() // it stands at a checkpoint at once
	f.until("what was touched is evaluated", func() bool { return f.number("SELECT count(*) FROM backstitch.touched") == 0 })
	f.begin().end()
	f.evaluated(tr)
	if got := f.print(entitiesNow); got != entities {
		t.Errorf("entities are\n%s\nand were\n%s", got, entities)
	}
	f.same()
}

func TestReplayRepairsWhatDiffers(t *testing.T) { // invariant 7
	t.Parallel()
	f, tr := teamsFed(t)
	for _, sql := range []string{
		`UPDATE backstitch.entities SET desired = desired || '{"name": "Somebody"}' WHERE kind = 'member' AND key = '8'`,
		`UPDATE backstitch.entities SET desired = NULL WHERE kind = 'member' AND org_key = '2' AND key = '7'`,
		`UPDATE backstitch.entities SET desired = '{}' WHERE kind = 'member' AND org_key = '2' AND key = '9'`, // no row any more
	} {
		_, err := f.pool.Exec(f.ctx, sql)
		f.check(err)
	}
	r, d := f.replay(0, "")
	if want := (Difference{Entities: 6, Differ: 3, Appear: 1, Vanish: 1}); d != want {
		t.Errorf("compared %+v, want %+v", d, want)
	}
	changes, err := r.Changes(f.ctx, 10)
	f.check(err)
	if len(changes) != 2 {
		t.Errorf("%d entities are to be written, want 2", len(changes))
	}
	f.check(r.Begin(f.ctx))
	f.begin().end()
	f.evaluated(tr)
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE kind = 'member' AND desired->>'name' = 'Joseph' AND key = '8' AND wake_reason = 'replay' AND lane = 'live'"); n != 1 {
		t.Error("what differed was not evaluated again")
	}
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE org_key = '2' AND key = '7' AND desired IS NOT NULL"); n != 1 {
		t.Error("what was missing is not there again")
	}
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE key = '9' AND desired IS NULL AND NOT earned"); n != 1 {
		t.Error("a delete that a replay found would be sent without a person's consent")
	}
}

// The records' images lead to whom a row belonged to, the mirror to whom it belongs now.
func TestReplayFollowsImagesAndTheMirror(t *testing.T) { // hazard C1
	t.Parallel()
	f, tr := teamsFed(t)
	f.begin().update("team_members", 102, 1, 9, "MEMBER").end() // from 2/7 to 1/9
	f.evaluated(tr)
	f.stop(tr)
	_, err := f.pool.Exec(f.ctx, "UPDATE team_members SET team_id = 2, user_id = 8 WHERE id = 101") // no record says so
	f.check(err)
	r, _ := f.replay(0, "2", "team_members")
	f.check(r.Begin(f.ctx))
	if got, want := f.print(touchedNow), "(member,3,2,7,f,f,replay)\n(member,3,2,8,f,f,replay)\n(member,3,2,9,f,f,replay)"; got != want {
		t.Errorf("of organization 2 is touched\n%s\nwant\n%s", got, want)
	}
	// users name no organization: their members of this one
	_, err = f.pool.Exec(f.ctx, "DELETE FROM backstitch.touched")
	f.check(err)
	r, d := f.replay(0, "2", "users")
	f.check(r.Begin(f.ctx))
	if got, want := f.print(touchedNow), "(member,3,2,7,f,f,replay)\n(member,3,2,8,f,f,replay)\n(member,3,2,9,f,f,replay)"; got != want || d.Entities != 1 {
		t.Errorf("of organization 2 is touched\n%s\nwant\n%s; %+v", got, want, d)
	}
	last, err := f.find(1<<40, "")
	f.check(err)
	defer last.Close()
	if last.Records != 0 {
		t.Errorf("%d records behind the end", last.Records)
	}
}

// An organization that appears or vanishes takes its members along, foreseen and done.
func TestReplayTakesMembersAlong(t *testing.T) { // hazard A25
	t.Parallel()
	f, tr := teamsFed(t)
	_, err := f.pool.Exec(f.ctx, "UPDATE backstitch.entities SET desired = NULL WHERE org_key = '1'")
	f.check(err)
	r, d := f.replay(0, "", "teams")
	if want := (Difference{Entities: 4, Differ: 3, Appear: 3}); d != want {
		t.Errorf("compared %+v, want %+v", d, want)
	}
	f.check(r.Begin(f.ctx))
	f.begin().end()
	f.evaluated(tr)
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE org_key = '1' AND desired IS NOT NULL"); n != 3 {
		t.Errorf("%d of 3 are there again", n)
	}
}

// Where keys wait for the transform, the comparison waits once, says so, and goes on.
func TestReplayBesideWorkThatWaits(t *testing.T) {
	t.Parallel()
	f, tr := teamsFed(t)
	f.stop(tr)
	_, err := f.pool.Exec(f.ctx, `INSERT INTO backstitch.touched (kind, part, org_key, key, wide, earned) VALUES ('organization', 3, '1', '1', false, true)`)
	f.check(err)
	r, err := f.find(0, "")
	f.check(err)
	defer r.Close()
	begun := time.Now()
	d, quiet, err := r.Compare(f.ctx, f.cfg.ApplyPartitions)
	if took := time.Since(begun); err != nil || quiet || d.Entities != 5 || took < quietWithin || took > 6*quietWithin {
		t.Errorf("compared %+v, quiet %v, %v, in %s", d, quiet, err, took)
	}
}

func TestReplayInTheRightLane(t *testing.T) { // hazard C18
	t.Parallel()
	f := docsFeeder(t)
	tr := f.start()
	tx := f.reading()
	for i := range wideFanOut + 1 {
		tx.insert("docs", i, fmt.Sprint("a", i), nil, nil, nil)
	}
	tx.end()
	f.loaded()
	f.evaluated(tr)
	_, err := f.pool.Exec(f.ctx, `UPDATE backstitch.entities SET desired = '{}', lane = 'live', status = 'current'`)
	f.check(err)
	r, d := f.replay(0, "")
	if d.Differ != wideFanOut+1 {
		t.Errorf("compared %+v", d)
	}
	f.check(r.Begin(f.ctx))
	f.begin().end()
	f.evaluated(tr)
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE lane = 'backfill' AND desired <> '{}'"); n != wideFanOut+1 {
		t.Errorf("%d of %d entities are in the backfill lane", n, wideFanOut+1)
	}
}

func TestReplayKeepsWhatIsEarned(t *testing.T) { // invariant 7
	t.Parallel()
	f, tr := teamsFed(t)
	f.stop(tr)
	_, err := f.pool.Exec(f.ctx, `INSERT INTO backstitch.touched (kind, part, org_key, key, wide, earned) VALUES ('organization', 3, '1', '1', false, true)`)
	f.check(err)
	r, err := f.find(0, "")
	f.check(err)
	defer r.Close()
	f.check(r.Begin(f.ctx))
	f.check(r.Begin(f.ctx)) // again is the same
	if n := f.number("SELECT count(*) FROM backstitch.touched WHERE earned AND cause = 'change' AND key = '1'"); n != 1 {
		t.Error("a change that waited is not earned any more")
	}
}

// A table without a route leads nowhere: a sweep compares everything.
func TestReplayOfATableWithoutARoute(t *testing.T) { // hazard C16
	t.Parallel()
	mapping := docsMapping()
	mapping.Routes = map[schemas.Table]consumers.Route{public("docs")[0]: {Sweep: true}}
	f := newFeeder(t, docsDDL, public("docs"), mapping)
	tr := f.start()
	f.reading().insert("docs", 1, "a", nil, nil, nil).end()
	f.loaded()
	f.evaluated(tr)
	before := f.number("SELECT coalesce(sum(changes), 0) FROM backstitch.sweeps")
	r, d := f.replay(0, "")
	if !reflect.DeepEqual(r.Unrouted, []string{"public.docs"}) || d.Entities != 0 {
		t.Errorf("unrouted %v, %+v", r.Unrouted, d)
	}
	f.check(r.Begin(f.ctx))
	if n := f.number("SELECT sum(changes) FROM backstitch.sweeps WHERE changes > swept AND NOT routed"); n != before+1 {
		t.Errorf("no sweep is due: %d changes, were %d", n, before)
	}
}

// Records of a former shape of the table are no hindrance: the rows of today stand
// for them. What a record carries of a row that is gone leads to its entity.
func TestReplayOfFormerShapes(t *testing.T) {
	t.Parallel()
	f := newFeeder(t, "CREATE TABLE docs (id int PRIMARY KEY, name text, big text); ALTER TABLE docs REPLICA IDENTITY FULL", public("docs"), consumers.Mapping{
		Kind: consumers.Organization, Select: `SELECT d.name AS organization_external_id, d.big AS organization_name FROM docs d`,
		Routes: map[schemas.Table]consumers.Route{{Schema: "public", Name: "docs"}: {Columns: map[string]string{"organization_external_id": "name"}}},
	})
	tr := f.start()
	f.reading().insert("docs", 1, "a", "A").insert("docs", 2, "b", "B").end()
	f.loaded()
	tx := f.begin() // the whole old row
	tx.add("docs", tx.version(), schemas.Delete, row([]any{2, "b", "B"}), nil)
	f.sql("DELETE FROM docs WHERE id = 2")
	tx.end()
	f.evaluated(tr)
	f.stop(tr)
	r, _ := f.replay(0, "")
	f.check(r.Begin(f.ctx))
	if got, want := f.print(touchedNow), "(organization,3,a,a,f,f,replay)\n(organization,3,b,b,f,f,replay)"; got != want {
		t.Errorf("touched is\n%s\nwant\n%s", got, want)
	}
	_, err := f.pool.Exec(f.ctx, "DELETE FROM backstitch.touched; ALTER TABLE docs ALTER name TYPE int USING 5")
	f.check(err)
	r, err = f.find(0, "")
	f.check(err)
	defer r.Close()
	f.check(r.Begin(f.ctx))
	if got, want := f.print(touchedNow), "(organization,3,5,5,f,f,replay)"; got != want || r.Misfits == 0 {
		t.Errorf("touched is\n%s\nwant\n%s; %d misfits", got, want, r.Misfits)
	}
}

func TestReplayWaitsForTheFirstEvaluation(t *testing.T) {
	t.Parallel()
	f := docsFeeder(t)
	tr := f.start()
	f.reading().insert("docs", 1, "a", nil, nil, nil).end()
	f.until("the row is filled", func() bool { return tr.Status().Read == 1 })
	if r, err := f.find(0, ""); !errors.Is(err, ErrNotFollowing) {
		t.Errorf("a replay while loading: %v, %v", r, err)
	}
	f.loaded()
	f.evaluated(tr)
	r, err := f.find(0, "")
	f.check(err)
	r.Close()
}

// Many keys are compared in chunks, each entity once.
func TestReplayComparesInChunks(t *testing.T) {
	f, _ := teamsFed(t)
	sizes := takeSize
	takeSize = map[int]int{partFull: 1, partEntity: 1, partOrganization: 1}
	defer func() { takeSize = sizes }()
	if _, d := f.replay(0, ""); d != (Difference{Entities: 5}) {
		t.Errorf("one by one: %s", fmt.Sprint(d))
	}
}
