package stytch

import (
	"bytes"
	"encoding/json"
	"slices"

	"golang.org/x/crypto/bcrypt"
)

// Password is a member's password as the project keeps it.
type Password struct {
	ID       string          `json:"member_password_id"`
	HashType string          `json:"hash_type"`
	Hash     string          `json:"hash"`             // as it was sent
	Config   json.RawMessage `json:"config,omitempty"` // the hash type's config, as it was sent
	SetBy    string          `json:"set_by"`           // SetByMigrate or SetByUser

	verify func(password string) bool
}

// Who set a password.
const (
	SetByMigrate = "migrate" // passwords/migrate
	SetByUser    = "user"    // the member, at Stytch
)

// Verify says whether this is the password, by hashing it as its hash type does.
func (p *Password) Verify(password string) bool { return p.verify(password) }

type migrateFields struct {
	OrganizationID         string  `json:"organization_id"`
	Hash                   *string `json:"hash"`
	HashType               *string `json:"hash_type"`
	SetPhoneNumberVerified *bool   `json:"set_phone_number_verified"`
	hashConfigs
	memberFields
}

// migratePassword gives a hash to a member that has no password, and creates the
// member where there is none. The address counts as verified from then on.
func migratePassword(s *Simulator, c *call) (response, error) {
	var f migrateFields
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	switch {
	case f.OrganizationID == "":
		return nil, badRequest("organization_id is missing.")
	case f.EmailAddress == nil, f.Hash == nil, f.HashType == nil:
		return nil, badRequest("email_address, hash and hash_type must be sent.")
	}
	password, err := newPassword(*f.HashType, *f.Hash, f.hashConfigs)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.mu.organization(f.OrganizationID)
	c.about(o, nil)
	if err != nil {
		return nil, err
	}
	if s.options.PasswordNeedsAuthMethod && !o.allowsPassword() {
		return nil, errAuthMethod
	}
	password.ID, password.SetBy = s.mu.newID("member-password"), SetByMigrate
	m, created, err := s.migrate(o, f, password)
	if err != nil {
		return nil, err
	}
	c.about(o, m)
	res := m.answer()
	res["member_created"] = created
	return res, nil
}

var errAuthMethod = refuse("operation_restricted_by_organization_auth_methods", "The organization does not allow passwords.")

func (o *organization) allowsPassword() bool {
	return o.view.AuthMethods == allAllowed || slices.Contains(o.view.AllowedAuthMethods, "password")
}

// migrate is passwords/migrate for a known organization; the caller holds the lock.
func (s *Simulator) migrate(o *organization, f migrateFields, password *Password) (m *member, created bool, err error) {
	email, err := normalEmail(*f.EmailAddress)
	if err != nil {
		return nil, false, err
	}
	var next member
	// What migrate does not take.
	f.IsBreakglass, f.MFAEnrolled, f.DefaultMFAMethod = nil, nil, nil
	if m = o.byEmail[email]; m != nil && m.view.EmailAddress == email {
		if m.password != nil {
			return nil, false, refuse("password_already_exists", "The member has a password already.")
		}
		next = *m
		f.ExternalID = nil // ignored when the member exists
		if !s.options.MigrateUpdatesFields {
			f.Name, f.TrustedMetadata, f.UntrustedMetadata = nil, nil, nil
		}
	} else {
		m, created = nil, true
		if next, err = s.newMember(o, f.EmailAddress); err != nil {
			return nil, false, err
		}
	}
	if err := s.applyMember(m, &next, f.memberFields); err != nil {
		return nil, false, err
	}
	if f.MFAPhoneNumber != nil && f.SetPhoneNumberVerified != nil {
		next.view.MFAPhoneNumberVerified = *f.SetPhoneNumberVerified
	}
	next.setPassword(password)
	next.view.UpdatedAt = s.now()
	if created {
		return s.addMember(next), true, nil
	}
	s.mu.replace(m, next)
	return m, false, nil
}

func (m *member) setPassword(p *Password) {
	m.password = p
	m.view.MemberPasswordID = p.ID
	m.view.EmailAddressVerified = true
}

// setUserPassword is what a reset at Stytch leaves: a new password with a new id.
func (s *Simulator) setUserPassword(m *member, plain string) error {
	hash, err := bcrypt.GenerateFromPassword([]byte(plain), bcrypt.MinCost)
	if err != nil {
		return err
	}
	p, err := newPassword("bcrypt", string(hash), hashConfigs{})
	if err != nil {
		return err
	}
	p.ID, p.SetBy = s.mu.newID("member-password"), SetByUser
	next := *m
	next.setPassword(p)
	next.view.UpdatedAt = s.now()
	s.mu.replace(m, next)
	return nil
}

func deleteMemberPassword(s *Simulator, c *call) (response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.organization(c)
	if err != nil {
		return nil, err
	}
	if s.options.CrossOrgPasswords {
		return nil, refuse("cross_org_passwords_enabled", "Passwords of a project with cross-organization passwords cannot be deleted.")
	}
	id := c.path["password"]
	m := s.mu.byPassword[id]
	if m == nil || m.org != o || m.view.Status == StatusDeleted {
		if err := s.mu.otherEnvironment(id, "member-password"); err != nil {
			return nil, err
		}
		return nil, missing("member_password_not_found", "The member password could not be found.")
	}
	c.about(o, m)
	next := *m
	next.clearPassword()
	next.view.UpdatedAt = s.now()
	s.mu.replace(m, next)
	return m.answer(), nil
}

// sameConfig keeps a config as it was sent, in a form that compares.
func sameConfig(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return raw
	}
	return compact.Bytes()
}
