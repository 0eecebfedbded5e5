package stytch

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestJournal(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	org := b.organization("acme")
	seq := b.sim.Seq()
	id := b.migrate("acme", "jane@corp.example", fields{"name": "Jane"}).body["member_id"].(string)
	b.do("PUT", "organizations/acme/members/"+id, fields{"roles": []string{"nobody"}})
	b.do("GET", "nowhere", nil)
	entries := b.sim.Journal(Filter{After: seq})
	if len(entries) != 3 {
		t.Fatalf("%d entries", len(entries))
	}
	e := entries[0]
	if e.Endpoint != PasswordsMigrate || e.Method != "POST" || e.OrganizationID != org || e.MemberID != id || e.Status != 200 || e.Seq != seq+1 || e.RequestID == "" {
		t.Errorf("entry of migrate: %+v", e)
	}
	if want := []string{"email_address", "hash", "hash_type", "name", "organization_id"}; !slices.Equal(e.Fields, want) {
		t.Errorf("fields %v", e.Fields)
	}
	if !strings.Contains(string(e.Body), horseHash) {
		t.Error("the body is not kept")
	}
	// invariant 8: what leaves the process names fields, not values.
	if raw, err := json.Marshal(entries); err != nil || strings.Contains(string(raw), "jane") || strings.Contains(string(raw), "$2a$") {
		t.Errorf("the journal as JSON holds values (%v)", err)
	}
	if e := entries[1]; e.Status != 400 || e.ErrorType != "invalid_role" || e.MemberID != id {
		t.Errorf("entry of a refusal: status %d %s", e.Status, e.ErrorType)
	}
	for name, test := range map[string]struct {
		filter Filter
		want   int
	}{
		"endpoint":     {Filter{Endpoint: MembersUpdate}, 1},
		"organization": {Filter{OrganizationID: org}, 3},
		"member":       {Filter{MemberID: id}, 2},
		"status":       {Filter{Status: 404}, 1},
		"error type":   {Filter{ErrorType: "invalid_role"}, 1},
		"nothing":      {Filter{Endpoint: MembersDelete}, 0},
	} {
		if got := len(b.sim.Journal(test.filter)); got != test.want {
			t.Errorf("by %s: %d entries, want %d", name, got, test.want)
		}
	}
	if c := b.sim.Counts(); c[MembersUpdate][400] != 1 || c[""][404] != 1 || c[OrganizationsCreate][200] != 1 {
		t.Errorf("counts %v", c)
	}
}

// Two writes to one member at once are seen; reads, other members, and writes one
// after the other are not (invariant 4 is proven with this).
func TestOverlapping(t *testing.T) {
	t.Parallel()
	at := func(n int) time.Time { return time.Unix(int64(n), 0) }
	entry := func(e Endpoint, member string, from, to int) Entry {
		return Entry{Endpoint: e, OrganizationID: "o", MemberID: member, Time: at(from), End: at(to)}
	}
	for name, test := range map[string]struct {
		entries []Entry
		want    int
	}{
		"one after the other": {[]Entry{entry(MembersUpdate, "m", 0, 2), entry(MembersUpdate, "m", 2, 3)}, 0},
		"at once":             {[]Entry{entry(MembersUpdate, "m", 1, 3), entry(MembersDelete, "m", 0, 2)}, 1},
		"within a long one":   {[]Entry{entry(MembersUpdate, "m", 0, 9), entry(MembersUpdate, "m", 1, 2), entry(PasswordsMigrate, "m", 3, 4)}, 2},
		"a read":              {[]Entry{entry(MembersUpdate, "m", 0, 2), entry(MembersGet, "m", 1, 3)}, 0},
		"another member":      {[]Entry{entry(MembersUpdate, "m", 0, 2), entry(MembersUpdate, "n", 1, 3)}, 0},
		"member, organization": {
			[]Entry{entry(MembersUpdate, "m", 0, 2), entry(OrganizationsUpdate, "", 1, 3), entry(MembersCreate, "", 1, 3)}, 0,
		},
		"organization": {[]Entry{entry(OrganizationsUpdate, "", 0, 2), entry(OrganizationsDelete, "", 1, 3)}, 1},
	} {
		if got := Overlapping(test.entries); len(got) != test.want {
			t.Errorf("%s: %d pairs, want %d", name, len(got), test.want)
		}
	}
	b := newBundle(t, Options{Latency: 50 * time.Millisecond})
	org := b.organization("acme")
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { b.do("PUT", "organizations/"+org, fields{"organization_name": "x"}) })
	}
	wg.Wait()
	if got := Overlapping(b.sim.Journal()); len(got) == 0 {
		t.Error("three updates at once were not seen")
	}
}

func TestJournalIsBounded(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{JournalSize: 4})
	for range 10 {
		b.do("GET", "organizations/x", nil)
	}
	entries := b.sim.Journal()
	if len(entries) != 4 || entries[0].Seq != 7 || entries[3].Seq != 10 {
		t.Errorf("%d entries", len(entries))
	}
	if n := b.sim.Counts()[OrganizationsGet][404]; n != 10 {
		t.Errorf("counted %d", n)
	}
}

func TestDumpAndBehind(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{RateLimit: 1})
	behind := b.sim.Behind()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	org, err := behind.CreateOrganization(fields{"organization_name": "Acme", "organization_slug": "acme"})
	check(err)
	m, err := behind.CreateMember("acme", fields{"email_address": "jane@corp.example", "roles": []string{"editor"}})
	check(err)
	gone, err := behind.CreateMember("acme", fields{"email_address": "gone@corp.example"})
	check(err)
	check(behind.DeleteMember(gone.MemberID))
	_, err = behind.UpdateMember(m.MemberID, fields{"name": "Jane", "trusted_metadata": fields{"n": 1}})
	check(err)
	_, err = behind.UpdateOrganization("acme", fields{"organization_name": "Acme Two"})
	check(err)
	check(behind.SetPassword(m.MemberID, "of the user"))
	check(behind.VerifyEmail(m.MemberID))
	if behind.SetPassword(gone.MemberID, "x") == nil || behind.DeleteMember("none") == nil || behind.VerifyEmail("none") == nil {
		t.Error("a member that is not there was changed")
	}
	var states []OrganizationState
	for o := range b.sim.Dump() {
		states = append(states, o)
	}
	if len(states) != 1 || len(states[0].Members) != 2 || states[0].Organization.OrganizationName != "Acme Two" {
		t.Fatalf("dumped %d organizations", len(states))
	}
	jane, deleted := states[0].Members[0], states[0].Members[1]
	if jane.Member.Name != "Jane" || jane.Member.TrustedMetadata["n"] != json.Number("1") || !slices.Equal(jane.ExplicitRoles, []string{"editor"}) || !jane.Member.EmailAddressVerified {
		t.Error("the dump of a member differs from what was written")
	}
	p := jane.Password
	if p == nil || p.SetBy != SetByUser || p.HashType != "bcrypt" || p.ID != jane.Member.MemberPasswordID || !p.Verify("of the user") || p.Verify("other") {
		t.Error("the dump of a password differs from what was set")
	}
	if deleted.Member.Status != StatusDeleted || deleted.Password != nil {
		t.Errorf("the deleted member is %s", deleted.Member.Status)
	}
	check(behind.DeleteOrganization(org.OrganizationID))
	for o := range b.sim.Dump() {
		if !o.Deleted || o.Members[0].Member.Status != StatusDeleted {
			t.Error("the deleted organization is not shown as such")
		}
	}
	if len(b.sim.Journal()) != 0 {
		t.Error("what was done behind the callers' backs is in the journal")
	}
	if s := b.sim.State(); s.DeletedOrganizations != 1 || s.Members[StatusDeleted] != 2 || s.Organizations != 0 {
		t.Errorf("state %+v", s)
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	sim := New(Options{ProjectID: testProject, Secret: testSecret})
	ctx, cancel := context.WithCancel(t.Context())
	addr, stop, err := Serve(ctx, "127.0.0.1:0", sim)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Serve(ctx, addr.String(), sim); err == nil {
		t.Error("two servers on one address")
	}
	// A call that hangs does not keep the server.
	in := sim.Inject(Fault{Kind: Timeout})
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	hung := make(chan error, 1)
	go func() {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr.String()+"/v1/b2b/rbac/policy", nil)
		if err == nil {
			r.SetBasicAuth(testProject, testSecret)
			_, err = (&http.Client{Transport: transport}).Do(r)
		}
		hung <- err
	}()
	(&bundle{T: t, sim: sim}).eventually(func() bool { return in.Hits() == 1 })
	cancel()
	stop()
	stop()
	if err := <-hung; err == nil {
		t.Error("the call that hung was answered")
	}
}

// Many callers at once, under the race detector; the state stays consistent.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	b.organization("acme")
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 25 {
				email := fmt.Sprintf("m%d-%d@corp.example", worker, i)
				id, _ := b.migrate("acme", email).body["member_id"].(string)
				b.do("PUT", "organizations/acme/members/"+id, fields{"email_address": "x" + email, "unlink_email": true, "trusted_metadata": fields{"i": i}})
				b.do("GET", "organizations/acme/member?member_id="+id, nil)
				if i%2 == 0 {
					b.do("DELETE", "organizations/acme/members/"+id, nil)
				}
			}
		})
	}
	in := b.sim.Inject(Fault{Kind: Status, Every: 7, Member: "nobody"})
	for range 20 {
		b.sim.State()
		b.sim.Counts()
		for range b.sim.Dump() {
		}
	}
	in.Remove()
	wg.Wait()
	if s := b.sim.State(); s.Members[StatusActive] != 96 || s.Members[StatusDeleted] != 104 || s.Passwords != 0 {
		t.Errorf("state %+v", s)
	}
}

// No request's cost grows with the number of members. Costs are the least of several
// runs of 100, which a loaded machine does not spoil.
func TestHotPathsDoNotScan(t *testing.T) {
	t.Parallel()
	sim := New(Options{ProjectID: testProject, Secret: testSecret, JournalSize: 16})
	behind := sim.Behind()
	if _, err := behind.CreateOrganization(fields{"organization_name": "Acme", "organization_slug": "acme"}); err != nil {
		t.Fatal(err)
	}
	run := func(from int) time.Duration {
		began := time.Now()
		for i := from; i < from+100; i++ {
			m, err := behind.CreateMember("acme", fields{"email_address": fmt.Sprintf("m%d@corp.example", i), "external_id": fmt.Sprint("usr_", i)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := behind.UpdateMember(m.MemberID, fields{"name": "x"}); err != nil {
				t.Fatal(err)
			}
		}
		return time.Since(began) / 100
	}
	var costs []time.Duration
	for n := 0; n < 20_000; n += 100 {
		costs = append(costs, run(n))
	}
	few, many := slices.Min(costs[:20]), slices.Min(costs[len(costs)-20:])
	if many > 3*few {
		t.Errorf("a member costs %s among 2,000 and %s among 20,000", few, many)
	}
}
