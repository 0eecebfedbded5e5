package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/pipeline/rehearsal/report"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// Each trap of the legacy system is found, with keys and without values; the source is
// as it was, the project was asked for its roles and for nothing else, and nothing stays
// on this machine.
func TestRehearseFindsEveryTrap(t *testing.T) {
	t.Parallel()
	w := newRehearsing(t)
	before := settled(t, w.pool)
	r := w.rehearse(t, 3, w.config, "first")
	if after := settled(t, w.pool); after != before {
		t.Errorf("the source was changed:\n%s\nbefore:\n%s", after, before)
	}
	if w.mu.Lock(); !slices.Equal(w.asked, []string{"GET /v1/b2b/rbac/policy"}) {
		t.Errorf("the project was asked for %v", w.asked)
	}
	w.mu.Unlock()
	if left := w.left(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}

	sample := func(organization, key string) report.Sample {
		return report.Sample{Organization: organization, Key: key}
	}
	for _, c := range []struct {
		class  report.Class
		kind   string
		count  int64
		sample report.Sample // its keys
		detail string
	}{
		{report.DuplicateEmail, "member", 1, sample("2", ""), ""},
		{report.DuplicateSlug, "organization", 1, sample("", ""), ""},
		{"invalid_slug", "organization", 1, sample("", "9"), ""},
		{"password_hash_unsupported", "member", 4, sample("3", "2"), "crypt_md5"},
		{"password_of_unverified_email", "member", 1, sample("22", "21"), ""},
		{report.RefusedDomain, "organization", 1, sample("", "10"), "organization_settings_domain_too_common"},
		{"invalid_metadata", "organization", 1, sample("", "11"), "metadata_too_large"},
		{"invalid_role", "member", 2, sample("13", "12"), "superuser"},
		{"duplicate_key", "member", 1, sample("15", "14"), ""},
		{"missing_email", "member", 1, sample("17", "16"), ""},
		{"invalid_email", "member", 1, sample("18", "17"), ""},
		{report.NoOrganization, "member", 11, sample("20", ""), ""},
		{"organization_blocked", "member", 40, sample("", ""), ""},
	} {
		f := find(r, c.class, c.kind)
		if f.Count != c.count || len(f.Samples) == 0 || !strings.HasSuffix(f.Where, ".yaml:21") && !strings.HasSuffix(f.Where, ".yaml:15") {
			t.Errorf("%s: %d with %d samples at %q, want %d", c.class, f.Count, len(f.Samples), f.Where, c.count)
			continue
		}
		has := func(s report.Sample) bool {
			return (c.sample.Organization == "" || s.Organization == c.sample.Organization) && (c.sample.Key == "" || s.Key == c.sample.Key) &&
				(c.detail == "" || s.Detail == c.detail)
		}
		if !slices.ContainsFunc(f.Samples, has) {
			t.Errorf("%s: the samples %+v lack %+v", c.class, f.Samples, c.sample)
		}
	}
	if f := find(r, report.DuplicateEmail, ""); f.Count > 0 && (f.Samples[0].Key+f.Samples[0].Other != "411" && f.Samples[0].Key+f.Samples[0].Other != "141") {
		t.Errorf("a collision without the other key: %+v", f.Samples[0])
	}
	if r.Run.Roles != report.RolesOfProject || r.Run.LSN == "" || r.In(report.Outcomes...) != 39+390 {
		t.Errorf("%+v, %d entities", r.Run, r.In(report.Outcomes...))
	}
	dangling := find(r, report.Dangling, "")
	if dangling.Count != 2 || !slices.ContainsFunc(dangling.Samples, func(s report.Sample) bool { return s.Key == "1/9001" && s.Table == "public.memberships" }) ||
		!slices.ContainsFunc(dangling.Samples, func(s report.Sample) bool { return s.Key == "9000/18" }) {
		t.Errorf("rows that point to nothing: %+v", dangling)
	}
	unfed := map[string]int64{}
	for _, u := range r.Unfed {
		unfed[u.Table] = u.Rows
	}
	if unfed["public.teams"] != 1 || unfed["public.memberships"] != 12 || unfed["public.people"] != 11 {
		t.Errorf("rows that feed nothing: %v", unfed)
	}
	// At 60 calls a second: so long took they on the simulator's clock, and in truth less.
	e := r.Estimate
	if e.Limits[0].Calls < 380 || e.Seconds != float64(e.Limits[0].Calls)/60 || e.Simulated < e.Seconds-1 || e.Simulated > e.Seconds+1 {
		t.Errorf("the estimate %+v", e)
	}
}

// Another mapping is compared entity by entity with the rehearsal before.
func TestRehearseAgainst(t *testing.T) {
	t.Parallel()
	w := newRehearsing(t)
	first := w.rehearse(t, 3, w.config, "first")
	same := w.rehearse(t, 3, w.config, "same", "--against", filepath.Join(w.dir, "first.json"))
	if c := same.Change; c == nil || !c.SameMapping || c.NoStates != "" || len(c.Classes) != 0 || c.Kinds[0].Same != 39 || c.Kinds[1].Same != 390 {
		t.Errorf("nothing was edited: %+v", same.Change)
	}
	edited := w.mapping(t, "edited", func(s string) string {
		s = strings.Replace(s, "ARRAY[m.role] AS roles", "ARRAY[CASE m.role WHEN 'superuser' THEN 'owner' ELSE m.role END] AS roles", 1)
		return strings.Replace(s, "FROM teams t WHERE", "FROM teams t WHERE t.id <> 1 AND", 1)
	})
	r := w.rehearse(t, 3, edited, "edited", "--against", filepath.Join(w.dir, "first.json"))
	c := r.Change
	if c == nil || c.SameMapping || c.NoStates != "" || c.Mapping != first.Run.Mapping {
		t.Fatalf("%+v", c)
	}
	if o := c.Kinds[0]; o.Vanished.Count != 1 || o.Vanished.Samples[0].Key != "1" {
		t.Errorf("organizations: %+v", o)
	}
	m := c.Kinds[1]
	mended := slices.IndexFunc(m.Moves, func(x report.Move) bool {
		return x.From == report.Standing{Outcome: report.Parked, Class: "invalid_role"} && x.To.Outcome == report.Created
	})
	if m.Vanished.Count != 10 || m.Appeared.Count != 0 || mended < 0 || m.Moves[mended].Count != 2 {
		t.Errorf("members: %+v", m)
	}
	if i := slices.IndexFunc(c.Classes, func(x report.ClassChange) bool { return x.Class == "invalid_role" }); i < 0 || c.Classes[i].Before != 2 || c.Classes[i].Now != 0 {
		t.Errorf("classes: %+v", c.Classes)
	}
	// The same over the report that it is compared with, as who edits in a loop does.
	over := w.rehearse(t, 3, edited, "first", "--against", filepath.Join(w.dir, "first.json"))
	if c := over.Change; c == nil || c.NoStates != "" || c.Mapping != first.Run.Mapping || c.Kinds[1].Vanished.Count != 10 {
		t.Errorf("over the former report: %+v", over.Change)
	}
	last := w.rehearse(t, 3, edited, "last", "--against", filepath.Join(w.dir, "first.json"))
	if c := last.Change; c == nil || c.NoStates != "" || !c.SameMapping || c.Kinds[1].Vanished.Count != 0 {
		t.Errorf("against the report that was written over: %+v", last.Change)
	}
}

// Whatever ends the process, and wherever it is: no slot stays, and the next rehearsal
// removes what it left on this machine.
func TestRehearseKilled(t *testing.T) {
	t.Parallel()
	w := newRehearsingOn(t, testenv.OwnDatabase(t))
	kill := func(t *testing.T, p *harness.Process) {
		t.Helper()
		p.Kill()
		w.noSlot(t)
	}
	said := func(t *testing.T, p *harness.Process, what string) {
		t.Helper()
		harness.Eventually(t, 2*time.Minute, what, func() bool { return strings.Contains(p.Log(), what) })
	}
	t.Run("while the slot is made", func(t *testing.T) {
		p, release := w.making(t)
		kill(t, p)
		release()
	})
	t.Run("stopped while the slot is made", func(t *testing.T) {
		p, release := w.making(t)
		p.Signal(syscall.SIGSTOP)
		release() // now the slot is complete, and nobody answers any more
		w.noSlot(t)
		p.Kill()
	})
	t.Run("once the state is read", func(t *testing.T) {
		p := w.start(t, w.config)
		said(t, p, "read the state at")
		kill(t, p)
	})
	if len(w.left(t)) == 0 {
		t.Error("nothing was left, so nothing is shown to be removed")
	}
	p := w.start(t, w.config)
	if code := p.Wait(t, 3*time.Minute); code != 3 || !strings.Contains(p.Log(), "which a rehearsal that was killed had left") {
		t.Errorf("the next rehearsal exits with %d and says %s", code, p.Log())
	}
	if left := w.left(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	t.Run("interrupted", func(t *testing.T) {
		p := w.start(t, w.config)
		said(t, p, "read the state at")
		p.Signal(syscall.SIGTERM)
		if code := p.Wait(t, time.Minute); code != 1 {
			t.Errorf("it exits with %d", code)
		}
		if left := w.left(t); len(left) > 0 || w.slots(t) > 0 {
			t.Errorf("left behind: %v, %d slots", left, w.slots(t))
		}
	})
}

// making starts a rehearsal whose slot waits for a transaction, until release.
func (w *rehearsing) making(t *testing.T) (p *harness.Process, release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "BEGIN; UPDATE people SET name = name WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	p = w.start(t, w.config)
	harness.Eventually(t, 2*time.Minute, "the slot's creation to begin", func() bool { return w.slots(t) > 0 })
	return p, func() {
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// Without a policy every role is taken, and the report says so; a file can give it.
func TestRehearseRoles(t *testing.T) {
	t.Parallel()
	w := newRehearsing(t)
	r := w.rehearse(t, 3, w.config, "unknown", "--policy", "none")
	if r.Run.Roles != report.RolesUnknown || find(r, "invalid_role", "").Count != 0 || len(w.asked) > 0 {
		t.Errorf("roles from %s, %d refused, asked %v", r.Run.Roles, find(r, "invalid_role", "").Count, w.asked)
	}
	file := filepath.Join(w.dir, "policy.json")
	if err := os.WriteFile(file, []byte(`{"roles": [{"role_id": "superuser"}, {"role_id": "member"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if r = w.rehearse(t, 3, w.config, "file", "--policy", file); r.Run.Roles != report.RolesOfFile || find(r, "invalid_role", "").Details[0].Name != "owner" {
		t.Errorf("roles from %s, %+v", r.Run.Roles, find(r, "invalid_role", ""))
	}
}

// A pace above Stytch's own limits is throttled on the simulator's clock, as the real run
// would be: the calls take longer than the pace alone says.
func TestRehearseKeepsLimits(t *testing.T) {
	t.Parallel()
	w := newRehearsing(t)
	fast := w.mapping(t, "fast", func(s string) string { return strings.Replace(s, "60/s", "400/s", 1) })
	r := w.rehearse(t, 3, fast, "fast")
	i := slices.IndexFunc(r.Calls, func(c report.Call) bool { return strings.HasSuffix(c.Endpoint, "/passwords/migrate") })
	if i < 0 || r.Calls[i].Throttled == 0 {
		t.Fatalf("nothing was throttled: %+v", r.Calls)
	}
	if e := r.Estimate; e.Decides != "passwords/migrate" || e.Limits[0].Seconds > 2 || e.Simulated < 2 || e.Simulated > 20 {
		t.Errorf("the estimate %+v", e)
	}
	w.refused(t, "no such file", "--report", "/nonexistent/report.html")
	w.refused(t, "--policy", "--policy", "/nonexistent/policy.json")
	w.refused(t, "--against", "--against", "/nonexistent/report.json")
}

// Rows that name objects in Stytch are rehearsed as new, and the report says so.
func TestRehearseSavedIDs(t *testing.T) {
	t.Parallel()
	w := newRehearsing(t)
	saved := w.mapping(t, "saved", func(s string) string {
		return strings.Replace(s, "t.name AS organization_name", "t.name AS organization_name, CASE WHEN t.id < 3 THEN 'organization-test-0000000'||t.id END AS organization_id", 1)
	})
	r := w.rehearse(t, 3, saved, "saved")
	if find(r, "missing_in_stytch", "").Count > 0 || r.Kinds[0].Outcomes[report.Created] != 35 {
		t.Errorf("organizations: %v", r.Kinds[0].Outcomes)
	}
	if !slices.ContainsFunc(r.Run.Notices, func(n string) bool { return strings.HasPrefix(n, "2 rows name the Stytch id") }) {
		t.Errorf("notices: %q", r.Run.Notices)
	}
}

// An error that has become the rule stops a run; the rehearsal tells of it, and sees the
// rest.
func TestRehearseIncident(t *testing.T) {
	t.Parallel()
	w := newRehearsing(t)
	nobody := w.mapping(t, "nobody", func(s string) string { return strings.Replace(s, "ARRAY[m.role]", "ARRAY['nobody']", 1) })
	r := w.rehearse(t, 3, nobody, "nobody")
	f := find(r, "invalid_role", "")
	if f.Count < 330 || f.Details[0].Name != "nobody" {
		t.Errorf("%d members with a role that the project does not have: %+v", f.Count, f.Details)
	}
	if !slices.ContainsFunc(r.Run.Notices, func(n string) bool { return strings.Contains(n, "ended in invalid_role") }) {
		t.Errorf("notices: %q", r.Run.Notices)
	}
}

// refused starts a rehearsal that must not begin.
func (w *rehearsing) refused(t *testing.T, why string, args ...string) {
	t.Helper()
	p := w.start(t, w.config, args...)
	if code := p.Wait(t, time.Minute); code != 2 || !strings.Contains(p.Log(), why) {
		t.Errorf("it exits with %d and says %s", code, p.Log())
	}
}

// A database that the person names is taken only when it is empty, and is emptied again.
func TestRehearseWithALedger(t *testing.T) {
	t.Parallel()
	w := newRehearsing(t)
	own := testenv.Postgres(t)
	w.refused(t, "holds 4 tables", "--ledger", w.url)
	r := w.rehearse(t, 3, w.config, "own", "--ledger", own)
	if r.In(report.Outcomes...) != 39+390 {
		t.Errorf("%d entities", r.In(report.Outcomes...))
	}
	conn, err := pgx.Connect(t.Context(), own)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var schemas string
	err = conn.QueryRow(t.Context(), `SELECT concat_ws(' ', (SELECT string_agg(nspname, ' ') FROM pg_namespace WHERE nspname NOT LIKE 'pg\_%' AND nspname NOT IN ('public', 'information_schema')),
		(SELECT string_agg(relname, ' ') FROM pg_class WHERE relnamespace = 'public'::regnamespace))`).Scan(&schemas)
	if err != nil || schemas != "" {
		t.Errorf("left in the database: %q, %v", schemas, err)
	}
	p := w.start(t, w.config, "--ledger", own) // is killed, and followed by another
	harness.Eventually(t, 2*time.Minute, "the state to be read", func() bool { return strings.Contains(p.Log(), "read the state at") })
	p.Kill()
	w.rehearse(t, 3, w.config, "after", "--ledger", own)
}

// Two rehearsals at once, beside the real pipeline: nobody notices anybody.
func TestRehearseBesideARun(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(60)
	w := harness.New(t, o)
	run := w.Run(t)
	w.CaughtUp(t, time.Minute)
	slot, publications, ledger := ofRun(t, w)
	var both []*harness.Process
	for i := range 2 {
		both = append(both, w.Start(t, "rehearse", "-c", w.Config, "--policy", "none", "--json", filepath.Join(t.TempDir(), fmt.Sprint(i, ".json"))))
	}
	for _, p := range both {
		if code := p.Wait(t, 3*time.Minute); code != 0 {
			t.Errorf("a rehearsal exits with %d:\n%s", code, p.Log())
		}
	}
	if s, p, l := ofRun(t, w); s != slot || p != publications || l != ledger {
		t.Errorf("slot %s, publications %s, ledger %s; before %s, %s, %s", s, p, l, slot, publications, ledger)
	}
	if _, err := w.Pool.Exec(t.Context(), "UPDATE users SET name = 'Another' WHERE id % 5 = 0"); err != nil {
		t.Fatal(err)
	}
	w.CaughtUp(t, time.Minute)
	run.Live(t, 0)
	w.Clean(t)
}

// What a rehearsal says is what the run then does: the same outcomes for the same causes,
// by as many calls.
func TestRehearseForetellsTheRun(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(60) + `
		UPDATE users SET email = 'USER1@corp.example' WHERE id = (SELECT min(user_id) FROM team_members WHERE user_id > 1 AND user_id % 4 > 0 AND user_id % 13 > 0
			AND team_id IN (SELECT team_id FROM team_members WHERE user_id = 1));
		UPDATE teams SET slug = 'no slug' WHERE id = 5;
		UPDATE users SET email = 'none' WHERE id = 77;`
	w := harness.New(t, o)
	file := filepath.Join(t.TempDir(), "report.json")
	slow := w.Variant(t, "slow", func(o *harness.Options) { o.RateLimit = 60 }) // faster is throttled, as Stytch would
	if out, code := w.Command(t, "rehearse", "-c", slow, "--json", file); code != 3 {
		t.Fatalf("the rehearsal exits with %d: %s", code, out)
	}
	r, err := report.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if out, code := w.Command(t, "run", "--until-caught-up"); code != 3 {
		t.Fatalf("the run exits with %d: %s", code, out)
	}
	var foretold, came []string
	for _, k := range r.Kinds {
		for outcome, n := range k.Outcomes {
			if n > 0 {
				foretold = append(foretold, fmt.Sprint(k.Kind, " ", outcome, " ", n))
			}
		}
	}
	rows, err := w.LedgerPool.Query(t.Context(), `SELECT concat_ws(' ', kind, CASE WHEN status <> 'current' THEN status WHEN losses <> '{}' THEN 'with_loss' ELSE 'created' END, count(*))
		FROM backstitch.entities WHERE desired IS NOT NULL GROUP BY kind, CASE WHEN status <> 'current' THEN status WHEN losses <> '{}' THEN 'with_loss' ELSE 'created' END`)
	if err == nil {
		came, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(foretold)
	slices.Sort(came)
	if !slices.Equal(foretold, came) {
		t.Errorf("foretold %q, came %q", foretold, came)
	}
	var calls, made int64
	for _, c := range r.Calls {
		calls += c.Count
	}
	for endpoint, byStatus := range w.Simulator.Counts() {
		for _, n := range byStatus {
			if endpoint != simulator.RBACPolicy { // the rehearsal's one
				made += int64(n)
			}
		}
	}
	if calls != made || calls < 500 {
		t.Errorf("%d calls foretold, %d made", calls, made)
	}
}

// ofRun is what belongs to the real pipeline.
func ofRun(t *testing.T, w *harness.World) (slot, publications, ledger string) {
	t.Helper()
	err := w.Pool.QueryRow(t.Context(), `SELECT (SELECT string_agg(slot_name || active_pid, ' ') FROM pg_replication_slots WHERE database = current_database()),
		(SELECT string_agg(p.oid || pubname, ' ') FROM pg_publication p)`).Scan(&slot, &publications)
	if err != nil {
		t.Fatal(err)
	}
	err = w.LedgerPool.QueryRow(t.Context(), `SELECT concat_ws(' ', (SELECT concat(sum(revision), ' ', count(*), ' ', max(applied_at)) FROM backstitch.entities),
		(SELECT sum(term) FROM backstitch.leases), (SELECT term FROM backstitch.transform))`).Scan(&ledger)
	if err != nil {
		t.Fatal(err)
	}
	return slot, publications, ledger
}
