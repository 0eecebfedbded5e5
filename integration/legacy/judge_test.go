package legacy_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/verify"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// aside compares what is set aside with what must be: each of want is "key reason", or
// "key reason or key reason" for one of both.
func (m *migration) aside(what string, want []string, got map[consumers.Key]consumers.Reason) {
	m.Helper()
	var found []string
	for key, reason := range got {
		name := key.Organization
		if key.Kind == consumers.Member {
			name += "/" + key.Entity
		}
		found = append(found, fmt.Sprintf("%s %s", name, reason))
	}
	left := slices.Sorted(slices.Values(found))
	for _, w := range want {
		i := slices.IndexFunc(left, func(f string) bool { return slices.Contains(strings.Split(w, " or "), f) })
		if i < 0 {
			m.Errorf("not %s: %s", what, w)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	if len(left) > 0 {
		m.Errorf("%s besides: %v", what, left)
	}
}

// seen is everything live in Stytch by external id, "organization" or
// "organization/member": the fields of its API, explicit roles, and the password's type and hash.
func (m *migration) seen() map[string]map[string]any {
	m.Helper()
	all := map[string]map[string]any{}
	for o := range m.world.Simulator.Dump() {
		if o.Deleted {
			continue
		}
		org := o.Organization.OrganizationExternalID
		all[org] = m.fields(o.Organization)
		for _, member := range o.Members {
			if member.Member.Status == simulator.StatusDeleted {
				continue
			}
			fields := m.fields(member.Member)
			fields["roles"], fields["password"] = slices.Sorted(slices.Values(member.ExplicitRoles)), "none"
			if member.Password != nil {
				fields["password"], fields["hash"] = member.Password.HashType, member.Password.Hash
			}
			all[org+"/"+member.Member.ExternalID] = fields
		}
	}
	return all
}

// fields of an API object; of metadata, each as field.key besides.
func (m *migration) fields(object any) map[string]any {
	m.Helper()
	raw, err := json.Marshal(object)
	if err != nil {
		m.Fatal(err)
	}
	fields := map[string]any{}
	if err := json.Unmarshal(raw, &fields); err != nil {
		m.Fatal(err)
	}
	for _, name := range []string{"trusted_metadata", "untrusted_metadata"} {
		object, _ := fields[name].(map[string]any)
		for key, v := range object {
			fields[name+"."+key] = v
		}
	}
	return fields
}

// sameMembers: what lives on in Stytch is the object that it was, whatever surrogate
// keys the legacy application gave its rows meanwhile (invariant 11).
func (m *migration) sameMembers(before map[string]map[string]any) {
	m.Helper()
	after := m.seen()
	for _, key := range m.same {
		key = external(key)
		if was, is := before[key]["member_id"], after[key]["member_id"]; was == nil || was != is {
			m.Errorf("%s was %v and is %v", key, was, is)
		}
	}
}

// verify has the built binary judge by rules of its own: no drift, nothing unverifiable
// but what waits for a person, and each canary's password is the legacy one.
func (m *migration) verify(s state) {
	m.Helper()
	want, open := 0, len(s.parked)+len(s.blocked)
	if open > 0 {
		want = 1
	}
	var canaries strings.Builder
	for _, key := range m.canaries {
		org, member, _ := strings.Cut(key, "/")
		fmt.Fprintf(&canaries, "- {organization: %q, member: %q, password_env: LEGACY_PASSWORD}\n", org, member)
	}
	m.write("canaries.yaml", canaries.String())
	report := filepath.Join(m.dir, "report.json")
	out, code := m.world.Command(m, "verify", "--report", report, "--canaries", filepath.Join(m.dir, "canaries.yaml"))
	if code != want {
		m.Errorf("verify exits with %d, want %d:\n%s", code, want, out)
	}
	var file struct{ Report verify.Report }
	if err := json.Unmarshal([]byte(m.read(report)), &file); err != nil {
		m.Fatal(err)
	}
	if classes := file.Report.Classes; classes[verify.Unverifiable] != int64(open) || classes[verify.Pending] != 0 || classes[verify.Match] == 0 {
		m.Errorf("verify finds %v, want %d unverifiable and nothing pending:\n%s", classes, open, out)
	}
	for class, n := range file.Report.Classes {
		if class.Drift() && n != 0 {
			m.Errorf("verify finds %d %s:\n%s", n, class, out)
		}
	}
	var authenticated []string
	for _, c := range file.Report.Canaries {
		if c.Outcome == "authenticated" {
			authenticated = append(authenticated, c.Organization+"/"+c.Member)
		}
	}
	if !slices.Equal(authenticated, m.canaries) {
		m.Errorf("canaries %v authenticate, want %v", authenticated, m.canaries)
	}
}
