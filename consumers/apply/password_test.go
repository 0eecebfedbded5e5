package apply

import (
	"errors"
	"slices"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	sim "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

func (w *world) losses(k consumers.Key) (list []string) {
	w.t.Helper()
	if err := w.pool.QueryRow(w.t.Context(), `SELECT losses FROM backstitch.entities WHERE (kind, org_key, key) = ($1, $2, $3)`,
		k.Kind, k.Organization, k.Entity).Scan(&list); err != nil {
		w.t.Fatal(err)
	}
	return list
}

func TestRefusedHashRestoresTheFormerOne(t *testing.T) { // hazard A7
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	k := member("o", "1")
	w.want(org("o"), orgState("o"))
	w.want(k, memberState("user@example.com", "password_hash", hashes[0]))
	w.equal()
	w.sim.Inject(sim.Fault{Kind: sim.Status, Status: 400, ErrorType: "invalid_bcrypt_hash", Endpoint: sim.PasswordsMigrate, Count: 1})
	w.want(k, memberState("user@example.com", "password_hash", hashes[1]))
	w.wantStatus(k, "parked invalid_field")
	if m := w.member("o", "1"); m.Password == nil || m.Password.Hash != hashes[0] {
		t.Error("the former password is gone")
	}
	seq := w.sim.Seq()
	w.want(k, memberState("user@example.com", "password_hash", hashes[2]))
	w.equal()
	if got := endpoints(w.writes(seq)); !slices.Equal(got, []string{"members.delete_password", "passwords.migrate"}) {
		t.Error(got)
	}
}

// Stopped between the two calls of a change, by a failure that lasts: the next turn
// goes on from what it finds.
func TestPasswordChangeInterruptedHalfWay(t *testing.T) { // hazard A7
	t.Parallel()
	w := newWorld(t, options{})
	a := w.start()
	mail, hash := member("o", "mail"), member("o", "hash")
	w.want(org("o"), orgState("o"))
	w.want(mail, memberState("mail@example.com", "password_hash", hashes[0]))
	w.want(hash, memberState("hash@example.com", "password_hash", hashes[1]))
	w.equal()
	f := w.sim.Inject(sim.Fault{Kind: sim.Status, Status: 429, Endpoint: sim.PasswordsMigrate})
	w.want(mail, memberState("moved@example.com", "password_hash", hashes[0]))
	w.want(hash, memberState("hash@example.com", "password_hash", hashes[2]))
	w.wantStatus(mail, "deferred backoff")
	w.wantStatus(hash, "deferred backoff")
	if w.member("o", "mail").Password != nil || w.member("o", "hash").Password != nil {
		t.Fatal("the test is not half-way")
	}
	if err := w.stop(a); err != nil {
		t.Fatal(err)
	}
	f.Remove()
	w.start()
	w.equal()
}

func TestPasswordSetByThePersonStays(t *testing.T) { // hazard A8, invariant 12
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	k := member("o", "1")
	w.want(org("o"), orgState("o"))
	w.want(k, memberState("user@example.com", "password_hash", hashes[0]))
	w.equal()
	if err := w.sim.Behind().SetPassword(w.member("o", "1").Member.MemberID, "the person's own"); err != nil {
		t.Fatal(err)
	}
	own := w.member("o", "1").Password.Hash
	for i, next := range []map[string]any{
		memberState("user@example.com", "password_hash", hashes[1]), // a rehash on login
		memberState("user@example.com", "password_hash", hashes[1], "name", "New"),
		memberState("user@example.com", "password_hash", nil),
	} {
		w.want(k, next)
		w.wantStatus(k, "current")
		w.settled()
		if m := w.member("o", "1"); m.Password == nil || m.Password.Hash != own {
			t.Fatalf("change %d touched the person's password", i)
		}
		if got := w.losses(k); !slices.Contains(got, string(LossForeignPassword)) {
			t.Errorf("change %d: losses %v", i, got)
		}
	}
	w.want(k, memberState("moved@example.com", "password_hash", hashes[1])) // would remove it
	w.wantStatus(k, "parked foreign_change")
}

func TestUnverifiedAddressGetsNoPassword(t *testing.T) { // hazard A9, invariant 6
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	k, odd := member("o", "1"), member("o", "2")
	w.want(org("o"), orgState("o"))
	w.want(k, memberState("user@example.com", "password_hash", hashes[0], "email_verified", nil))
	w.want(odd, memberState("odd@example.com", "password_hash", "$6$rounds=5000$salt$hash"))
	w.settled()
	if m := w.member("o", "1"); m.Member.EmailAddressVerified || m.Password != nil {
		t.Error("an unverified address was verified")
	}
	if got := w.losses(k); !slices.Equal(got, []string{string(consumers.LossEmailUnverified)}) {
		t.Errorf("losses %v", got)
	}
	if got := w.losses(odd); !slices.Equal(got, []string{string(consumers.LossHashFormat)}) {
		t.Errorf("losses %v", got)
	}
	w.want(k, memberState("user@example.com", "password_hash", hashes[0])) // verified since
	w.equal(odd)
	if got := w.losses(k); len(got) != 0 {
		t.Errorf("losses %v", got)
	}
}

func TestPasswordIsTakenBackFromAStranger(t *testing.T) { // hazard A24
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	w.want(org("o"), orgState("o"))
	w.equal()
	stranger, err := w.sim.Behind().CreateMember("o", map[string]any{"email_address": "user@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	other, err := w.sim.Behind().CreateMember("o", map[string]any{"email_address": "other@example.com"})
	if err := errors.Join(err, w.sim.Behind().SetPassword(other.MemberID, "a stranger's")); err != nil {
		t.Fatal(err)
	}
	f := w.sim.Inject(sim.Fault{Kind: sim.TimeoutAfter, Endpoint: sim.MembersDeletePassword, Count: 1}) // even when that is in doubt
	w.want(member("o", "1"), memberState("user@example.com", "password_hash", hashes[0]))
	w.want(member("o", "2"), memberState("other@example.com", "password_hash", hashes[0]))
	w.wantStatus(member("o", "1"), "parked foreign_object")
	w.wantStatus(member("o", "2"), "parked foreign_object")
	if f.Hits() != 1 {
		t.Error("the password was not taken back")
	}
	for _, m := range w.orgs()["o"].Members {
		if m.Member.MemberID == stranger.MemberID && m.Password != nil {
			t.Error("a stranger's member has our password")
		}
		if m.Member.ExternalID != "" {
			t.Error("a stranger's member was adopted")
		}
	}
}
