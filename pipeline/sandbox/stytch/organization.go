package stytch

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// organizationFields are what create and update take.
type organizationFields struct {
	OrganizationName       *string         `json:"organization_name"`
	OrganizationSlug       *string         `json:"organization_slug"`
	OrganizationLogoURL    *string         `json:"organization_logo_url"`
	OrganizationExternalID *string         `json:"organization_external_id"`
	TrustedMetadata        json.RawMessage `json:"trusted_metadata"`
	organizationSettings
}

const (
	maxName    = 128
	maxLogoURL = 2048 // Stytch has a limit and does not state it
)

func createOrganization(s *Simulator, c *call) (response, error) {
	var f organizationFields
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	if f.OrganizationName == nil {
		return nil, refuse("organization_name_missing", "The organization name is missing.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &organization{
		seq: s.mu.seq(), created: s.options.Now(), byEmail: map[string]*member{}, byExternalID: map[string]*member{}, byPhone: map[string]*member{},
	}
	view := s.newOrganization(f)
	if err := s.applyOrganization(o, &view, f); err != nil {
		return nil, err
	}
	if view.OrganizationSlug == "" {
		if s.options.RequireSlug {
			return nil, refuse("invalid_organization_slug", "The organization slug is missing.")
		}
		view.OrganizationSlug = s.deriveSlug(view.OrganizationName)
		s.options.Logger.Warn("organization without a slug: one was derived", "request_id", c.requestID)
	}
	s.mu.put(o, view)
	s.mu.organizations = append(s.mu.organizations, o)
	c.about(o, nil)
	return response{"organization": view}, nil
}

// newOrganization has the defaults of a creation; some depend on what is sent.
func (s *Simulator) newOrganization(f organizationFields) Organization {
	now := s.now()
	o := Organization{
		OrganizationID: s.mu.newID("organization"), CreatedAt: now, UpdatedAt: now,
		SSOJITProvisioning: allAllowed, SSOJITProvisioningAllowedConnections: []string{}, SSOActiveConnections: []SSOConnection{},
		EmailAllowedDomains: []string{}, EmailJITProvisioning: notAllowed, EmailInvites: allAllowed,
		AuthMethods: allAllowed, AllowedAuthMethods: []string{}, MFAPolicy: "OPTIONAL", MFAMethods: allAllowed, AllowedMFAMethods: []string{},
		RBACEmailImplicitRoleAssignments: []DomainRole{}, OAuthTenantJITProvisioning: notAllowed, AllowedOAuthTenants: map[string][]string{},
		ClaimedEmailDomains:                []string{},
		FirstPartyConnectedAppsAllowedType: allAllowed, AllowedFirstPartyConnectedApps: []string{},
		ThirdPartyConnectedAppsAllowedType: allAllowed, AllowedThirdPartyConnectedApps: []string{},
		CustomRoles: []PolicyRole{}, TrustedMetadata: map[string]any{},
	}
	if s.options.SSOJITNotAllowed {
		o.SSOJITProvisioning = notAllowed
	}
	if f.anySent() {
		o.EmailInvites = notAllowed
	}
	return o
}

func (s *Simulator) now() time.Time { return s.options.Now().UTC().Truncate(time.Second) }

// applyOrganization writes fields into a view, or refuses them all.
func (s *Simulator) applyOrganization(o *organization, v *Organization, f organizationFields) error {
	if f.OrganizationName != nil {
		if n := utf8.RuneCountInString(*f.OrganizationName); n < 1 || n > maxName {
			return refuse("invalid_organization_name", "The organization name must have 1 to 128 characters.")
		}
		if err := validText(*f.OrganizationName); err != nil {
			return err
		}
		v.OrganizationName = *f.OrganizationName
	}
	if f.OrganizationSlug != nil {
		if !validSlug(*f.OrganizationSlug) {
			return refuse("invalid_organization_slug", "The slug must have 2 to 128 characters, only alphanumerics and -._~, and one alphanumeric.")
		}
		if holder := s.mu.bySlug[strings.ToLower(*f.OrganizationSlug)]; holder != nil && holder != o {
			return refuse("organization_slug_already_used", "The slug is already used in another organization.")
		}
		v.OrganizationSlug = *f.OrganizationSlug
	}
	if f.OrganizationExternalID != nil {
		if !validExternalID(*f.OrganizationExternalID) {
			return refuse("invalid_organization_external_id", "The organization external id is invalid.")
		}
		if holder := s.mu.byExternalID[*f.OrganizationExternalID]; holder != nil && holder != o {
			return refuse("organization_external_id_already_used", "The external id is already used in another organization.")
		}
		v.OrganizationExternalID = *f.OrganizationExternalID
	}
	if f.OrganizationLogoURL != nil {
		if err := validLogo(*f.OrganizationLogoURL); err != nil {
			return err
		}
		v.OrganizationLogoURL = *f.OrganizationLogoURL
	}
	merged, err := mergeMetadata(v.TrustedMetadata, f.TrustedMetadata)
	if err != nil {
		return err
	}
	v.TrustedMetadata = merged
	return s.applySettings(o, v, f.organizationSettings)
}

func validLogo(address string) error {
	if len(address) > maxLogoURL {
		return refuse("organization_logo_url_too_long", "The logo's URL is too long.")
	}
	if u, err := url.Parse(address); address != "" && (err != nil || u.Scheme == "" || u.Host == "") {
		return refuse("invalid_url", "The logo's URL is invalid.")
	}
	return nil
}

// deriveSlug makes a free slug of a name.
func (s *Simulator) deriveSlug(name string) string {
	base := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name)), "-")
	if len(base) < 2 {
		base = "organization-" + base
	}
	base = strings.TrimSuffix(base[:min(len(base), maxName-12)], "-")
	slug := base
	for n := 2; s.mu.bySlug[slug] != nil; n++ {
		slug = base + "-" + strconv.Itoa(n)
	}
	return slug
}

func getOrganization(s *Simulator, c *call) (response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.organization(c)
	if err != nil {
		return nil, err
	}
	return response{"organization": o.view}, nil
}

// organization finds the one in a call's path; the caller holds the lock.
func (s *Simulator) organization(c *call) (*organization, error) {
	o, err := s.mu.organization(c.path["organization"])
	c.about(o, nil)
	return o, err
}

func updateOrganization(s *Simulator, c *call) (response, error) {
	var f organizationFields
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.organization(c)
	if err != nil {
		return nil, err
	}
	view := o.view
	if err := s.applyOrganization(o, &view, f); err != nil {
		return nil, err
	}
	view.UpdatedAt = s.now()
	s.mu.put(o, view)
	return response{"organization": view}, nil
}

// deleteOrganization deletes its members with it.
func deleteOrganization(s *Simulator, c *call) (response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.mu.byID[c.path["organization"]]; o != nil && o.deleted && s.options.DeleteAgainOK {
		c.about(o, nil)
		return response{"organization_id": o.view.OrganizationID}, nil
	}
	o, err := s.organization(c)
	if err != nil {
		return nil, err
	}
	for _, m := range slices.Clone(o.members) {
		if m.view.Status != StatusDeleted {
			s.removeMember(m)
		}
	}
	o.deleted = true
	o.view.UpdatedAt = s.now()
	s.mu.unindex(o)
	if s.options.KeepSlugOnDelete {
		s.mu.bySlug[strings.ToLower(o.view.OrganizationSlug)] = o
	}
	if s.options.KeepOrganizationExternalIDOnDelete && o.view.OrganizationExternalID != "" {
		s.mu.byExternalID[o.view.OrganizationExternalID] = o
	}
	return response{"organization_id": o.view.OrganizationID}, nil
}

func organizationMetrics(s *Simulator, c *call) (response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.organization(c)
	if err != nil {
		return nil, err
	}
	return response{"member_count": o.live}, nil
}

func deleteOrganizationExternalID(s *Simulator, c *call) (response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.mu.byID[c.path["organization"]] // a deleted one may still hold its external id
	if o == nil {
		var err error
		if o, err = s.organization(c); err != nil {
			return nil, err
		}
	}
	c.about(o, nil)
	drop(s.mu.byExternalID, o.view.OrganizationExternalID, o)
	o.view.OrganizationExternalID = ""
	o.view.UpdatedAt = s.now()
	return response{"organization": o.view}, nil
}
