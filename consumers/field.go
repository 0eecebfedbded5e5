package consumers

// FieldType is the shape that a mapping's column must have for a field.
type FieldType string

// The field types, with the SQL types that fit them.
const (
	TypeText   FieldType = "text"    // text, varchar, citext, uuid, enum, int (as text)
	TypeBool   FieldType = "boolean" // boolean
	TypeTexts  FieldType = "text[]"  // text[], varchar[], enum[]
	TypeObject FieldType = "jsonb"   // json or jsonb object
)

// Field is a column that a mapping's SELECT may return.
type Field struct {
	Name string
	Type FieldType
	// Key: part of the entity's key; a type whose equality is text equality.
	Key bool
	// Control: steers Backstitch and is not sent to Stytch as such.
	Control bool
	// NotYet names a field of the design that is not built: refused by check.
	NotYet bool
}

// Fields lists the columns that a mapping of a kind may return, in the order in
// which messages list them. Names are Stytch's field names (stytch B2B API,
// organizations and members).
func Fields(k Kind) []Field {
	if k == Organization {
		return organizationFields
	}
	return memberFields
}

// KeyColumns names a kind's key columns: first the organization's.
func KeyColumns(k Kind) []string {
	if k == Organization {
		return []string{"organization_external_id"}
	}
	return []string{"organization_external_id", "external_id"}
}

var organizationFields = []Field{
	{Name: "organization_external_id", Type: TypeText, Key: true},
	{Name: "organization_name", Type: TypeText},
	{Name: "organization_slug", Type: TypeText},
	{Name: "organization_logo_url", Type: TypeText},
	{Name: "trusted_metadata", Type: TypeObject},
	{Name: "email_allowed_domains", Type: TypeTexts},
	{Name: "email_jit_provisioning", Type: TypeText},
	{Name: "email_invites", Type: TypeText},
	{Name: "sso_jit_provisioning", Type: TypeText},
	{Name: "auth_methods", Type: TypeText},
	{Name: "allowed_auth_methods", Type: TypeTexts},
	{Name: "mfa_policy", Type: TypeText},
	{Name: "mfa_methods", Type: TypeText},
	{Name: "allowed_mfa_methods", Type: TypeTexts},
	{Name: "organization_id", Type: TypeText, Control: true}, // saved Stytch id: adopt
	{Name: "sso_connections", NotYet: true},
	{Name: "recheck_at", NotYet: true},
}

var memberFields = []Field{
	{Name: "organization_external_id", Type: TypeText, Key: true},
	{Name: "external_id", Type: TypeText, Key: true},
	{Name: "email_address", Type: TypeText},
	{Name: "name", Type: TypeText},
	{Name: "roles", Type: TypeTexts},
	{Name: "trusted_metadata", Type: TypeObject},
	{Name: "untrusted_metadata", Type: TypeObject},
	{Name: "is_breakglass", Type: TypeBool},
	{Name: "mfa_enrolled", Type: TypeBool},
	{Name: "mfa_phone_number", Type: TypeText},
	{Name: "default_mfa_method", Type: TypeText},
	{Name: "password_hash", Type: TypeText, Control: true},
	{Name: "email_verified", Type: TypeBool, Control: true},
	{Name: "member_id", Type: TypeText, Control: true}, // saved Stytch id: adopt
	{Name: "totp_secret", NotYet: true},
	{Name: "recheck_at", NotYet: true},
}
