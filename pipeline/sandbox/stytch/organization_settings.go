package stytch

import "slices"

// organizationSettings say who may join an organization and how its members log in.
// A list replaces the list.
type organizationSettings struct {
	SSODefaultConnectionID               *string              `json:"sso_default_connection_id"`
	SSOJITProvisioning                   *string              `json:"sso_jit_provisioning"`
	SSOJITProvisioningAllowedConnections *[]string            `json:"sso_jit_provisioning_allowed_connections"`
	EmailAllowedDomains                  *[]string            `json:"email_allowed_domains"`
	EmailJITProvisioning                 *string              `json:"email_jit_provisioning"`
	EmailInvites                         *string              `json:"email_invites"`
	AuthMethods                          *string              `json:"auth_methods"`
	AllowedAuthMethods                   *[]string            `json:"allowed_auth_methods"`
	MFAPolicy                            *string              `json:"mfa_policy"`
	MFAMethods                           *string              `json:"mfa_methods"`
	AllowedMFAMethods                    *[]string            `json:"allowed_mfa_methods"`
	RBACEmailImplicitRoleAssignments     *[]DomainRole        `json:"rbac_email_implicit_role_assignments"`
	OAuthTenantJITProvisioning           *string              `json:"oauth_tenant_jit_provisioning"`
	AllowedOAuthTenants                  *map[string][]string `json:"allowed_oauth_tenants"`
	ClaimedEmailDomains                  *[]string            `json:"claimed_email_domains"`
	FirstPartyConnectedAppsAllowedType   *string              `json:"first_party_connected_apps_allowed_type"`
	AllowedFirstPartyConnectedApps       *[]string            `json:"allowed_first_party_connected_apps"`
	ThirdPartyConnectedAppsAllowedType   *string              `json:"third_party_connected_apps_allowed_type"`
	AllowedThirdPartyConnectedApps       *[]string            `json:"allowed_third_party_connected_apps"`
}

// anySent: a creation that sends any of these gets email_invites NOT_ALLOWED unless
// it sends that too.
func (f *organizationSettings) anySent() bool {
	return f.SSOJITProvisioning != nil || f.EmailAllowedDomains != nil || f.EmailJITProvisioning != nil ||
		f.EmailInvites != nil || f.AuthMethods != nil || f.AllowedAuthMethods != nil || f.MFAPolicy != nil ||
		f.MFAMethods != nil || f.AllowedMFAMethods != nil || f.OAuthTenantJITProvisioning != nil || f.AllowedOAuthTenants != nil
}

var (
	authMethods = []string{
		"sso", "magic_link", "email_otp", "password", "google_oauth", "microsoft_oauth", "slack_oauth", "github_oauth", "hubspot_oauth",
	}
	mfaMethods    = []string{"sms_otp", "totp"}
	oauthTenants  = []string{"slack", "hubspot", "github"}
	threeSettings = []string{allAllowed, restricted, notAllowed}
)

func (s *Simulator) applySettings(o *organization, v *Organization, f organizationSettings) error {
	if err := setChoices(v, f); err != nil {
		return err
	}
	if f.SSODefaultConnectionID != nil {
		return refuse("invalid_sso_default_connection_id", "The organization has no such SSO connection.")
	}
	if f.SSOJITProvisioningAllowedConnections != nil && len(*f.SSOJITProvisioningAllowedConnections) > 0 {
		return missing("sso_connection_not_found", "The organization has no such SSO connection.")
	}
	if f.AllowedOAuthTenants != nil {
		for tenant := range *f.AllowedOAuthTenants {
			if !slices.Contains(oauthTenants, tenant) {
				return refuse("invalid_oauth_allowed_tenants_format", "allowed_oauth_tenants has the keys slack, hubspot and github.")
			}
		}
		v.AllowedOAuthTenants = *f.AllowedOAuthTenants
	}
	if err := setList(&v.AllowedAuthMethods, f.AllowedAuthMethods, authMethods, "invalid_organization_allowed_auth_methods"); err != nil {
		return err
	}
	if err := setList(&v.AllowedMFAMethods, f.AllowedMFAMethods, mfaMethods, "invalid_organization_allowed_mfa_methods"); err != nil {
		return err
	}
	if f.AllowedFirstPartyConnectedApps != nil {
		v.AllowedFirstPartyConnectedApps = list(*f.AllowedFirstPartyConnectedApps)
	}
	if f.AllowedThirdPartyConnectedApps != nil {
		v.AllowedThirdPartyConnectedApps = list(*f.AllowedThirdPartyConnectedApps)
	}
	if err := s.setDomains(o, v, f); err != nil {
		return err
	}
	return checkSettings(v)
}

func setChoices(v *Organization, f organizationSettings) error {
	const factor = "invalid_organization_auth_factor_setting"
	all := []struct {
		to      *string
		sent    *string
		choices []string
		kind    string
	}{
		{&v.SSOJITProvisioning, f.SSOJITProvisioning, threeSettings, factor},
		{&v.EmailInvites, f.EmailInvites, threeSettings, factor},
		{&v.EmailJITProvisioning, f.EmailJITProvisioning, []string{restricted, notAllowed}, factor + "_for_email_jit_provisioning"},
		{&v.OAuthTenantJITProvisioning, f.OAuthTenantJITProvisioning, []string{restricted, notAllowed}, factor + "_for_oauth_tenant_jit_provisioning"},
		{&v.AuthMethods, f.AuthMethods, []string{allAllowed, restricted}, "invalid_organization_auth_method_settings"},
		{&v.MFAPolicy, f.MFAPolicy, []string{"REQUIRED_FOR_ALL", "OPTIONAL"}, "invalid_organization_mfa_policy"},
		{&v.MFAMethods, f.MFAMethods, []string{allAllowed, restricted}, "invalid_organization_mfa_factor_setting"},
		{&v.FirstPartyConnectedAppsAllowedType, f.FirstPartyConnectedAppsAllowedType, threeSettings, "invalid_argument"},
		{&v.ThirdPartyConnectedAppsAllowedType, f.ThirdPartyConnectedAppsAllowedType, threeSettings, "invalid_argument"},
	}
	for _, c := range all {
		if c.sent == nil {
			continue
		}
		if !slices.Contains(c.choices, *c.sent) {
			return refuse(c.kind, "A setting has none of the values that it may have.")
		}
		*c.to = *c.sent
	}
	return nil
}

func setList(to, sent *[]string, known []string, kind string) error {
	if sent == nil {
		return nil
	}
	for _, v := range *sent {
		if !slices.Contains(known, v) {
			return refuse(kind, "A list holds a method that does not exist.")
		}
	}
	*to = list(*sent)
	return nil
}

// list never is nil: the API's empty list is [].
func list(l []string) []string { return append([]string{}, l...) }

func (s *Simulator) setDomains(o *organization, v *Organization, f organizationSettings) error {
	if f.EmailAllowedDomains != nil {
		domains, err := normalDomains(*f.EmailAllowedDomains, domainErrors{
			invalid: "organization_settings_invalid_domain", common: "organization_settings_domain_too_common",
			disposable: "organization_settings_disposable_domain", duplicate: "organization_settings_duplicate_domain",
		})
		if err != nil {
			return err
		}
		v.EmailAllowedDomains = domains
	}
	if f.RBACEmailImplicitRoleAssignments != nil {
		v.RBACEmailImplicitRoleAssignments = []DomainRole{}
		for _, a := range *f.RBACEmailImplicitRoleAssignments {
			domains, err := normalDomains([]string{a.Domain}, domainErrors{invalid: "rbac_invalid_domain", common: "rbac_domain_too_common"})
			if err != nil {
				return err
			}
			if _, err := s.explicitRoles([]string{a.RoleID}); err != nil {
				return err
			}
			v.RBACEmailImplicitRoleAssignments = append(v.RBACEmailImplicitRoleAssignments, DomainRole{Domain: domains[0], RoleID: a.RoleID})
		}
	}
	if f.ClaimedEmailDomains == nil {
		return nil
	}
	if !s.options.ClaimedDomains {
		return refuse("claimed_email_domains_not_supported", "The project does not support claimed e-mail domains.")
	}
	domains, err := normalDomains(*f.ClaimedEmailDomains, domainErrors{
		invalid: "organization_settings_invalid_claimed_domain", common: "organization_settings_claimed_domain_too_common",
		duplicate: "organization_settings_duplicate_claimed_domain",
	})
	if err != nil {
		return err
	}
	for _, d := range domains {
		if holder := s.mu.claimed[d]; holder != nil && holder != o {
			return refuse("organization_settings_duplicate_claimed_domain", "Another organization claims a domain.")
		}
	}
	v.ClaimedEmailDomains = domains
	return nil
}

// checkSettings holds the rules that join several settings.
func checkSettings(v *Organization) error {
	switch {
	case v.SSOJITProvisioning == notAllowed && v.EmailJITProvisioning == notAllowed && v.EmailInvites == notAllowed:
		return refuse("invalid_organization_auth_factor_setting",
			"One of sso_jit_provisioning, email_jit_provisioning and email_invites must let members in.")
	case (v.EmailJITProvisioning == restricted || v.EmailInvites == restricted) && len(v.EmailAllowedDomains) == 0:
		return refuse("invalid_restricted_email_setting", "RESTRICTED needs email_allowed_domains.")
	case v.SSOJITProvisioning == restricted && len(v.SSOJITProvisioningAllowedConnections) == 0:
		return refuse("invalid_restricted_sso_setting", "RESTRICTED needs sso_jit_provisioning_allowed_connections.")
	case v.OAuthTenantJITProvisioning == restricted && len(v.AllowedOAuthTenants) == 0:
		return refuse("invalid_restricted_oauth_tenants_setting", "RESTRICTED needs allowed_oauth_tenants.")
	case v.AuthMethods == restricted && len(v.AllowedAuthMethods) == 0:
		return refuse("allowed_auth_methods_required_for_restricted", "RESTRICTED needs allowed_auth_methods.")
	case v.MFAMethods == restricted && len(v.AllowedMFAMethods) == 0:
		return refuse("allowed_mfa_methods_required_for_restricted", "RESTRICTED needs allowed_mfa_methods.")
	}
	return nil
}
