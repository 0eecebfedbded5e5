package verify

import (
	"slices"
	"strings"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/stytch"
)

// object is an organization or a member as Stytch answers it.
type object struct {
	organization *stytch.Organization
	member       *stytch.Member
}

func (o *object) id() string {
	if o.member != nil {
		return o.member.ID
	}
	return o.organization.ID
}

func (o *object) externalID() string {
	if o.member != nil {
		return o.member.ExternalID
	}
	return o.organization.ExternalID
}

// field is what an object holds under a name of Stytch's.
func (o *object) field(name string) any {
	if o.member != nil {
		return memberField(o.member, name)
	}
	return organizationField(o.organization, name)
}

func memberField(m *stytch.Member, name string) any {
	switch name {
	case "email_address":
		return m.EmailAddress
	case "name":
		return m.Name
	case "roles":
		return m.DirectRoles()
	case "trusted_metadata":
		return m.TrustedMetadata
	case "untrusted_metadata":
		return m.UntrustedMetadata
	case "is_breakglass":
		return m.IsBreakglass
	case "mfa_enrolled":
		return m.MFAEnrolled
	case "mfa_phone_number":
		return m.MFAPhoneNumber
	case "default_mfa_method":
		return m.DefaultMFAMethod
	}
	return nil
}

func organizationField(o *stytch.Organization, name string) any {
	switch name {
	case "organization_name":
		return o.Name
	case "organization_slug":
		return o.Slug
	case "organization_logo_url":
		return o.LogoURL
	case "trusted_metadata":
		return o.TrustedMetadata
	case "email_allowed_domains":
		return o.EmailAllowedDomains
	case "email_jit_provisioning":
		return o.EmailJITProvisioning
	case "email_invites":
		return o.EmailInvites
	case "sso_jit_provisioning":
		return o.SSOJITProvisioning
	case "auth_methods":
		return o.AuthMethods
	case "allowed_auth_methods":
		return o.AllowedAuthMethods
	case "mfa_policy":
		return o.MFAPolicy
	case "mfa_methods":
		return o.MFAMethods
	case "allowed_mfa_methods":
		return o.AllowedMFAMethods
	}
	return nil
}

// settings always hold something in Stytch and cannot be emptied: a NULL leaves them
// to Stytch, and they are not compared. So does a NULL where Stytch has a list, roles
// excepted: no role is what the mapping says then.
var settings = []string{
	"organization_slug", "email_jit_provisioning", "email_invites", "sso_jit_provisioning", "auth_methods", "mfa_policy", "mfa_methods",
}

// differing names the fields of an existing object that do not hold what is desired.
// A column that the mapping does not return is not compared.
func differing(e *ledger.Expectation, o *object) []string {
	var names []string
	for _, f := range consumers.Fields(e.Key.Kind) {
		want, mapped := e.Desired[f.Name]
		if !mapped || f.Key || f.Control || f.NotYet {
			continue
		}
		if want == nil && (slices.Contains(settings, f.Name) || f.Type == consumers.TypeTexts && f.Name != "roles") {
			continue
		}
		if !holds(f, o.field(f.Name), want, e.Applied[f.Name].V) {
			names = append(names, f.Name)
		}
	}
	return names
}

// holds says whether Stytch's value is the desired one, written being what we wrote
// last.
func holds(f consumers.Field, have, want, written any) bool {
	switch f.Type {
	case consumers.TypeText:
		if f.Name == "email_address" { // unique without regard to case, and shown in lower case
			return strings.EqualFold(strings.TrimSpace(text(want)), text(have))
		}
		return text(want) == text(have)
	case consumers.TypeBool:
		yes, _ := want.(bool)
		return yes == (have == true)
	case consumers.TypeTexts:
		return sameSet(f.Name, have, want)
	case consumers.TypeObject:
		return holdsMetadata(have, want, written)
	}
	return false
}

func sameSet(name string, have, want any) bool {
	a, b := set(have), set(want)
	switch name {
	case "roles": // everybody has the default role; it is never sent
		b = slices.DeleteFunc(b, func(r string) bool { return r == "" || r == stytch.MemberRole })
	case "email_allowed_domains":
		a, b = set(lower(a)), set(lower(b))
	}
	return slices.Equal(a, b)
}

func lower(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.ToLower(s)
	}
	return out
}

// holdsMetadata compares the keys that are ours: those desired hold their values,
// those that we wrote and that are desired no more are gone. Other keys are
// somebody else's. A null removes a key, so it is the same as none.
func holdsMetadata(have, want, written any) bool {
	there, _ := have.(map[string]any)
	desired, _ := want.(map[string]any)
	ours, _ := written.(map[string]any)
	for key, v := range desired {
		if got, has := there[key]; v != nil && (!has || normal(got) != normal(v)) {
			return false
		}
	}
	for key := range ours {
		if got := there[key]; desired[key] == nil && got != nil {
			return false
		}
	}
	for key, v := range desired {
		if got := there[key]; v == nil && got != nil {
			return false
		}
	}
	return true
}
