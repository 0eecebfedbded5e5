package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/stytch/hash"
	"github.com/backstitch/backstitch/internal/redact"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// evaluate is the expected side: the mappings over the legacy database, in the
// form in which Stytch shows their fields.
func evaluate(ctx context.Context, s Subjects) (map[consumers.Key]map[string]any, error) {
	expected := map[consumers.Key]map[string]any{}
	for _, m := range s.Mappings {
		rows, err := s.Legacy.Query(ctx, "SELECT to_jsonb(q)::text FROM ("+strings.TrimRight(m.Select, "; \n\t")+") q")
		if err != nil {
			return nil, fmt.Errorf("evaluate %ss over the legacy database: %w", m.Kind, redact.SQLError(err))
		}
		var raw string
		_, err = pgx.ForEachRow(rows, []any{&raw}, func() error {
			row, err := decode([]byte(raw))
			if err != nil {
				return err
			}
			key := consumers.Key{Kind: m.Kind, Organization: text(row["organization_external_id"])}
			key.Entity = key.Organization
			if m.Kind == consumers.Member {
				key.Entity = text(row["external_id"])
				if _, ok := expected[consumers.Key{Kind: consumers.Organization, Organization: key.Organization, Entity: key.Organization}]; !ok {
					return nil // a member whose organization the mapping does not return is not desired
				}
			}
			expected[key] = normalise(m, row)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("evaluate %ss over the legacy database: %w", m.Kind, redact.SQLError(err))
		}
	}
	return expected, nil
}

func decode(raw []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var row map[string]any
	return row, d.Decode(&row)
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

// normalise gives a row's values the form in which Stytch shows them: addresses in
// lower case, no nulls in metadata, sorted roles, and a hash only where it may be
// migrated.
func normalise(m consumers.Mapping, row map[string]any) map[string]any {
	want := map[string]any{}
	for name, v := range row {
		if v == nil && m.Kind == consumers.Organization && name != "organization_name" && name != "organization_logo_url" && name != "trusted_metadata" {
			continue // a setting that Stytch fills itself, such as the slug
		}
		switch name {
		case "organization_external_id", "external_id", "organization_id", "member_id", "email_verified", "password_hash":
		case "email_address":
			want[name] = strings.ToLower(strings.TrimSpace(text(v)))
		case "trusted_metadata", "untrusted_metadata":
			object, _ := v.(map[string]any)
			maps.DeleteFunc(object, func(_ string, v any) bool { return v == nil })
			want[name] = object
		case "roles", "email_allowed_domains", "allowed_auth_methods", "allowed_mfa_methods":
			want[name] = sorted(v)
		case "is_breakglass", "mfa_enrolled":
			b, _ := v.(bool)
			want[name] = b
		default:
			want[name] = text(v)
		}
	}
	if legacy, asked := row["password_hash"]; asked {
		verified, _ := row["email_verified"].(bool)
		want["password"] = ""
		if c, err := hash.Convert(text(legacy), hash.Options{}); err == nil && c.Fields != nil && (verified || m.AssumeEmailsVerified) {
			want["password"] = text(c.Fields["hash"])
		}
	}
	return want
}

func sorted(v any) []string {
	list := []string{}
	items, _ := v.([]any)
	for _, item := range items {
		list = append(list, text(item))
	}
	slices.Sort(list)
	return list
}

// observe is the actual side: everything live in the simulator.
func observe(s *simulator.Simulator) map[external]map[string]any {
	actual := map[external]map[string]any{}
	for o := range s.Dump() {
		if o.Deleted {
			continue
		}
		id := external{kind: consumers.Organization, organization: o.Organization.OrganizationExternalID}
		actual[id] = fieldsOf(o.Organization)
		for _, m := range o.Members {
			if m.Member.Status == simulator.StatusDeleted {
				continue
			}
			fields := fieldsOf(m.Member)
			roles := slices.Sorted(slices.Values(m.ExplicitRoles))
			if roles == nil {
				roles = []string{}
			}
			fields["roles"] = roles
			fields["password"] = ""
			if m.Password != nil {
				fields["password"] = m.Password.Hash
			}
			actual[external{kind: consumers.Member, organization: id.organization, entity: m.Member.ExternalID}] = fields
		}
	}
	return actual
}

// fieldsOf gives an API object's fields by their names.
func fieldsOf(object any) map[string]any {
	raw, err := json.Marshal(object)
	if err != nil {
		panic(err) // the simulator's own types always encode
	}
	fields, err := decode(raw)
	if err != nil {
		panic(err)
	}
	for _, list := range []string{"email_allowed_domains", "allowed_auth_methods", "allowed_mfa_methods"} {
		if _, ok := fields[list]; ok {
			fields[list] = sorted(fields[list])
		}
	}
	return fields
}

// differences names the fields in which Stytch is not as the mapping says.
func differences(want, got map[string]any) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		w, g := want[name], got[name]
		if object, ok := w.(map[string]any); ok && len(object) == 0 {
			if o, _ := g.(map[string]any); len(o) == 0 {
				continue
			}
		}
		if !reflect.DeepEqual(w, g) {
			names = append(names, name)
		}
	}
	return names
}
