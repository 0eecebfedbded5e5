package stytch

import (
	"io"
	"log/slog"
	"strings"
	"time"
)

// Options configure a simulator. The zero value works, except for the credentials.
type Options struct {
	// ProjectID and Secret are the only accepted credentials. A project id that
	// starts with project-live- makes a live project, whose ids say so.
	ProjectID, Secret string
	// Roles are the RBAC policy's roles besides stytch_member and stytch_admin.
	Roles []string
	// AnyRole: the policy is not known, and every role is taken for one of it.
	AnyRole bool
	// RateLimit is the number of requests per second that each endpoint takes, in
	// fixed windows aligned to the clock. 0: no limit.
	RateLimit int
	// SearchLimit is the number of requests per minute that each search takes. 0:
	// Stytch's 100. Negative: no limit.
	SearchLimit int
	// SearchLag hides what was created this recently from both searches, whose index
	// may be behind.
	SearchLag time.Duration
	// RetryAfter adds the header of that name to a 429; Stytch documents none.
	RetryAfter bool
	// Latency is added to every request, before its effect.
	Latency time.Duration
	// JournalSize is how many requests the journal keeps. 0: 16,384.
	JournalSize int
	// Now is the clock. nil: time.Now.
	Now func() time.Time
	// Logger receives what a caller should know but gets no error for. nil: none.
	Logger *slog.Logger

	// CrossOrgPasswords is the project setting that shares passwords between
	// organizations: a member's password cannot be deleted then.
	CrossOrgPasswords bool
	// ClaimedDomains is the feature that lets an organization claim e-mail domains.
	ClaimedDomains bool

	// KeepExternalIDOnDelete: a deleted member's external id stays taken.
	KeepExternalIDOnDelete bool
	// KeepSlugOnDelete: a deleted organization's slug stays taken.
	KeepSlugOnDelete bool
	// KeepOrganizationExternalIDOnDelete: so does its external id.
	KeepOrganizationExternalIDOnDelete bool
	// KeepPasswordOnDelete: a reactivated member has its password again.
	KeepPasswordOnDelete bool
	// DeleteAgainOK: deleting what is deleted answers 200 instead of 404.
	DeleteAgainOK bool
	// MigrateUpdatesFields: passwords/migrate also writes name and metadata of a
	// member that exists, not only its roles and phone.
	MigrateUpdatesFields bool
	// SameEmailClearsPassword: an update with the address that the member has clears
	// the password and the verification as any other would.
	SameEmailClearsPassword bool
	// PasswordNeedsAuthMethod: passwords/migrate is refused in an organization whose
	// allowed_auth_methods lack password.
	PasswordNeedsAuthMethod bool
	// RequireSlug: an organization is not created without organization_slug.
	RequireSlug bool
	// SSOJITNotAllowed: sso_jit_provisioning of a new organization is NOT_ALLOWED
	// unless sent, instead of ALL_ALLOWED.
	SSOJITNotAllowed bool
}

const (
	defaultSearchLimit = 100
	defaultJournalSize = 1 << 14
)

func (o Options) withDefaults() Options {
	if o.SearchLimit == 0 {
		o.SearchLimit = defaultSearchLimit
	}
	if o.JournalSize <= 0 {
		o.JournalSize = defaultJournalSize
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return o
}

func (o Options) environment() string {
	if strings.HasPrefix(o.ProjectID, "project-live-") {
		return "live"
	}
	return "test"
}
