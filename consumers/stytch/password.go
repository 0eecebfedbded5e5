package stytch

import (
	"context"
	"errors"
	"net/http"
)

// Migrated is the answer of MigratePassword.
type Migrated struct {
	MemberID string
	// MemberCreated: there was no member with the address, and now there is.
	MemberCreated bool
	Member        *Member
}

// MigratePassword gives a member without password the password behind a hash, and
// creates the member if there is none. It marks the address verified (hazard A9).
// Required: organization_id, email_address, hash, hash_type, and the config of the
// type (package hash makes these). At most 100 calls a second.
func (c *Client) MigratePassword(ctx context.Context, f Fields) (*Migrated, error) {
	var out struct {
		MemberID      string `json:"member_id"`
		MemberCreated bool   `json:"member_created"`
		Member        Member `json:"member"`
	}
	err := c.call(ctx, request{
		name: "migrate_password", method: http.MethodPost, path: []string{"v1", "b2b", "passwords", "migrate"}, body: orEmpty(f),
	}, &out, func() bool { return out.Member.ID != "" })
	if err != nil {
		return nil, err
	}
	if out.MemberID == "" {
		out.MemberID = out.Member.ID
	}
	return &Migrated{MemberID: out.MemberID, MemberCreated: out.MemberCreated, Member: &out.Member}, nil
}

// DeletePassword removes a member's password by its member_password_id. Projects
// with passwords across organizations refuse it.
func (c *Client) DeletePassword(ctx context.Context, org, passwordID string) error {
	return c.deleted(ctx, "delete_password", members(org, "passwords", passwordID))
}

// AuthenticatePassword says whether a password is the member's. A wrong one and
// wrong project credentials are the same answer to Stytch: false.
func (c *Client) AuthenticatePassword(ctx context.Context, org, email, password string) (bool, error) {
	var out struct {
		MemberID string `json:"member_id"`
	}
	err := c.call(ctx, request{
		name: "authenticate_password", method: http.MethodPost, path: []string{"v1", "b2b", "passwords", "authenticate"},
		body: Fields{"organization_id": org, "email_address": email, "password": password},
	}, &out, func() bool { return out.MemberID != "" })
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusUnauthorized && e.Type == "unauthorized_credentials" {
		return false, nil
	}
	return err == nil, err
}
