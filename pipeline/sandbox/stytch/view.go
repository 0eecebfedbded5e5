package stytch

import "time"

// Organization is the API's organization object.
type Organization struct {
	OrganizationID                       string              `json:"organization_id"`
	OrganizationName                     string              `json:"organization_name"`
	OrganizationLogoURL                  string              `json:"organization_logo_url"`
	OrganizationSlug                     string              `json:"organization_slug"`
	OrganizationExternalID               string              `json:"organization_external_id,omitempty"`
	SSOJITProvisioning                   string              `json:"sso_jit_provisioning"`
	SSOJITProvisioningAllowedConnections []string            `json:"sso_jit_provisioning_allowed_connections"`
	SSOActiveConnections                 []SSOConnection     `json:"sso_active_connections"`
	SSODefaultConnectionID               *string             `json:"sso_default_connection_id"`
	SCIMActiveConnection                 *struct{}           `json:"scim_active_connection"`
	EmailAllowedDomains                  []string            `json:"email_allowed_domains"`
	EmailJITProvisioning                 string              `json:"email_jit_provisioning"`
	EmailInvites                         string              `json:"email_invites"`
	AuthMethods                          string              `json:"auth_methods"`
	AllowedAuthMethods                   []string            `json:"allowed_auth_methods"`
	MFAPolicy                            string              `json:"mfa_policy"`
	MFAMethods                           string              `json:"mfa_methods"`
	AllowedMFAMethods                    []string            `json:"allowed_mfa_methods"`
	RBACEmailImplicitRoleAssignments     []DomainRole        `json:"rbac_email_implicit_role_assignments"`
	OAuthTenantJITProvisioning           string              `json:"oauth_tenant_jit_provisioning"`
	AllowedOAuthTenants                  map[string][]string `json:"allowed_oauth_tenants"`
	ClaimedEmailDomains                  []string            `json:"claimed_email_domains"`
	FirstPartyConnectedAppsAllowedType   string              `json:"first_party_connected_apps_allowed_type"`
	AllowedFirstPartyConnectedApps       []string            `json:"allowed_first_party_connected_apps"`
	ThirdPartyConnectedAppsAllowedType   string              `json:"third_party_connected_apps_allowed_type"`
	AllowedThirdPartyConnectedApps       []string            `json:"allowed_third_party_connected_apps"`
	CustomRoles                          []PolicyRole        `json:"custom_roles"`
	TrustedMetadata                      map[string]any      `json:"trusted_metadata"` // numbers are json.Number
	CreatedAt                            time.Time           `json:"created_at"`
	UpdatedAt                            time.Time           `json:"updated_at"`
}

// SSOConnection is an organization's active SSO connection; the simulator has none.
type SSOConnection struct {
	ConnectionID     string `json:"connection_id"`
	DisplayName      string `json:"display_name"`
	IdentityProvider string `json:"identity_provider"`
}

// DomainRole gives a role to every member whose address has the domain.
type DomainRole struct {
	Domain string `json:"domain"`
	RoleID string `json:"role_id"`
}

// Member is the API's member object.
type Member struct {
	OrganizationID         string         `json:"organization_id"`
	MemberID               string         `json:"member_id"`
	EmailAddress           string         `json:"email_address"` // lower case
	Status                 string         `json:"status"`        // pending, active, deleted
	Name                   string         `json:"name"`
	ExternalID             string         `json:"external_id,omitempty"`
	SSORegistrations       []struct{}     `json:"sso_registrations"`
	IsBreakglass           bool           `json:"is_breakglass"`
	MemberPasswordID       string         `json:"member_password_id"` // "": no password
	OAuthRegistrations     []struct{}     `json:"oauth_registrations"`
	EmailAddressVerified   bool           `json:"email_address_verified"`
	MFAPhoneNumberVerified bool           `json:"mfa_phone_number_verified"`
	IsAdmin                bool           `json:"is_admin"`
	TOTPRegistrationID     string         `json:"totp_registration_id"`
	RetiredEmailAddresses  []RetiredEmail `json:"retired_email_addresses"`
	IsLocked               bool           `json:"is_locked"`
	MFAEnrolled            bool           `json:"mfa_enrolled"`
	MFAPhoneNumber         string         `json:"mfa_phone_number"`
	DefaultMFAMethod       string         `json:"default_mfa_method"`
	Roles                  []MemberRole   `json:"roles"`
	TrustedMetadata        map[string]any `json:"trusted_metadata"` // numbers are json.Number
	UntrustedMetadata      map[string]any `json:"untrusted_metadata"`
	SCIMRegistration       *struct{}      `json:"scim_registration"`
	CreatedAt              time.Time      `json:"created_at"`
	UpdatedAt              time.Time      `json:"updated_at"`
}

// RetiredEmail is an address that the member had and nobody else may take.
type RetiredEmail struct {
	EmailID      string `json:"email_id"`
	EmailAddress string `json:"email_address"`
}

// MemberRole is a role of a member and why it has it.
type MemberRole struct {
	RoleID  string       `json:"role_id"`
	Sources []RoleSource `json:"sources"`
}

// RoleSource is one reason for a role: direct_assignment or email_assignment.
type RoleSource struct {
	Type    string            `json:"type"`
	Details map[string]string `json:"details"`
}

// Member statuses.
const (
	StatusActive  = "active"
	StatusPending = "pending"
	StatusDeleted = "deleted"
)

const (
	allAllowed = "ALL_ALLOWED"
	restricted = "RESTRICTED"
	notAllowed = "NOT_ALLOWED"
)
