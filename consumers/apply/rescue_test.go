package apply

import (
	"slices"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	sim "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// A person leaves and joins again, and the deleted member keeps the external id.
func TestReturnsThoughTheDeletedMemberKeepsItsExternalID(t *testing.T) { // invariants 4, 5, 12
	t.Parallel()
	for name, c := range map[string]struct {
		keepPassword, hashed bool
		email                string
		hash                 string
		returns              bool
		stuck                bool // a deleted member's external id cannot be deleted
	}{
		"the same address":                     {hashed: true, email: "user@example.com", hash: hashes[1], returns: true},
		"with the password of before":          {hashed: true, keepPassword: true, email: "user@example.com", hash: hashes[0], returns: true},
		"with another password":                {hashed: true, keepPassword: true, email: "user@example.com", hash: hashes[1], returns: true},
		"with no password any more":            {hashed: true, keepPassword: true, email: "user@example.com", returns: true},
		"another address":                      {hashed: true, email: "other@example.com", hash: hashes[0]},
		"another address, and the id is stuck": {hashed: true, email: "other@example.com", hash: hashes[0], stuck: true},
		"an address that nobody verified":      {email: "user@example.com", hash: hashes[0]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{sim: sim.Options{KeepExternalIDOnDelete: true, KeepPasswordOnDelete: c.keepPassword}})
			if c.stuck {
				w.sim.Inject(sim.Fault{Kind: sim.Status, Status: 404, Endpoint: sim.MembersDeleteExternalID, Body: `{"status_code":404,"error_type":"member_not_found","error_message":"x"}`})
			}
			a := w.start()
			k, first := member("o", "1"), memberState("user@example.com")
			if c.hashed {
				first["password_hash"] = hashes[0]
			}
			w.want(org("o"), orgState("o"))
			w.want(k, first)
			w.equal()
			id := w.member("o", "1").Member.MemberID
			for round := range 2 {
				w.want(k, nil)
				w.equal()
				w.want(k, memberState(c.email, "name", "Returned", "password_hash", c.hash))
				w.equal()
				w.wantStatus(k, string(consumers.Current))
				now := w.member("o", "1").Member
				if back := now.MemberID == id; back != c.returns && round == 0 {
					t.Errorf("the deleted member came back: %v, want %v", back, c.returns)
				}
				if suffixed := strings.Contains(now.ExternalID, "|g"); suffixed != c.stuck && round == 0 {
					t.Errorf("a further generation: %v", suffixed)
				}
			}
			if err := w.stop(a); err != nil {
				t.Fatal(err)
			}
			w.start() // the generation is in the ledger
			seq := w.sim.Seq()
			w.want(k, memberState(c.email, "name", "Renamed", "password_hash", c.hash))
			w.equal()
			if got := endpoints(w.writes(seq)); !slices.Equal(got, []string{"members.update"}) {
				t.Errorf("afterwards %v", got)
			}
		})
	}
}

func TestOrganizationsReturnUnderAnotherGeneration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{sim: sim.Options{KeepOrganizationExternalIDOnDelete: true}})
	w.start()
	k := member("o", "1")
	for range 3 {
		w.want(org("o"), orgState("o"))
		w.want(k, memberState("user@example.com", "password_hash", hashes[0]))
		w.equal()
		w.wantStatus(k, string(consumers.Current))
		w.want(k, nil)
		w.want(org("o"), nil)
		w.equal()
	}
}

func TestAKeptSlugIsNotRecycled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{sim: sim.Options{KeepSlugOnDelete: true}})
	w.start()
	w.want(org("o"), orgState("o"))
	w.equal()
	w.want(org("o"), nil)
	w.equal()
	w.want(org("o"), orgState("o"))
	w.wantStatus(org("o"), "parked "+string(consumers.ReasonForeignObject))
	if n := w.count("SELECT count(*) FROM backstitch.entities WHERE detail = 'organization_slug_already_used'"); n != 1 {
		t.Error("the detail does not say that it is the slug")
	}
	w.want(org("o"), orgState("o", "organization_slug", "another"))
	w.equal()
}

// One refusal teaches the run; the old password stays, and all else goes on.
func TestSharedPasswordsAreANamedLoss(t *testing.T) { // invariant 6
	t.Parallel()
	w := newWorld(t, options{sim: sim.Options{CrossOrgPasswords: true}})
	w.start()
	w.want(org("o"), orgState("o"))
	for _, key := range []string{"1", "2"} {
		w.want(member("o", key), memberState(key+"@example.com", "password_hash", hashes[0]))
	}
	w.equal()
	for _, key := range []string{"1", "2"} {
		k := member("o", key)
		for _, name := range []string{"New", "Newer"} {
			w.want(k, memberState(key+"@example.com", "name", name, "password_hash", hashes[1]))
			w.equal()
			w.wantStatus(k, string(consumers.Current))
			if !w.keepsPassword(k) || w.member("o", key).Password.Hash != hashes[0] {
				t.Errorf("member %s, %s: the loss is not named, or the old password went", key, name)
			}
		}
	}
	if n := len(w.sim.Journal(sim.Filter{Endpoint: sim.MembersDeletePassword})); n != 1 {
		t.Errorf("%d deletions were tried, want one a run", n)
	}
	k := member("o", "1")
	w.want(k, memberState("1@example.com", "password_hash", hashes[0])) // as it was
	w.equal()
	if w.keepsPassword(k) {
		t.Error("the loss stays after the hash came back")
	}
	w.want(k, memberState("new1@example.com", "password_hash", hashes[2])) // a new address removes the password
	w.equal()
	if w.keepsPassword(k) {
		t.Error("the loss stays after a new address")
	}
}
