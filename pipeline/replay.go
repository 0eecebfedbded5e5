package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/consumers/apply"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/internal/spans"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/schemas"
)

// ReplaySpec is a replay that a person asks for.
type ReplaySpec struct {
	ReplayFrom
	// Organization restricts it to the entities of one organization.
	Organization string
	// Force plans against a fresh read of Stytch, and repairs (apply only).
	Force bool
	// Command and By are recorded: what was asked, and who did.
	Command, By string
	// Patience is how long it waits for the connector to be stopped; 0: 60 s.
	Patience time.Duration
}

// replayWork is the part of a plan that knows its connector.
type replayWork interface {
	// Begin carries the replay out.
	Begin(ctx context.Context) error
	Close()
}

// ReplayPlan is what a replay would do. It changes nothing until Run.
type ReplayPlan struct {
	Connector    string            `json:"connector"`
	Organization string            `json:"organization,omitempty"`
	Force        bool              `json:"force,omitempty"`
	Partitions   []ReplayPartition `json:"partitions"`
	Notices      []string          `json:"notices,omitempty"`
	// Records that are gone through again, and the entities that they are about.
	Records int64 `json:"records"`
	ledger.Selected
	// Changes is, of the transform, what evaluating the entities again would change.
	Changes *transform.Difference `json:"changes,omitempty"`
	// Reads are fresh reads of Stytch, Calls what is to be written as far as the ledger
	// knows, Hours both at the rate limit.
	Reads int64   `json:"reads"`
	Calls int64   `json:"api_calls"`
	Rate  float64 `json:"rate_limit"`
	Hours float64 `json:"hours"`
	// Stops: the connector is stopped for it, and has Target again after.
	Stops  bool          `json:"stops"`
	Target ledger.Target `json:"target"`

	spec    ReplaySpec
	resumes bool // what a replay that died left stopped
	stopped stopped
	work    replayWork
}

// newPlan begins the plan of a connector's replay.
func newPlan(ctx context.Context, cfg *config.Config, c *Clients, pool *pgxpool.Pool, connector string, spec ReplaySpec) (*ReplayPlan, error) {
	p := &ReplayPlan{
		Connector: connector, Organization: spec.Organization, Force: spec.Force, Rate: float64(cfg.Stytch.RateLimit),
		Stops: spec.Organization == "" || spec.Force, spec: spec,
	}
	p.stopped = stopped{cfg: cfg, clients: c, pool: pool, connector: connector, patience: spec.Patience}
	former, died, err := ledger.Former(ctx, pool, connector)
	if err != nil {
		return nil, err
	}
	p.Target, p.resumes = former, died
	if died {
		p.Notices = append(p.Notices, "a former replay died and left the connector stopped; this one goes on from there")
	}
	return p, nil
}

// PlanReplay looks at what replaying the apply connector would do.
func PlanReplay(ctx context.Context, cfg *config.Config, c *Clients, pool *pgxpool.Pool, spec ReplaySpec) (*ReplayPlan, error) {
	p, err := newPlan(ctx, cfg, c, pool, apply.Group(cfg.Name), spec)
	if err != nil {
		return nil, err
	}
	current, err := groupOffsets(ctx, c.Kafka, p.Connector)
	if err != nil {
		return nil, err
	}
	topics := apply.Topics(cfg.Kafka.Topics.Prefix)
	var moved []string
	if p.Partitions, moved, err = spec.resolve(ctx, c.Kafka, topics, current); err != nil {
		return nil, err
	}
	p.Notices = append(p.Notices, moved...)
	if spec.Organization != "" {
		p.Partitions = only(p.Partitions, schemas.Partition([]byte(spec.Organization), cfg.Kafka.Topics.Partitions))
	}
	r, err := apply.PlanReplay(ctx, applyConfig(cfg), apply.Deps{Ledger: pool, Kafka: c.Kafka}, p.spans(), spec.Organization, spec.Force)
	if err != nil {
		return nil, err
	}
	p.work = applyWork{r, p}
	p.Records, p.Selected, p.Reads, p.Calls = r.Records, r.Selected, r.Reads, r.Calls
	p.Hours = float64(p.Reads+p.Calls) / p.Rate / 3600
	return p, nil
}

// applyWork sets the apply connector back.
type applyWork struct {
	*apply.Replay
	plan *ReplayPlan
}

func (w applyWork) Begin(ctx context.Context) error {
	return w.Replay.Begin(ctx, w.plan.spans(), w.plan.Organization)
}

// only keeps one partition number, in which an organization's records are.
func only(list []ReplayPartition, number int32) (kept []ReplayPartition) {
	for _, r := range list {
		if r.Partition == number {
			kept = append(kept, r)
		}
	}
	return kept
}

func (p *ReplayPlan) spans() []spans.Span {
	list := make([]spans.Span, len(p.Partitions))
	for i, r := range p.Partitions {
		list[i] = spans.Span{Topic: r.Topic, Partition: r.Partition, From: r.New, Until: r.Current}
	}
	return list
}

// Run carries the plan out: it stops the connector, waits until nobody runs it, sets
// it back, and gives it its former target again, also after an error and when ctx
// ends. It returns the target that stands then. Of one organization, without force,
// nothing is stopped: its entities are made due, or evaluated again.
func (p *ReplayPlan) Run(ctx context.Context) (ledger.Target, error) {
	if !p.Stops {
		return p.Target, p.work.Begin(ctx)
	}
	return p.stopped.while(ctx, p.spec.Command, p.spec.By, p.work.Begin)
}

// Empty says that there is nothing to do.
func (p *ReplayPlan) Empty() bool { return p.Records == 0 && !p.resumes }

// Close frees what the plan holds.
func (p *ReplayPlan) Close() { p.work.Close() }

func groupOffsets(ctx context.Context, kafka []kgo.Opt, group string) (map[string]map[int32]int64, error) {
	client, err := kgo.NewClient(kafka...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	defer client.Close()
	committed, err := kadm.NewClient(client).FetchOffsets(ctx, group)
	if err != nil {
		return nil, fmt.Errorf("kafka: read the offsets of group %s: %w", group, err)
	}
	at := map[string]map[int32]int64{}
	for _, o := range committed.Sorted() {
		if o.Err != nil {
			return nil, fmt.Errorf("kafka: read the offsets of group %s: %w", group, o.Err)
		}
		if at[o.Topic] == nil {
			at[o.Topic] = map[int32]int64{}
		}
		at[o.Topic][o.Partition] = o.At
	}
	return at, nil
}
