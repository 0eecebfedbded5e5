package stytch

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// bcryptHash is of "correct horse", cost 4.
const bcryptHash = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"

func simulated(t *testing.T, o simulator.Options) (*Client, *simulator.Simulator) {
	t.Helper()
	o.ProjectID, o.Secret, o.Roles, o.SearchLimit = "project-test-1", "secret-1", []string{"admin", "viewer"}, -1
	sim := simulator.New(o)
	server := httptest.NewServer(sim)
	c := New(Options{BaseURL: server.URL, ProjectID: o.ProjectID, Secret: o.Secret, Timeout: 5 * time.Second})
	t.Cleanup(func() {
		c.Close()
		server.Close()
	})
	return c, sim
}

// must fails the test on an error.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// wants checks an error's status and Stytch type.
func wants(t *testing.T, err error, status int, kind string) {
	t.Helper()
	if ErrorType(err) != kind || statusOf(err) != status {
		t.Errorf("got %v, want %d %s", err, status, kind)
	}
}

func TestOrganizationsAgainstSimulator(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c, _ := simulated(t, simulator.Options{})
	org := must[*Organization](t)
	o := org(c.CreateOrganization(ctx, Fields{
		"organization_name": "Acme & Söhne", "organization_slug": "acme", "organization_external_id": ExternalID("", "a/1"),
		"trusted_metadata": map[string]any{"plan": "pro", "seats": 9007199254740993}, "email_allowed_domains": []string{"corp.example"},
	}))
	if o.Name != "Acme & Söhne" || o.ExternalID != "a|2f1" || o.TrustedMetadata["seats"] != number("9007199254740993") {
		t.Errorf("created %+v", o)
	}
	for _, by := range []string{o.ID, "acme", "a|2f1"} {
		if got := org(c.GetOrganization(ctx, by)); got.ID != o.ID {
			t.Errorf("GetOrganization(%s) answers another one", by)
		}
	}
	u := org(c.UpdateOrganization(ctx, o.ID, Fields{"organization_name": "Acme", "trusted_metadata": map[string]any{"plan": nil}, "email_allowed_domains": []string{}}))
	if _, still := u.TrustedMetadata["plan"]; still || u.TrustedMetadata["seats"] == nil || u.Name != "Acme" || len(u.EmailAllowedDomains) != 0 {
		t.Errorf("null must remove a key, absence keep one, an empty list clear: %+v", u)
	}
	second := org(c.CreateOrganization(ctx, Fields{"organization_name": "Other", "organization_slug": "other"}))
	page := must[*OrganizationPage](t)(c.SearchOrganizations(ctx, OrganizationSearch{Limit: 1}))
	rest := must[*OrganizationPage](t)(c.SearchOrganizations(ctx, OrganizationSearch{Limit: 1, Cursor: page.NextCursor}))
	if page.Total != 2 || len(page.Organizations) != 1 || len(rest.Organizations) != 1 || rest.NextCursor != "" {
		t.Errorf("pages %+v and %+v", page, rest)
	}
	found := must[*OrganizationPage](t)(c.SearchOrganizations(ctx, OrganizationSearch{Slugs: []string{"other"}, IDs: []string{second.ID}}))
	if len(found.Organizations) != 1 || found.Organizations[0].ID != second.ID {
		t.Errorf("search by slug and id: %+v", found)
	}
	if x := org(c.DeleteOrganizationExternalID(ctx, o.ID)); x.ExternalID != "" {
		t.Errorf("the external id is still %q", x.ExternalID)
	}
	_, err := c.CreateOrganization(ctx, Fields{"organization_name": "Third", "organization_slug": "other"})
	wants(t, err, 400, "organization_slug_already_used")
	if err := c.DeleteOrganization(ctx, o.ID); err != nil {
		t.Fatal(err)
	}
	_, err = c.GetOrganization(ctx, o.ID)
	wants(t, err, 404, "organization_not_found")
}

func TestMembersAgainstSimulator(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c, _ := simulated(t, simulator.Options{})
	member := must[*Member](t)
	org := must[*Organization](t)(c.CreateOrganization(ctx, Fields{"organization_name": "Acme", "organization_slug": "acme"})).ID
	m := member(c.CreateMember(ctx, org, Fields{
		"email_address": "ann+x@example.com", "name": "Ann", "external_id": "u|1", "roles": []string{"admin"}, "mfa_phone_number": "+15005550006",
		"untrusted_metadata": map[string]any{"theme": "dark"},
	}))
	if m.OrganizationID != org || m.Status != StatusActive || m.ExternalID != "u|1" || m.MFAPhoneNumber != "+15005550006" {
		t.Errorf("created %+v", m)
	}
	if roles := m.DirectRoles(); len(roles) != 1 || roles[0] != "admin" {
		t.Errorf("direct roles %v", roles)
	}
	for _, got := range []*Member{
		member(c.GetMember(ctx, org, m.ID)), member(c.GetMember(ctx, org, "u|1")),
		member(c.GetMemberByEmail(ctx, org, "ann+x@example.com")), member(c.DangerouslyGetMember(ctx, m.ID, false)),
	} {
		if got.ID != m.ID {
			t.Errorf("read another member: %s", got.ID)
		}
	}
	u := member(c.UpdateMember(ctx, org, "u|1", Fields{"email_address": "ann@example.com", "roles": []string{}}))
	if len(u.DirectRoles()) != 0 || u.Name != "Ann" || len(u.RetiredEmails) != 1 {
		t.Errorf("updated %+v", u)
	}
	if x := member(c.UnlinkRetiredEmail(ctx, org, m.ID, "ann+x@example.com")); len(x.RetiredEmails) != 0 {
		t.Errorf("still retired: %v", x.RetiredEmails)
	}
	if x := member(c.DeleteMFAPhone(ctx, org, m.ID)); x.MFAPhoneNumber != "" {
		t.Errorf("the phone is still %s", x.MFAPhoneNumber)
	}
	if x := member(c.DeleteMemberExternalID(ctx, org, m.ID)); x.ExternalID != "" {
		t.Errorf("the external id is still %s", x.ExternalID)
	}
	_, err := c.CreateMember(ctx, org, Fields{"email_address": "ANN@example.com"})
	wants(t, err, 400, "duplicate_member_email")
	if err := c.DeleteMember(ctx, org, m.ID); err != nil {
		t.Fatal(err)
	}
	_, err = c.GetMember(ctx, org, m.ID)
	wants(t, err, 404, "member_not_found")
	if d := member(c.DangerouslyGetMember(ctx, m.ID, true)); d.Status != StatusDeleted {
		t.Errorf("status %s", d.Status)
	}
	search := must[*MemberPage](t)
	if p := search(c.SearchMembers(ctx, MemberSearch{OrganizationIDs: []string{org}, Emails: []string{"ann@example.com"}})); len(p.Members) != 0 {
		t.Error("a search without statuses finds a deleted member")
	}
	p := search(c.SearchMembers(ctx, MemberSearch{OrganizationIDs: []string{org}, MemberIDs: []string{m.ID}, Statuses: []string{StatusDeleted}, Limit: 10}))
	if len(p.Members) != 1 || p.Members[0].ID != m.ID {
		t.Errorf("search for deleted: %+v", p)
	}
	_, err = c.ReactivateMember(ctx, org, m.ID)
	wants(t, err, 400, "email_unverified_for_reactivation")
}

func TestPasswordsAgainstSimulator(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c, _ := simulated(t, simulator.Options{})
	org := must[*Organization](t)(c.CreateOrganization(ctx, Fields{"organization_name": "Acme", "organization_slug": "acme"})).ID
	body := Fields{"organization_id": org, "email_address": "ann@example.com", "external_id": "1", "hash": bcryptHash, "hash_type": "bcrypt"}
	first := must[*Migrated](t)(c.MigratePassword(ctx, body))
	if !first.MemberCreated || first.MemberID != first.Member.ID || !first.Member.EmailVerified || first.Member.PasswordID == "" || first.Member.ExternalID != "1" {
		t.Errorf("migrated %+v", first)
	}
	authenticate := func(password string) bool {
		t.Helper()
		return must[bool](t)(c.AuthenticatePassword(ctx, org, "ann@example.com", password))
	}
	if !authenticate("correct horse") || authenticate("wrong horse") {
		t.Error("the migrated password does not authenticate, or another one does")
	}
	_, err := c.MigratePassword(ctx, body)
	wants(t, err, 400, "password_already_exists")
	if err := c.DeletePassword(ctx, org, first.Member.PasswordID); err != nil {
		t.Fatal(err)
	}
	again := must[*Migrated](t)(c.MigratePassword(ctx, body))
	if again.MemberCreated || again.Member.PasswordID == first.Member.PasswordID {
		t.Errorf("migrated again %+v", again)
	}
	if err := c.DeleteMember(ctx, org, again.MemberID); err != nil {
		t.Fatal(err)
	}
	if m := must[*Member](t)(c.ReactivateMember(ctx, org, again.MemberID)); m.Status != StatusActive {
		t.Errorf("reactivated as %s", m.Status)
	}
}

func TestPolicyAgainstSimulator(t *testing.T) {
	t.Parallel()
	c, _ := simulated(t, simulator.Options{})
	p := must[*Policy](t)(c.RBACPolicy(context.Background()))
	if !p.Has("admin") || !p.Has("viewer") || !p.Has("stytch_admin") || p.Has("owner") {
		t.Errorf("policy %+v", p)
	}
	wrong := New(Options{BaseURL: c.base, ProjectID: "project-test-1", Secret: "wrong"})
	defer wrong.Close()
	_, err := wrong.RBACPolicy(context.Background())
	wants(t, err, 401, "unauthorized_credentials")
}

// TestFaultsAgainstSimulator: what a call may have done is said rightly for every
// way in which it can fail.
func TestFaultsAgainstSimulator(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, tt := range []struct {
		fault   simulator.Fault
		status  int // 0: no answer
		deleted bool
	}{
		{simulator.Fault{Kind: simulator.Before}, 0, false},
		{simulator.Fault{Kind: simulator.After}, 0, true},
		{simulator.Fault{Kind: simulator.Timeout}, 0, false},
		{simulator.Fault{Kind: simulator.TimeoutAfter}, 0, true},
		{simulator.Fault{Kind: simulator.Status, Status: 503}, 503, false},
		{simulator.Fault{Kind: simulator.StatusAfter, Status: 502, Body: "<html>bad gateway</html>"}, 502, true},
		{simulator.Fault{Kind: simulator.Status, Status: 429}, 429, false},
	} {
		t.Run(string(tt.fault.Kind), func(t *testing.T) {
			t.Parallel()
			c, sim := simulated(t, simulator.Options{})
			org := must[*Organization](t)(c.CreateOrganization(ctx, Fields{"organization_name": "Acme", "organization_slug": "acme"})).ID
			m := must[*Member](t)(c.CreateMember(ctx, org, Fields{"email_address": "ann@example.com"}))
			in := sim.Inject(tt.fault)
			short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
			defer cancel()
			err := c.DeleteMember(short, org, m.ID)
			in.Remove()
			if err == nil || !MaybeSent(err) {
				t.Fatalf("got %v, maybe sent %v", err, MaybeSent(err))
			}
			if in.Hits() != 1 {
				t.Errorf("the simulator saw the call %d times", in.Hits())
			}
			if got := statusOf(err); got != tt.status {
				t.Errorf("status %d (%v), want %d", got, err, tt.status)
			}
			after := must[*Member](t)(c.DangerouslyGetMember(ctx, m.ID, true))
			if (after.Status == StatusDeleted) != tt.deleted {
				t.Errorf("the member is %s", after.Status)
			}
		})
	}
}

func statusOf(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}
