package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/stage"
	sim "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

func asHeld(err error) (*stage.Held, bool) { return stage.AsHeld(err) }

// plain turns a value into what JSON makes of it.
func plain(v any) any {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var out any
	if err := json.Unmarshal(raw, &out); err != nil {
		panic(err)
	}
	return out
}

// compare says in what the simulator differs from what the test wants, field by
// field. except names entities that may differ, such as parked ones.
func (w *world) compare(except ...consumers.Key) []string {
	var diffs []string
	orgs := w.orgs()
	members := map[consumers.Key]sim.MemberState{}
	for id, o := range orgs {
		if w.desired[org(id)] == nil && !slices.Contains(except, org(id)) {
			diffs = append(diffs, "extra organization "+id)
		}
		for _, m := range o.Members {
			k := member(id, firstGeneration(m.Member.ExternalID))
			if _, twice := members[k]; twice {
				diffs = append(diffs, fmt.Sprintf("two of %v", k))
			}
			members[k] = m
			if w.desired[k] == nil && !slices.Contains(except, k) {
				diffs = append(diffs, fmt.Sprintf("extra member %v", k))
			}
		}
	}
	for k, d := range w.desired {
		if d == nil || slices.Contains(except, k) || w.desired[org(k.Organization)] == nil {
			continue
		}
		if k.Kind == consumers.Organization {
			o, ok := orgs[k.Entity]
			if !ok {
				diffs = append(diffs, "missing organization "+k.Entity)
				continue
			}
			got := plain(o.Organization).(map[string]any)
			for f, want := range d {
				if f != "organization_id" && !same(plain(want), got[f]) {
					diffs = append(diffs, fmt.Sprintf("%v %s: %v, want %v", k, f, got[f], want))
				}
			}
			continue
		}
		m, ok := members[k]
		if !ok {
			diffs = append(diffs, fmt.Sprintf("missing member %v", k))
			continue
		}
		for _, diff := range differences(k, d, m) {
			if !strings.Contains(diff, "password") || !w.keepsPassword(k) {
				diffs = append(diffs, diff)
			}
		}
	}
	return diffs
}

// keepsPassword says whether an entity has the named loss of a project whose
// passwords cannot be deleted.
func (w *world) keepsPassword(k consumers.Key) bool {
	return w.count("SELECT count(*) FROM backstitch.entities WHERE (kind, org_key, key) = ($1, $2, $3) AND $4 = ANY (losses)",
		k.Kind, k.Organization, k.Entity, string(consumers.LossCrossOrgPassword)) == 1
}

// firstGeneration is an external id without its generation.
func firstGeneration(id string) string {
	id, _, _ = strings.Cut(id, "|g")
	return id
}

func differences(k consumers.Key, d map[string]any, m sim.MemberState) (diffs []string) {
	got := plain(m.Member).(map[string]any)
	for f, want := range d {
		switch f {
		case "email_verified", "member_id":
			continue
		case "roles":
			if !same(plain(m.ExplicitRoles), plain(want)) {
				diffs = append(diffs, fmt.Sprintf("%v roles: %v, want %v", k, m.ExplicitRoles, want))
			}
			continue
		case "email_address":
			want = strings.ToLower(strings.TrimSpace(want.(string)))
		case "password_hash":
			verified, _ := d["email_verified"].(bool)
			switch {
			case want == nil || want == "" || !verified:
				if m.Password != nil && want != m.Password.Hash {
					diffs = append(diffs, fmt.Sprintf("%v has a password", k))
				}
			case m.Password == nil || m.Password.Hash != want:
				diffs = append(diffs, fmt.Sprintf("%v has another password (has one: %v)", k, m.Password != nil))
			}
			continue
		}
		if !same(plain(want), got[f]) {
			diffs = append(diffs, fmt.Sprintf("%v %s: %v, want %v", k, f, got[f], want))
		}
	}
	return diffs
}

func (w *world) equal(except ...consumers.Key) {
	w.t.Helper()
	w.settled()
	if diffs := w.compare(except...); len(diffs) > 0 {
		w.t.Fatalf("%d differences:\n%s", len(diffs), strings.Join(diffs[:min(20, len(diffs))], "\n"))
	}
}

func (w *world) explain() {
	rows, err := w.pool.Query(context.Background(), `SELECT kind, org_key, key, status, coalesce(reason, ''), coalesce(detail, '') FROM backstitch.entities WHERE status <> 'current'`)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var a [6]string
		if err := rows.Scan(&a[0], &a[1], &a[2], &a[3], &a[4], &a[5]); err != nil {
			w.t.Fatal(err)
		}
		w.t.Log(a)
	}
}

func TestAppliesOrganizationsAndMembers(t *testing.T) { // milestone: create, update, delete; invariants 4 and 5
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	for _, o := range []string{"1", "2", "3"} {
		w.want(org(o), orgState(o))
		for i := range 5 {
			k := member(o, fmt.Sprint(i))
			w.want(k, memberState(fmt.Sprintf("User%d@Example.com ", i), "password_hash", hashes[i], "trusted_metadata", map[string]any{"n": i}))
		}
	}
	w.equal()
	if n := len(w.writes(0)); n != 18 {
		t.Errorf("%d calls for 3 organizations and 15 members with passwords, want 18: %v", n, endpoints(w.writes(0)))
	}
	steps := []struct {
		what  string
		key   consumers.Key
		state map[string]any
		calls []string
	}{
		{"name and metadata", member("1", "1"), memberState("user1@example.com", "name", "New", "password_hash", hashes[1], "trusted_metadata", map[string]any{"x": 1.5}), []string{"members.update"}},
		{"roles", member("1", "2"), memberState("user2@example.com", "roles", []any{"admin", "member"}, "password_hash", hashes[2], "trusted_metadata", map[string]any{"n": 2}), []string{"members.update"}},
		{"an address, with its password", member("1", "3"), memberState("new3@example.com", "password_hash", hashes[3], "trusted_metadata", map[string]any{"n": 3}), []string{"members.update", "passwords.migrate"}},
		{"a new hash", member("1", "4"), memberState("user4@example.com", "password_hash", hashes[6], "trusted_metadata", map[string]any{"n": 4}), []string{"members.delete_password", "passwords.migrate"}},
		{"the same again", member("1", "4"), memberState("user4@example.com", "password_hash", hashes[6], "trusted_metadata", map[string]any{"n": 4}), []string{}},
		{"an organization", org("2"), orgState("2", "organization_name", "Renamed", "organization_slug", "other"), []string{"organizations.update"}},
		{"a member's end", member("2", "0"), nil, []string{"members.delete"}},
		{"its return", member("2", "0"), memberState("user0@example.com", "password_hash", hashes[7]), []string{"passwords.migrate"}},
	}
	for _, s := range steps {
		seq := w.sim.Seq()
		w.want(s.key, s.state)
		w.equal()
		if got := endpoints(w.writes(seq)); !slices.Equal(got, s.calls) {
			t.Errorf("%s: %v, want %v", s.what, got, s.calls)
		}
	}
	seq := w.sim.Seq()
	for i := range 5 {
		w.want(member("3", fmt.Sprint(i)), nil)
	}
	w.want(org("3"), nil)
	w.equal()
	t.Log(endpoints(w.writes(seq)))
	w.explain()
}
