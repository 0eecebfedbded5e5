package apply

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers/stytch"
)

// roles answers with a policy that a test extends.
type roles struct {
	API
	added atomic.Bool
}

func (r *roles) RBACPolicy(context.Context) (*stytch.Policy, error) {
	p := &stytch.Policy{Roles: []stytch.PolicyRole{{RoleID: "admin"}}}
	if r.added.Load() {
		p.Roles = append(p.Roles, stytch.PolicyRole{RoleID: "auditor"})
	}
	return p, nil
}

// The conflicting member is deleted in Stytch, behind our back; the role is added:
// what was parked for them is applied by itself (invariant 6).
func TestParkedIsRetriedWhenItsCauseHasGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{cfg: func(c *Config) { c.ParkedPoll = 100 * time.Millisecond }})
	r := &roles{API: w.client}
	w.start(func(_ *Config, d *Deps) { d.Client = r })
	w.want(org("o"), orgState("o"))
	w.settled()
	id := w.orgs()["o"].Organization.OrganizationID
	other, err := w.client.CreateMember(t.Context(), id, stytch.Fields{"email_address": "taken@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	k, lacking := member("o", "1"), member("o", "2")
	w.want(k, memberState("taken@example.com"))
	w.want(lacking, memberState("user@example.com", "roles", []any{"auditor"}))
	w.wantStatus(k, "parked foreign_object")
	w.wantStatus(lacking, "parked invalid_role")
	// as after an hour
	w.exec("UPDATE backstitch.entities SET retried_at = now() - interval '2 hours' WHERE key = '1'")
	if err := w.client.DeleteMember(t.Context(), id, other.ID); err != nil {
		t.Fatal(err)
	}
	w.exec("UPDATE backstitch.entities SET retried_at = NULL WHERE key = '1'")
	w.wantStatus(k, "current")
	seq := w.sim.Seq()
	r.added.Store(true)
	w.eventually("the role's member is tried again", func() (bool, string) {
		return len(w.writes(seq)) > 0, w.status(lacking)
	})
}
