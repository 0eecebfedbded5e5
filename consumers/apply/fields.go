package apply

import (
	"encoding/json"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/stytch"
)

// Field names that the planner treats on their own.
const (
	fieldEmail      = "email_address"
	fieldPhone      = "mfa_phone_number"
	fieldRoles      = "roles"
	fieldSlug       = "organization_slug"
	fieldHash       = "password_hash"
	fieldExternal   = "external_id"
	fieldOrgExt     = "organization_external_id"
	fieldMFAMethod  = "default_mfa_method"
	fieldKeptHash   = "kept_hash" // applied only: the former hash, until the new one is taken
	fieldTakeBack   = "take_back" // applied only: our password on somebody else's member (hazard A24)
	fieldBreakglass = "is_breakglass"
	fieldEnrolled   = "mfa_enrolled"
)

// values are an entity's managed fields in the form in which they are sent and
// compared: text trimmed, "" for nothing; roles sorted; metadata without nulls.
type values map[string]any

// canonical is the desired state as values. A column that the mapping does not
// have is not managed; neither is a setting that is NULL.
func canonical(kind consumers.Kind, desired map[string]any) values {
	v := values{}
	for _, f := range consumers.Fields(kind) {
		raw, has := desired[f.Name]
		if !has || f.Key || f.Control || f.NotYet {
			continue
		}
		switch f.Type {
		case consumers.TypeText:
			s := text(raw)
			if f.Name == fieldEmail {
				s = strings.ToLower(strings.TrimSpace(s))
			}
			if s != "" || clearable[f.Name] {
				v[f.Name] = s
			}
		case consumers.TypeBool:
			b, _ := raw.(bool)
			v[f.Name] = b
		case consumers.TypeTexts:
			if raw == nil && f.Name != fieldRoles {
				continue
			}
			v[f.Name] = texts(f.Name, raw)
		case consumers.TypeObject:
			v[f.Name] = metadata(raw)
		}
	}
	return v
}

// clearable text fields have "" as the value that means nothing; other text that
// is NULL is left as Stytch has it.
var clearable = map[string]bool{
	"name": true, "organization_logo_url": true, fieldPhone: true, fieldMFAMethod: true, fieldEmail: true, "organization_name": true,
}

func text(v any) string {
	switch t := v.(type) {
	case string:
		return t
	case json.Number:
		return t.String()
	}
	return ""
}

func texts(name string, v any) []string {
	list := []string{}
	switch t := v.(type) {
	case []any:
		for _, e := range t {
			list = append(list, text(e))
		}
	case []string:
		list = append(list, t...)
	}
	if name == fieldRoles {
		// Everybody has the default role, and it cannot be sent (stytch API, roles).
		list = slices.DeleteFunc(list, func(r string) bool { return r == stytch.MemberRole || r == "" })
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// metadata drops keys that are null: null removes a key from Stytch's metadata.
func metadata(v any) map[string]any {
	out := map[string]any{}
	if m, ok := v.(map[string]any); ok {
		for k, e := range m {
			if e != nil {
				out[k] = e
			}
		}
	}
	return out
}

// empty says whether a value need not be sent when an object is created.
func empty(v any) bool {
	switch t := v.(type) {
	case nil:
		return true
	case string:
		return t == ""
	case bool:
		return !t
	case []string:
		return len(t) == 0
	case []any:
		return len(t) == 0
	case map[string]any:
		return len(t) == 0
	}
	return false
}

// same compares two JSON values: lists of text as sets, numbers by their value,
// whatever they went through.
func same(a, b any) bool {
	if empty(a) && empty(b) {
		return true
	}
	switch x := a.(type) {
	case []string:
		return slices.Equal(texts("", x), texts("", b))
	case []any:
		if _, ok := b.([]string); ok {
			return same(b, a)
		}
		return slices.Equal(texts("", x), texts("", b))
	}
	return equal(a, b)
}

// equal compares values inside metadata: lists there have an order.
func equal(a, b any) bool {
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x.Cmp(y) == 0
	}
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k, v := range x {
			w, has := y[k]
			if !has || !equal(v, w) {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		return ok && slices.EqualFunc(x, y, equal)
	}
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	return a == b
}

func number(v any) (*big.Float, bool) {
	switch n := v.(type) {
	case json.Number:
		return decimal(n.String())
	case float64:
		return decimal(strconv.FormatFloat(n, 'g', -1, 64))
	case int:
		return decimal(strconv.Itoa(n))
	}
	return nil, false
}

// decimal reads a number into a precision that tells apart all that metadata's
// 4 KB can reasonably hold, and that no exponent can blow up.
func decimal(s string) (*big.Float, bool) {
	f, _, err := big.ParseFloat(s, 10, 1024, big.ToNearestEven)
	return f, err == nil
}

// patch is the metadata to send so that have becomes want: Stytch merges by
// top-level key, and null removes one.
func patch(have, want map[string]any) map[string]any {
	p := map[string]any{}
	for k, v := range want {
		if h, ok := have[k]; !ok || !equal(h, v) {
			p[k] = v
		}
	}
	for k := range have {
		if _, ok := want[k]; !ok {
			p[k] = nil
		}
	}
	return p
}

// memberValues are a member's managed fields as Stytch answers them.
func memberValues(m *stytch.Member) values {
	return values{
		fieldEmail: strings.ToLower(m.EmailAddress), "name": m.Name, fieldRoles: texts(fieldRoles, m.DirectRoles()),
		"trusted_metadata": metadata(m.TrustedMetadata), "untrusted_metadata": metadata(m.UntrustedMetadata),
		fieldBreakglass: m.IsBreakglass, fieldEnrolled: m.MFAEnrolled, fieldPhone: m.MFAPhoneNumber,
		fieldMFAMethod: m.DefaultMFAMethod, fieldExternal: m.ExternalID,
	}
}

// organizationValues are an organization's managed fields as Stytch answers them.
func organizationValues(o *stytch.Organization) values {
	return values{
		"organization_name": o.Name, fieldSlug: o.Slug, "organization_logo_url": o.LogoURL,
		"trusted_metadata": metadata(o.TrustedMetadata), "email_allowed_domains": texts("", o.EmailAllowedDomains),
		"email_jit_provisioning": o.EmailJITProvisioning, "email_invites": o.EmailInvites,
		"sso_jit_provisioning": o.SSOJITProvisioning, "auth_methods": o.AuthMethods,
		"allowed_auth_methods": texts("", o.AllowedAuthMethods), "mfa_policy": o.MFAPolicy, "mfa_methods": o.MFAMethods,
		"allowed_mfa_methods": texts("", o.AllowedMFAMethods), fieldOrgExt: o.ExternalID,
	}
}
