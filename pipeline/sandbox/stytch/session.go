package stytch

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"time"
)

// Limits and default of session_duration_minutes.
const (
	minSessionMinutes     = 5
	maxSessionMinutes     = 527_040
	defaultSessionMinutes = 60
)

// authenticatePassword proves that a migrated hash is the one of a password. It
// makes an active member of a pending one.
func authenticatePassword(s *Simulator, c *call) (response, error) {
	var f struct {
		OrganizationID string `json:"organization_id"`
		EmailAddress   string `json:"email_address"`
		Password       string `json:"password"`
		Minutes        *int   `json:"session_duration_minutes"`
	}
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	if f.OrganizationID == "" || f.Password == "" {
		return nil, badRequest("organization_id, email_address and password must be sent.")
	}
	minutes := defaultSessionMinutes
	if f.Minutes != nil {
		minutes = *f.Minutes
	}
	if minutes < minSessionMinutes || minutes > maxSessionMinutes {
		return nil, refuse("invalid_session_duration_minutes", "session_duration_minutes must be 5 to 527040.")
	}
	email, err := normalEmail(f.EmailAddress)
	if err != nil {
		return nil, err
	}
	m, password, err := s.passwordOf(c, f.OrganizationID, email)
	if err != nil {
		return nil, err
	}
	s.verifying <- struct{}{}
	same := password.Verify(f.Password) // outside the lock: it takes long by design
	<-s.verifying
	if !same {
		return nil, errCredentials
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.password != password || m.view.Status == StatusDeleted {
		return nil, errCredentials // it changed meanwhile
	}
	return s.login(m, minutes), nil
}

func (s *Simulator) passwordOf(c *call, organizationID, email string) (*member, *Password, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.mu.organization(organizationID)
	c.about(o, nil)
	if err != nil {
		return nil, nil, err
	}
	m := o.byEmail[email]
	if m == nil || m.view.EmailAddress != email {
		return nil, nil, missing("email_not_found", "The email could not be found.")
	}
	c.about(o, m)
	if m.password == nil {
		return nil, nil, missing("member_password_not_found", "The member password could not be found.")
	}
	if !o.allowsPassword() && !m.view.IsBreakglass {
		return nil, nil, errAuthMethod
	}
	return m, m.password, nil
}

// login is the answer of a first factor that held; the caller holds the lock.
func (s *Simulator) login(m *member, minutes int) response {
	if m.view.Status == StatusPending {
		m.view.Status, m.view.UpdatedAt = StatusActive, s.now()
	}
	res := m.answer()
	res["organization_id"] = m.view.OrganizationID
	res["session_token"], res["session_jwt"], res["intermediate_session_token"] = "", "", ""
	res["member_authenticated"] = false
	res["member_session"], res["mfa_required"], res["primary_required"] = nil, nil, nil
	if m.view.MFAEnrolled || m.org.view.MFAPolicy == "REQUIRED_FOR_ALL" {
		res["intermediate_session_token"] = token()
		options := response{"mfa_phone_number": m.view.MFAPhoneNumber, "totp_registration_id": m.view.TOTPRegistrationID}
		res["mfa_required"] = response{"member_options": options, "secondary_auth_initiated": nil}
		return res
	}
	now := s.now()
	roles := []string{}
	for _, r := range m.show().Roles {
		roles = append(roles, r.RoleID)
	}
	res["member_authenticated"] = true
	res["session_token"] = token()
	res["member_session"] = response{
		"member_session_id": s.mu.newID("member-session"), "member_id": m.view.MemberID,
		"organization_id": m.view.OrganizationID, "organization_slug": m.org.view.OrganizationSlug,
		"started_at": now, "last_accessed_at": now, "expires_at": now.Add(time.Duration(minutes) * time.Minute),
		"roles": roles,
		"authentication_factors": []response{
			{"type": "password", "delivery_method": "knowledge", "sequence_order": "PRIMARY", "last_authenticated_at": now},
		},
	}
	return res
}

func token() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // it never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// sessionsJWKS is public. The simulator signs nothing, so there are no keys.
func sessionsJWKS(s *Simulator, c *call) (response, error) {
	if c.path["project"] != s.options.ProjectID {
		return nil, &refusal{http.StatusNotFound, "project_not_found", "The project could not be found."}
	}
	return response{"keys": []response{}}, nil
}
