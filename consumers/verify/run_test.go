package verify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/stytch"
	sim "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// counting is a client that may fail its nth search, and calls back before each.
type counting struct {
	API
	searches int
	failAt   int
	before   func(n int)
}

var errCut = errors.New("cut off")

func (c *counting) count() error {
	c.searches++
	if c.before != nil {
		c.before(c.searches)
	}
	if c.searches == c.failAt {
		return errCut
	}
	return nil
}

func (c *counting) SearchOrganizations(ctx context.Context, s stytch.OrganizationSearch) (*stytch.OrganizationPage, error) {
	if err := c.count(); err != nil {
		return nil, err
	}
	return c.API.SearchOrganizations(ctx, s)
}

func (c *counting) SearchMembers(ctx context.Context, s stytch.MemberSearch) (*stytch.MemberPage, error) {
	if err := c.count(); err != nil {
		return nil, err
	}
	return c.API.SearchMembers(ctx, s)
}

// A run that is interrupted at any search goes on there: nothing is read again, and
// everything is counted once.
func TestAnInterruptedRunGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sim.Options{})
	const organizations = 130 // more than one partition
	for i := range organizations {
		id := w.organization(fmt.Sprintf("o%03d", i))
		for j := range 3 {
			w.member(fmt.Sprintf("o%03d", i), id, fmt.Sprintf("%03d-%d", i, j))
		}
	}
	w.must(w.sim.Behind().DeleteMember(w.member("o007", w.stytchID("o007"), "lost")))

	whole := &counting{API: w.client}
	edit := func(c *counting) func(*Config, *Deps) { return func(_ *Config, d *Deps) { d.Client = c } }
	v := w.verifier(edit(whole))
	v.pageSize = 50
	want := w.run(v)
	if want.Classes[Match] != organizations*4 || want.Classes[Missing] != 1 || want.Verdict != DriftFound {
		t.Fatalf("a run in one go: %+v", want.Classes)
	}

	ctx, cancel := context.WithCancel(context.Background())
	searches := 0
	var got *Report
	for n := 2; got == nil; n = 2 { // each life makes one search and is cut off in the second
		c := &counting{API: w.client}
		life, end := context.WithCancel(ctx)
		c.before = func(i int) {
			if i == n {
				end()
			}
		}
		v := w.verifier(edit(c))
		v.pageSize = 50
		r, err := v.Run(life)
		end()
		switch {
		case err == nil:
			got = r
			searches += c.searches
		case errors.Is(err, context.Canceled):
			searches += c.searches - 1
		default:
			t.Fatal(err)
		}
		if searches > 2*whole.searches {
			t.Fatal("the lives do not come to an end")
		}
	}
	cancel()
	if fmt.Sprint(got.Classes) != fmt.Sprint(want.Classes) || fmt.Sprint(got.Entities) != fmt.Sprint(want.Entities) {
		t.Errorf("interrupted: %v of %v, in one go: %v of %v", got.Classes, got.Entities, want.Classes, want.Entities)
	}
	if searches != whole.searches || got.Searches != want.Searches {
		t.Errorf("%d searches in all lives (%d reported), %d in one", searches, got.Searches, whole.searches)
	}
}

func (w *world) stytchID(key string) (id string) {
	w.t.Helper()
	w.must(w.pool.QueryRow(context.Background(), `SELECT stytch_id FROM backstitch.entities WHERE kind = 'organization' AND key = $1`, key).Scan(&id))
	return id
}

// What is on its way is looked at again until it has settled, and is pending when it
// does not in time.
func TestPendingIsLookedAtUntilItSettles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sim.Options{})
	id := w.organization("a")
	late := w.member("a", id, "1")
	w.exec(`UPDATE backstitch.entities SET status = 'pending', revision = 2, desired = desired || '{"name": "New"}' WHERE key = '1'`)

	r := w.run(w.verifier(func(c *Config, _ *Deps) { c.Timeout = time.Second }))
	if r.Verdict != CouldNotTell || r.Classes[Pending] != 1 || r.Classes[Match] != 1 {
		t.Errorf("with a change on its way: %s %v", r.Verdict, r.Classes)
	}

	r = w.run(w.verifier(func(c *Config, d *Deps) {
		c.Timeout = time.Minute
		d.Progress = func(what string) {
			if strings.HasPrefix(what, "everything is compared") { // it is applied after the comparison
				_, err := w.sim.Behind().UpdateMember(late, map[string]any{"name": "New"})
				w.must(err)
				w.exec(`UPDATE backstitch.entities SET status = 'current', tried_revision = 2 WHERE key = '1'`)
			}
		}
	}))
	if r.Verdict != Clean || r.Classes[Match] != 2 {
		t.Errorf("with a change that was applied meanwhile: %s %v %+v", r.Verdict, r.Classes, r.Findings)
	}
}

// What differs is read again side by side: one after the other, thousands would not be
// confirmed within the time-out, whatever the rate.
func TestDriftIsConfirmedSideBySide(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sim.Options{})
	id := w.organization("a")
	for _, key := range []string{"1", "2", "3", "4"} {
		w.must(w.sim.Behind().DeleteMember(w.member("a", id, key)))
	}
	two := make(chan struct{})
	var reads atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			if reads.Add(1) == 2 {
				close(two)
			}
			select {
			case <-two:
			case <-r.Context().Done(): // the client has waited long enough
				t.Error("no two reads are under way at once")
			}
		}
		w.sim.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	client := stytch.New(stytch.Options{BaseURL: server.URL, ProjectID: testProject, Secret: testSecret})
	t.Cleanup(client.Close)
	r := w.run(w.verifier(func(c *Config, d *Deps) { c.Timeout, d.Client = 2*time.Minute, client }))
	if r.Verdict != DriftFound || r.Classes[Missing] != 4 || r.Reads != reads.Load() {
		t.Errorf("%s %v, %d reads of %d", r.Verdict, r.Classes, r.Reads, reads.Load())
	}
}

// What only a search says is no drift: without time to read it, nobody can tell.
func TestDriftIsConfirmedOrPending(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sim.Options{})
	w.must(w.sim.Behind().DeleteMember(w.member("a", w.organization("a"), "1")))
	r := w.run(w.verifier(func(c *Config, _ *Deps) { c.Timeout = time.Nanosecond }))
	if r.Verdict != CouldNotTell || r.Classes[Pending] != 1 || r.Findings[0].Why != "a search says missing, and it was not read again in time" {
		t.Errorf("without time: %s %v %+v", r.Verdict, r.Classes, r.Findings)
	}
	if r = w.run(w.verifier(nil)); r.Verdict != DriftFound || r.Classes[Missing] != 1 || !r.Findings[0].Confirmed {
		t.Errorf("with time: %s %v %+v", r.Verdict, r.Classes, r.Findings)
	}
}

// A search that is behind is no drift; what the ledger parks or released is not
// compared.
func TestWhatIsNoDrift(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sim.Options{SearchLag: time.Hour})
	w.member("a", w.organization("a"), "1")
	w.organization("parked")
	w.exec(`UPDATE backstitch.entities SET status = 'parked', reason = 'invalid_slug' WHERE key = 'parked'`)
	w.organization("released")
	w.exec(`UPDATE backstitch.entities SET released_at = now(), desired = '{"organization_name": "Another"}' WHERE key = 'released'`)
	r := w.run(w.verifier(nil))
	if r.Verdict != CouldNotTell || r.Classes[Match] != 2 || r.Classes[Unverifiable] != 1 || r.Classes[Released] != 1 || len(r.Findings) != 1 || r.Reads != 2 {
		t.Errorf("%s %v %d %+v", r.Verdict, r.Classes, r.Reads, r.Findings)
	}
	var paid []string // its calls are taken out of the project's budget, and out of its own
	w.must(w.pool.QueryRow(context.Background(), `SELECT array_agg(project_id ORDER BY project_id) FROM backstitch.budget WHERE next_at > 'epoch'`).Scan(&paid))
	if !slices.Equal(paid, []string{testProject, testProject + "/search", testProject + "/verify"}) {
		t.Errorf("budgets that were spent: %v", paid)
	}
}

// An organization that goes while its members are read makes Stytch refuse the search
// for all of them: the others are read without it.
func TestAnOrganizationGoesMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sim.Options{})
	for _, key := range []string{"a", "b", "c"} {
		w.member(key, w.organization(key), "1"+key)
	}
	c := &counting{API: w.client, before: func(n int) {
		if n == 2 { // the members' search
			w.must(w.sim.Behind().DeleteOrganization(w.stytchID("b")))
			w.exec(`UPDATE backstitch.entities SET desired = NULL, stytch_id = NULL, revision = 2, tried_revision = 2 WHERE org_key = 'b'`)
		}
	}}
	r := w.run(w.verifier(func(_ *Config, d *Deps) { d.Client = c }))
	if r.Verdict != Clean || r.Classes[Match] != 5 { // b was there when organizations were compared
		t.Errorf("%s %v %+v", r.Verdict, r.Classes, r.Findings)
	}
}

// Objects that others made are drift unless they are allowed; nothing in Stytch that is
// ours, and nothing in the ledger, proves nothing.
func TestObjectsOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sim.Options{})
	_, err := w.sim.Behind().CreateOrganization(map[string]any{"organization_name": "Theirs", "organization_slug": "theirs"})
	w.must(err)
	if r := w.run(w.verifier(func(c *Config, _ *Deps) { c.AllowForeign = true })); r.Verdict != CouldNotTell || r.Foreign != 1 {
		t.Errorf("with nothing of ours: %s %+v", r.Verdict, r)
	}
	id := w.organization("a")
	_, err = w.sim.Behind().CreateMember(id, map[string]any{"email_address": "guest@corp.example"})
	w.must(err)
	if r := w.run(w.verifier(nil)); r.Verdict != DriftFound || r.Classes[Extra] != 2 {
		t.Errorf("objects of others: %s %v", r.Verdict, r.Classes)
	}
	if r := w.run(w.verifier(func(c *Config, _ *Deps) { c.AllowForeign = true })); r.Verdict != Clean || r.Foreign != 2 {
		t.Errorf("allowed objects of others: %s %v", r.Verdict, r.Classes)
	}
}

// Another verification, another project and a ledger without evaluation are refused.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sim.Options{})
	w.organization("a")
	other, err := ledger.BeginVerification(context.Background(), w.pool, "test", false)
	w.must(err)
	if _, err := w.verifier(nil).Run(context.Background()); !errors.Is(err, ledger.ErrVerifying) {
		t.Errorf("beside another verification: %v", err)
	}
	other.Close()
	another := w.verifier(func(c *Config, _ *Deps) { c.ProjectID = "project-test-another" })
	if _, err := another.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "belongs to the Stytch project "+testProject) {
		t.Errorf("with another project: %v", err)
	}
	w.exec("DELETE FROM backstitch.transform")
	if _, err := w.verifier(nil).Run(context.Background()); err == nil || !strings.Contains(err.Error(), "nothing was evaluated yet") {
		t.Errorf("without an evaluation: %v", err)
	}
}

// Stytch's searches are few: with the limit of a minute reached, the run waits for the
// next one instead of failing.
func TestARefusedSearchIsMadeAgain(t *testing.T) {
	t.Parallel()
	throttled := &stytch.Error{Status: 429, Type: "too_many_requests"}
	calls, told := 0, 0
	v := &Verifier{tell: func(string) { told++ }}
	there, err := v.patient(context.Background(), func(context.Context) error { return nil }, time.Second, func(context.Context) error {
		if calls++; calls < 3 {
			return throttled
		}
		return nil
	})
	if !there || err != nil || calls != 3 || told != 0 {
		t.Errorf("%v %v after %d calls, said %d times", there, err, calls, told)
	}
	if there, err = v.patient(context.Background(), func(context.Context) error { return nil }, time.Second, func(context.Context) error {
		if calls++; calls < 6 {
			return errors.New("connection refused")
		}
		return nil
	}); !there || err != nil || told != 1 {
		t.Errorf("Stytch was away: %v %v, said %d times, want once", there, err, told)
	}
	refused := &stytch.Error{Status: 401, Type: "unauthorized_credentials"}
	if _, err := v.patient(context.Background(), func(context.Context) error { return nil }, time.Second, func(context.Context) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("refused credentials: %v", err)
	}
}

func TestClassesAreClosed(t *testing.T) {
	t.Parallel()
	for _, c := range Classes {
		if meanings[c] == "" || c.Drift() && c.Open() {
			t.Errorf("class %s: %q", c, meanings[c])
		}
	}
	if slices.Contains(Classes, "") {
		t.Error("an empty class")
	}
}
