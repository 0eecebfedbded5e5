package pipeline

import (
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/consumers/verify"
	"github.com/backstitch/backstitch/pipeline/config"
)

// VerifyOptions are what whoever verifies may choose.
type VerifyOptions struct {
	By           string
	Share        float64       // of the rate; 0: all of it
	Timeout      time.Duration // 0: the default
	AllowForeign bool
	Anew, Repair bool
	Canaries     []verify.Canary
	Logger       *slog.Logger
	Progress     func(string)
}

// NewVerifier wires the ledger and Stytch to a comparison.
func NewVerifier(cfg *config.Config, c *Clients, pool *pgxpool.Pool, o VerifyOptions) (*verify.Verifier, error) {
	return verify.New(
		verify.Config{
			Pipeline: cfg.Name, ProjectID: cfg.Stytch.ProjectID,
			OrganizationPrefix: cfg.ExternalIDPrefix.Organizations, MemberPrefix: cfg.ExternalIDPrefix.Members,
			AssumeEmailsVerified: cfg.Members.AssumeEmailsVerified,
			RateLimit:            float64(cfg.Stytch.RateLimit), Share: o.Share, Timeout: o.Timeout,
			AllowForeign: o.AllowForeign, Anew: o.Anew, Repair: o.Repair, By: o.By, Canaries: o.Canaries,
		},
		verify.Deps{Ledger: pool, Client: c.Stytch, Logger: o.Logger, Progress: o.Progress})
}
