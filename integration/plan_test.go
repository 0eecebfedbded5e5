package integration_test

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/pipeline"
)

// mappingPlan asks for the plan of a file; the ledger's entities stay as they are.
func mappingPlan(t *testing.T, w *harness.World, path string) *pipeline.MappingPlan {
	t.Helper()
	out, code := w.Command(t, "plan", "-o", "json", "-c", path)
	var p pipeline.MappingPlan
	if err := json.Unmarshal([]byte(out), &p); err != nil || code != 0 && code != 4 {
		t.Fatalf("plan exits with %d and says %s", code, out)
	}
	return &p
}

// planCounts are create, update, rename and delete, of organizations and members.
func planCounts(p *pipeline.MappingPlan) (counts [8]int64) {
	for i, k := range p.Kinds {
		copy(counts[4*i:], []int64{k.Create.Count, k.Update.Count, k.Rename.Count, k.Delete.Count})
	}
	return counts
}

func replaceIn(s *string, old, changed string) { *s = strings.Replace(*s, old, changed, 1) }

// A plan says, beside a pipeline that runs, what an edit of the mapping would do, and
// does nothing; the consent is to that plan, and deletes among it wait for their own
// (hazard C23, invariant 7).
func TestPlanOfAnotherMapping(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(10) // 9 teams with all 50 users in two of them, or in one
	w := harness.New(t, o)
	p := w.Run(t)
	w.CaughtUp(t, 2*time.Minute)
	members := ledgerText(w, "SELECT count(*)::text FROM backstitch.entities WHERE kind = 'member' AND desired IS NOT NULL")
	seq := w.Simulator.Seq()
	before := ledgerText(w, "SELECT md5(string_agg(e::text, '' ORDER BY kind, org_key, key)) FROM backstitch.entities e")
	edited := w.Variant(t, "edited", func(o *harness.Options) {
		replaceIn(&o.Members, "u.email AS email_address, u.name", "u.email AS email_address, upper(u.name) AS name")
		replaceIn(&o.Members, "u.id AS external_id", "CASE WHEN u.id = 1 THEN 1001 ELSE u.id END AS external_id")
		replaceIn(&o.Members, "JOIN users u ON u.id = m.user_id", "JOIN users u ON u.id = m.user_id WHERE u.id <> 2")
		replaceIn(&o.Members, "users: {external_id: id}", "team_members: {organization_external_id: team_id}")
		replaceIn(&o.Members, "\n    team_members: {organization_external_id: team_id, external_id: user_id}", "")
	})
	plan := mappingPlan(t, w, edited)
	var teamsOf1, teamsOf2, named string
	for sql, into := range map[string]*string{
		"key = '1'": &teamsOf1, "key = '2'": &teamsOf2, "key NOT IN ('1', '2') AND desired->>'name' <> ''": &named,
	} {
		*into = ledgerText(w, "SELECT count(*)::text FROM backstitch.entities WHERE kind = 'member' AND desired IS NOT NULL AND "+sql)
	}
	if want := [8]int64{0, 0, 0, 0, 0, number(t, named), number(t, teamsOf1), number(t, teamsOf2)}; planCounts(plan) != want || want[7] == 0 {
		t.Errorf("planned %v, want %v", planCounts(plan), want)
	}
	if plan.ID == "" || !plan.Evaluated || plan.Calls != number(t, named)+number(t, teamsOf1) || len(plan.KeptIDs) != 0 {
		t.Errorf("the plan is %+v", plan)
	}
	if k := plan.Kinds[1]; k.Rename.Samples[0].NewKey != "1001" || k.Delete.Samples[0].Key != "2" || !reflect.DeepEqual(k.Update.Samples[0].Fields, []string{"name"}) {
		t.Errorf("its samples are %+v", k)
	}
	prefix := mappingPlan(t, w, w.Variant(t, "prefix", func(o *harness.Options) { o.More += "\nexternal_id_prefix: {members: acme_}" }))
	if prefix.ID == "" || planCounts(prefix) != [8]int64{} || len(prefix.KeptIDs) != 1 || prefix.KeptIDs[0].Count != number(t, members) {
		t.Errorf("the plan of another prefix is %+v", prefix)
	}
	policy := mappingPlan(t, w, w.Variant(t, "policy", func(o *harness.Options) { replaceIn(&o.More, "organizations: apply", "organizations: hold") }))
	if policy.ID == "" || policy.Same || !policy.Evaluated || planCounts(policy) != [8]int64{} || policy.Deletes() != 0 || len(policy.KeptIDs) != 0 {
		t.Errorf("the plan of another policy is %+v", policy)
	}
	away := mappingPlan(t, w, w.Variant(t, "away", func(o *harness.Options) {
		o.Legacy = "postgres://nobody@127.0.0.1:1/away?sslmode=disable"
		replaceIn(&o.Members, "u.email AS email_address, u.name", "u.email AS email_address, upper(u.name) AS name")
	}))
	if c := planCounts(away); away.ID == "" || c[5] == 0 || len(away.Notices) != 1 || !strings.Contains(away.Notices[0], "the source cannot be reached") {
		t.Errorf("the plan without the source is %+v", away)
	}
	after := ledgerText(w, "SELECT md5(string_agg(e::text, '' ORDER BY kind, org_key, key)) FROM backstitch.entities e")
	if w.Simulator.Seq() != seq || before != after {
		t.Error("a plan changed something")
	}

	other := w.Variant(t, "other", func(o *harness.Options) { replaceIn(&o.Members, "u.name", "lower(u.name) AS name") })
	p.Stop(t)
	for id, because := range map[string]string{plan.ID: "what it would do was not planned", "no-such-plan": "has no plan"} {
		if out, code := w.Command(t, "run", "-c", other, "--accept-mapping", id); code != 4 || !strings.Contains(out, because) {
			t.Errorf("consent to plan %s for another file exits with %d: %s", id, code, out)
		}
	}
	w.Exec(t, "UPDATE users SET name = 'Changed since' WHERE id = 3")
	untilCaughtUp(t, w, 0) // with the former mapping
	w.Config = edited
	p = untilCaughtUp(t, w, 3, "--accept-mapping", plan.ID)
	if !strings.Contains(p.Log(), "entities have changed since the plan was made") || !strings.Contains(p.Log(), "accepted as planned") {
		t.Errorf("it does not tell that the plan is old:\n%s", p.Log())
	}
	if r := w.Clean(t); deletes(w) != 0 || int64(len(r.Awaiting)) != plan.Deletes() {
		t.Errorf("%d deletes were sent, %d wait, %d were planned", deletes(w), len(r.Awaiting), plan.Deletes())
	}
	id, question := consent(t, w)
	if !strings.Contains(question, "an edited mapping") {
		t.Errorf("the question is %s", question)
	}
	w.Output(t, "approve", id)
	p = w.Run(t, "--accept-mapping="+plan.ID) // accepted already
	harness.Eventually(t, 2*time.Minute, "the deletes are sent", func() bool { return len(w.Compare(t).Awaiting) == 0 })
	w.CaughtUp(t, 2*time.Minute)
	harness.NothingAside(t, w.Clean(t))
	p.Stop(t)
}

// What the mirror lacks of another mapping is named, table by table, and no plan that
// says less than it should is given an id.
func TestPlanNamesWhatTheMirrorLacks(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(5) + "ALTER TABLE users ADD COLUMN phone text; CREATE TABLE plans (name text PRIMARY KEY, seats int);"
	w := harness.New(t, o)
	untilCaughtUp(t, w, 0)
	path := w.Variant(t, "wider", func(o *harness.Options) {
		o.Tables = "[public.teams, public.users, public.team_members, public.plans]"
		replaceIn(&o.Members, "u.name,", "coalesce(u.name, u.phone) AS name,")
		replaceIn(&o.Organizations, "t.plan)", "t.plan, 'seats', (SELECT p.seats FROM plans p WHERE p.name = t.plan))")
	})
	plan := mappingPlan(t, w, path)
	if plan.ID != "" || plan.Evaluated || len(plan.Needs) != 2 {
		t.Fatalf("the plan is %+v", plan)
	}
	for i, want := range []string{"public.plans true [name seats] true", "public.users false [phone] true"} {
		n := plan.Needs[i]
		if got := strings.Join([]string{n.Table, strconv.FormatBool(n.Whole), "[" + strings.Join(n.Columns, " ") + "]", strconv.FormatBool(n.Blocks)}, " "); got != want {
			t.Errorf("it needs %s, want %s", got, want)
		}
	}
	routed := mappingPlan(t, w, w.Variant(t, "routed", func(o *harness.Options) {
		replaceIn(&o.Members, "users: {external_id: id}", "users: SELECT m.team_id AS organization_external_id, c.id AS external_id FROM changed c JOIN team_members m ON m.user_id = c.id WHERE c.phone IS NOT NULL")
	}))
	if routed.ID == "" || !routed.Evaluated || len(routed.Needs) != 1 || routed.Needs[0].Blocks || routed.Needs[0].Columns[0] != "phone" || planCounts(routed) != [8]int64{} {
		t.Errorf("where only a route reads it, the plan is %+v", routed)
	}
	w.Config = path // as the fixes say
	p := w.Run(t, "--accept-mapping")
	harness.Eventually(t, 2*time.Minute, "the transform to wait for the column", func() bool { return w.Status(t).Connectors[1].Held })
	w.Output(t, "backfill", "--table", "public.users")
	w.CaughtUp(t, 2*time.Minute)
	harness.NothingAside(t, w.Clean(t))
	p.Stop(t)
}

func number(t *testing.T, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatalf("the ledger says %q", s)
	}
	return n
}
