package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/stytch"
)

// Config says how to verify.
type Config struct {
	// Pipeline and ProjectID say whose ledger and which project; required.
	Pipeline, ProjectID string
	// OrganizationPrefix and MemberPrefix stand before the keys in external ids.
	OrganizationPrefix, MemberPrefix string
	// AssumeEmailsVerified: every address counts as verified.
	AssumeEmailsVerified bool
	// RateLimit is the project's requests per second, all parts of all instances
	// together (the applier's stytch.rate_limit).
	RateLimit float64
	// Share is the part of RateLimit, and of Stytch's 100 searches a minute, that may be
	// spent here: above 0, at most 1. Default 1.
	Share float64
	// Timeout bounds how long what is on its way, and what differs, is looked at again
	// once everything was compared. Default 5 min.
	Timeout time.Duration
	// AllowForeign: objects that no entity of ours has made are counted, and are no drift.
	AllowForeign bool
	// Anew: an interrupted run is not gone on with.
	Anew bool
	// Repair: what is confirmed as missing or different is given to the applier.
	Repair bool
	// By is who asked.
	By string
	// Canaries prove hash classes; may be empty.
	Canaries []Canary
}

// Canary is a member whose password the person who verifies knows.
type Canary struct {
	Organization, Member string // keys
	Password             string
}

// API is what verify needs of Stytch; *stytch.Client has it. It changes nothing there,
// but that a canary's authentication begins a session.
type API interface {
	SearchOrganizations(ctx context.Context, s stytch.OrganizationSearch) (*stytch.OrganizationPage, error)
	SearchMembers(ctx context.Context, s stytch.MemberSearch) (*stytch.MemberPage, error)
	GetOrganization(ctx context.Context, id string) (*stytch.Organization, error)
	GetMember(ctx context.Context, org, idOrExternal string) (*stytch.Member, error)
	AuthenticatePassword(ctx context.Context, org, email, password string) (bool, error)
}

// Deps are what a Verifier works with.
type Deps struct {
	Ledger *pgxpool.Pool
	Client API
	Logger *slog.Logger // nil: none
	// Progress is told what is done, for a person who waits. May be nil.
	Progress func(what string)
}

// Verifier verifies one pipeline.
type Verifier struct {
	cfg      Config
	mapping  string // the accepted digest
	pool     *pgxpool.Pool
	client   API
	log      *slog.Logger
	tell     func(string)
	pace     pacer
	prefixes prefixes
	pageSize int
	reads    atomic.Int64 // that no tally has yet
}

// New checks the configuration.
func New(cfg Config, d Deps) (*Verifier, error) {
	if cfg.Share == 0 {
		cfg.Share = 1
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Minute
	}
	switch {
	case cfg.Pipeline == "" || cfg.ProjectID == "":
		return nil, errors.New("verify: pipeline and project id are required")
	case cfg.RateLimit <= 0:
		return nil, fmt.Errorf("verify: a rate limit of %g requests per second asks nothing; want more than 0", cfg.RateLimit)
	case cfg.Share < 0 || cfg.Share > 1:
		return nil, fmt.Errorf("verify: %g is no share of the rate; want more than 0 and at most 1", cfg.Share)
	case cfg.Timeout < 0:
		return nil, fmt.Errorf("verify: a time-out of %s has passed before it began", cfg.Timeout)
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Progress == nil {
		d.Progress = func(string) {}
	}
	return &Verifier{
		cfg: cfg, pool: d.Ledger, client: d.Client, log: d.Logger, tell: d.Progress,
		pace:     pacer{ledger: ledger.NewApplier(d.Ledger), project: cfg.ProjectID, rate: cfg.RateLimit, share: cfg.Share, searches: searchesPerSecond},
		prefixes: prefixes{cfg.OrganizationPrefix, cfg.MemberPrefix},
		pageSize: pageSize,
	}, nil
}
