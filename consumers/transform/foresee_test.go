package transform

import (
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/schemas"
)

// foresee tries another mapping on a ledger that follows; nothing may be stored.
func (w *world) foresee(mappings ...consumers.Mapping) *Foreseen {
	w.t.Helper()
	w.exec("UPDATE backstitch.transform SET phase = 'following', evaluated_epoch = 1, evaluated_commit_lsn = $1", int64(w.lsn))
	plan, err := compileOn(w.ctx, w.pool, w.tables, mappings...)
	if err != nil {
		w.t.Fatal(err)
	}
	before := w.states("SELECT kind, org_key, key, row(e.*)::text FROM backstitch.entities e")
	f, err := Foresee(w.ctx, ForeseeDeps{
		Ledger: w.pool, Plan: plan, Prefix: "test", Partitions: 4, Logger: slog.New(slog.DiscardHandler), Samples: 2, Changes: 100,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if after := w.states("SELECT kind, org_key, key, row(e.*)::text FROM backstitch.entities e"); !reflect.DeepEqual(before, after) {
		w.t.Error("a look ahead changed the ledger")
	}
	return f
}

func (f *Foreseen) kind(k consumers.Kind) *ForeseenKind {
	for i := range f.Kinds {
		if f.Kinds[i].Kind == k {
			return &f.Kinds[i]
		}
	}
	return nil
}

func wantGroup(t *testing.T, what string, g ForeseenGroup, count int64, samples ...ForeseenEntry) {
	t.Helper()
	if g.Count != count || len(samples)+len(g.Samples) > 0 && !reflect.DeepEqual(g.Samples, samples) {
		t.Errorf("%s: %+v, want %d %+v", what, g, count, samples)
	}
}

// What another mapping would do is foreseen by kind and outcome, and is what it does.
func TestForesee(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.seed(3, 9) // user g is in team 1 + g % 3
	w.load()
	w.exec("UPDATE backstitch.entities SET status = 'released' WHERE kind = 'member' AND key = '9'")
	organizations, members := teamsMappings()
	if f := w.foresee(organizations, members); f.Sum != "0" || f.kind(consumers.Member).Entities != 9 || !f.Quiet || f.CommitLSN != w.lsn {
		t.Errorf("the same mapping: %+v", f)
	}
	organizations.Select += " AND t.id <> 3"
	members.Select = strings.Replace(strings.TrimSuffix(members.Select, ";"), "u.name,", "lower(u.name) AS name,", 1) + " WHERE u.id <> 1"
	f := w.foresee(organizations, members)
	o, m := f.kind(consumers.Organization), f.kind(consumers.Member)
	wantGroup(t, "organizations deleted", o.Delete, 1, ForeseenEntry{Organization: "3", Key: "3"})
	wantGroup(t, "organizations updated", o.Update, 0)
	wantGroup(t, "members deleted", m.Delete, 4, ForeseenEntry{Organization: "2", Key: "1"}, ForeseenEntry{Organization: "3", Key: "2"})
	wantGroup(t, "members updated", m.Update, 4,
		ForeseenEntry{Organization: "1", Key: "3", Fields: []string{"name"}}, ForeseenEntry{Organization: "1", Key: "6", Fields: []string{"name"}})
	wantGroup(t, "members created", m.Create, 0)
	wantGroup(t, "members renamed", m.Rename, 0)
	wantGroup(t, "members released", m.Released, 1, ForeseenEntry{Organization: "1", Key: "9", Fields: []string{"name"}})
	if m.Fields["name"] != 4 || len(f.Changes) != 4 {
		t.Errorf("fields %v, %d changes", m.Fields, len(f.Changes))
	}
	if again := w.foresee(organizations, members); again.Sum != f.Sum {
		t.Error("the same look has another sum")
	}

	const living = "SELECT kind, org_key, key, desired::text FROM backstitch.entities WHERE desired IS NOT NULL AND status <> 'released'"
	before := w.states(living)
	w.compile(organizations, members)
	w.load()
	var updated, deleted int64
	after := w.states(living)
	for k, was := range before {
		switch is, ok := after[k]; {
		case !ok:
			deleted++
		case is != was:
			updated++
		}
	}
	if updated != m.Update.Count || deleted != m.Delete.Count+o.Delete.Count {
		t.Errorf("%d were updated and %d deleted, which is not what was foreseen", updated, deleted)
	}
}

// Another key for the same people is a rename: in the same organization, and where the
// organization has another key too.
func TestForeseeRenames(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.seed(2, 4)
	w.legacy("UPDATE users SET email = '4@corp.example' WHERE id = 2") // two with one address: no pair
	w.load()
	organizations, members := teamsMappings()
	members.Select = strings.Replace(members.Select, "u.id AS external_id", "'u' || u.id AS external_id", 1)
	members.Routes = nil
	f := w.foresee(organizations, members)
	m := f.kind(consumers.Member)
	wantGroup(t, "renamed", m.Rename, 2,
		ForeseenEntry{Organization: "2", Key: "1", NewOrganization: "2", NewKey: "u1"},
		ForeseenEntry{Organization: "2", Key: "3", NewOrganization: "2", NewKey: "u3"})
	if m.Create.Count != 2 || m.Delete.Count != 2 || len(f.Changes) != 4 {
		t.Errorf("%d are created and %d deleted, %d changes", m.Create.Count, m.Delete.Count, len(f.Changes))
	}
	organizations.Select = strings.Replace(organizations.Select, "t.id AS organization_external_id", "'t' || t.id AS organization_external_id", 1)
	organizations.Routes = nil
	members.Select = strings.Replace(members.Select, "m.team_id AS organization_external_id", "'t' || m.team_id AS organization_external_id", 1)
	f = w.foresee(organizations, members)
	wantGroup(t, "organizations", f.kind(consumers.Organization).Rename, 2,
		ForeseenEntry{Organization: "1", Key: "1", NewOrganization: "t1", NewKey: "t1"}, ForeseenEntry{Organization: "2", Key: "2", NewOrganization: "t2", NewKey: "t2"})
	wantGroup(t, "members with them", f.kind(consumers.Member).Rename, 2,
		ForeseenEntry{Organization: "2", Key: "1", NewOrganization: "t2", NewKey: "u1"},
		ForeseenEntry{Organization: "2", Key: "3", NewOrganization: "t2", NewKey: "u3"})
}

// Rows that the other mapping cannot evaluate would be parked, and nothing is foreseen
// before the first evaluation has ended.
func TestForeseeFailures(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.seed(2, 4)
	w.load()
	organizations, members := teamsMappings()
	members.Select = strings.Replace(members.Select, "u.name,", "(1 / (u.id - 3))::text AS name,", 1)
	m := w.foresee(organizations, members).kind(consumers.Member)
	wantGroup(t, "failed", m.Failed, 1, ForeseenEntry{Organization: "2", Key: "3"})
	wantGroup(t, "deleted", m.Delete, 0)
	w.exec("UPDATE backstitch.transform SET phase = 'loading'")
	_, err := Foresee(w.ctx, ForeseeDeps{Ledger: w.pool, Plan: w.plan, Prefix: "test", Partitions: 4, Logger: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, ErrNotFollowing) {
		t.Errorf("while it loads: %v", err)
	}
}

// What the mirror lacks of a mapping is named by table and column.
func TestLacking(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.exec(`INSERT INTO backstitch.mirror_columns (schema_name, table_name, column_name, type, complete) VALUES
		('public', 'teams', 'id', 'bigint', true), ('public', 'teams', 'name', 'text', false), ('public', 'old', 'id', 'bigint', true)`)
	plan := &Plan{Columns: map[schemas.Table][]string{{Schema: "public", Name: "teams"}: {"id", "name", "slug"}, {Schema: "public", Name: "users"}: {"id"}}}
	lacks, err := Lacking(w.ctx, w.pool, plan)
	want := []Lack{
		{Table: "public.teams", Columns: []string{"slug"}, Incomplete: []string{"name"}},
		{Table: "public.users", Whole: true, Columns: []string{"id"}, Incomplete: []string{}},
	}
	if err != nil || !reflect.DeepEqual(lacks, want) {
		t.Errorf("%+v, %v", lacks, err)
	}
	if unread, err := Unread(w.ctx, ledger.Querier(w.pool), plan); err != nil || !reflect.DeepEqual(unread, []string{"public.old"}) {
		t.Errorf("unread %v, %v", unread, err)
	}
}
