package apply

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/stytch"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Config says how to apply. Durations and counts that are 0 mean their default.
type Config struct {
	Name   string // the pipeline's: the consumer group is <Name>-apply
	Prefix string // of the topics
	// Partitions is the recorded number of partitions of both apply topics.
	Partitions int
	// ProjectID is the Stytch project whose budget is spent.
	ProjectID string
	// RateLimit is requests per second to Stytch, all instances together, reads
	// included. Required. Keep it below Stytch's own limit (hazard A16).
	RateLimit float64
	// BackfillFloor is the share of RateLimit that backfill keeps while live requests
	// wait, 0 to 1. Default 0.1.
	BackfillFloor float64
	// Workers is how many entities of each lane have their turn at once. Default 48.
	Workers int
	// CallTimeout is how long after its mark a call may still be written, and its
	// answer awaited. Default 10 s.
	CallTimeout time.Duration
	// Settle is how long after CallTimeout a call of unknown outcome may still have
	// its effect. Default 30 s.
	Settle time.Duration
	// DuePoll is how often the ledger is asked for what is due. Default 250 ms.
	DuePoll time.Duration
	// ParkedPoll is how often to look whether the cause has gone of what is parked for
	// something outside of the ledger, such as a missing role. Default 1 min.
	ParkedPoll time.Duration
	// Deletes is the policy of invariant 7. MaxPerHour 0 means 500; negative: every
	// delete waits for consent.
	Deletes consumers.Deletes
	// OrganizationPrefix and MemberPrefix stand before the keys in external ids.
	OrganizationPrefix, MemberPrefix string
	// TemporaryEmailDomain is the domain of addresses through which members pass that
	// exchange theirs (hazard A4). "": such members are parked.
	TemporaryEmailDomain string
	// DigestKey keys the digests of hashes and of unique values. It never rotates
	// (hazard A20). Required.
	DigestKey []byte
	// AssumeEmailsVerified: every address counts as verified (mapping's
	// assume_emails_verified). A transform that says so in email_verified needs it not.
	AssumeEmailsVerified bool
	// Ordered (hazard A37): organizations have their turns one after another, and so have the members
	// of one, in the order of their wake-ups. So it is always the same entity that gets a
	// value which several want. For rehearsals, which are compared.
	Ordered bool
	// NothingSaved: Stytch ids in rows are passed over, and everything is created. For
	// rehearsals, in whose project nothing stands that could be adopted.
	NothingSaved bool
	// NoIncidents: one error that has become the rule stops nothing (hazard A13). For
	// rehearsals, which have to see the rest, too.
	NoIncidents bool
	// Owner names this instance in the leases. Default: host and process id.
	Owner string
	// Digest is that of this instance's mapping and policies: with another than the
	// accepted one it stands by, outside of the group (hazard C23). "": not compared.
	Digest string
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.CallTimeout, 10*time.Second)
	def(&c.Settle, 30*time.Second)
	def(&c.DuePoll, 250*time.Millisecond)
	def(&c.ParkedPoll, time.Minute)
	if c.BackfillFloor == 0 {
		c.BackfillFloor = 0.1
	}
	if c.Workers == 0 {
		c.Workers = 48
	}
	if c.Deletes.MaxPerHour == 0 {
		c.Deletes.MaxPerHour = 500
	}
	if c.Owner == "" {
		c.Owner = owner()
	}
	return c
}

// Validate says what is missing or out of range.
func (c Config) Validate() error {
	switch {
	case c.Name == "" || c.Prefix == "" || c.ProjectID == "":
		return errors.New("apply: name, prefix and project id are required")
	case c.Partitions <= 0:
		return fmt.Errorf("apply: %d partitions; want the recorded number, at least 1", c.Partitions)
	case c.RateLimit <= 0:
		return fmt.Errorf("apply: a rate limit of %g requests per second sends nothing; want more than 0", c.RateLimit)
	case c.BackfillFloor < 0 || c.BackfillFloor > 1:
		return fmt.Errorf("apply: the backfill floor %g is not a share between 0 and 1", c.BackfillFloor)
	case len(c.DigestKey) == 0:
		return errors.New("apply: a digest key is required: without one, digests of addresses could be guessed")
	}
	return nil
}

// API is what apply needs of Stytch; *stytch.Client has it.
type API interface {
	CreateOrganization(ctx context.Context, f stytch.Fields) (*stytch.Organization, error)
	GetOrganization(ctx context.Context, id string) (*stytch.Organization, error)
	UpdateOrganization(ctx context.Context, id string, f stytch.Fields) (*stytch.Organization, error)
	DeleteOrganization(ctx context.Context, id string) error
	CreateMember(ctx context.Context, org string, f stytch.Fields) (*stytch.Member, error)
	GetMember(ctx context.Context, org, idOrExternal string) (*stytch.Member, error)
	GetMemberByEmail(ctx context.Context, org, email string) (*stytch.Member, error)
	UpdateMember(ctx context.Context, org, id string, f stytch.Fields) (*stytch.Member, error)
	DeleteMember(ctx context.Context, org, id string) error
	SearchMembers(ctx context.Context, s stytch.MemberSearch) (*stytch.MemberPage, error)
	DeleteMFAPhone(ctx context.Context, org, id string) (*stytch.Member, error)
	MigratePassword(ctx context.Context, f stytch.Fields) (*stytch.Migrated, error)
	DeletePassword(ctx context.Context, org, passwordID string) error
	DangerouslyGetMember(ctx context.Context, memberID string, includeDeleted bool) (*stytch.Member, error)
	ReactivateMember(ctx context.Context, org, memberID string) (*stytch.Member, error)
	DeleteMemberExternalID(ctx context.Context, org, id string) (*stytch.Member, error)
	RBACPolicy(ctx context.Context) (*stytch.Policy, error)
	DeleteOrganizationExternalID(ctx context.Context, id string) (*stytch.Organization, error)
}

var _ API = (*stytch.Client)(nil)

// Deps are the ready clients that apply works with.
type Deps struct {
	Ledger *pgxpool.Pool
	// Client calls Stytch. It needs at least 2*Workers connections.
	Client API
	// Kafka are seed brokers and security; apply adds group and topics.
	Kafka   []kgo.Opt
	Logger  *slog.Logger          // nil: none
	Metrics prometheus.Registerer // nil: none
	Clock   func() time.Time      // nil: time.Now
	// Budget is what paces the requests; nil: the ledger's, which all instances share.
	Budget Budget
}

func (d Deps) withDefaults() Deps {
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Metrics == nil {
		d.Metrics = prometheus.NewRegistry()
	}
	if d.Clock == nil {
		d.Clock = time.Now
	}
	return d
}
