package lag

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/schemas"
)

// partTimeout bounds each part of a look: what does not answer is named in it.
const partTimeout = 5 * time.Second

// Config is what the pipeline's file says.
type Config struct {
	Name, Prefix string
	Tables       []schemas.Table
	Slot         string
	// Heartbeat is the longest time between two commits of a source that works.
	Heartbeat time.Duration
}

// Deps are the clients that the pipeline builds and passes in.
type Deps struct {
	Kafka []kgo.Opt
	// NoTopics says why the topics cannot be looked at from here; nil: they can.
	NoTopics error
	Ledger   ledger.Querier
	// Source connects to the source.
	Source func(context.Context) (*pgx.Conn, error)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Report is one look. Its fields are those of `backstitch status --output json`.
type Report struct {
	Name string    `json:"name"`
	Time time.Time `json:"time"`
	// Lag by group and topic, in the order of the data's way.
	Lag []admin.Lag `json:"lag"`
	// Source is nil before the first checkpoint and without a slot.
	Source   *admin.Source `json:"source,omitempty"`
	Backfill []admin.Table `json:"backfill"`
	// Entities are without counts when the ledger was not read.
	Entities ledger.Summary `json:"entities"`
	// Problems are parts that could not be read, and why.
	Problems []string `json:"problems,omitempty"`
}

// Reader looks at the lag. It keeps a client, a session on the source and what it
// knew at the look before, so that looking again costs little. It is not for
// concurrent use.
type Reader struct {
	cfg    Config
	deps   Deps
	client *kgo.Client
	admin  *kadm.Client
	source *pgx.Conn
	tail   *tail
	ages   map[place]age

	entities counting
}

// NewReader dials nothing yet.
func NewReader(cfg Config, deps Deps) (*Reader, error) {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	client, err := kgo.NewClient(append(slices.Clone(deps.Kafka), kgo.MetadataMinAge(100*time.Millisecond))...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return &Reader{
		cfg: cfg, deps: deps, client: client, admin: kadm.NewClient(client), ages: map[place]age{},
		tail: &tail{kafka: deps.Kafka, topic: schemas.CheckpointsTopic(cfg.Prefix)}, entities: counting{patience: countTimeout},
	}, nil
}

// Close ends the sessions.
func (r *Reader) Close() {
	r.entities.close()
	r.tail.close()
	r.client.Close()
	r.disconnect()
}

// Read looks once. What cannot be read is absent and stands in Problems.
func (r *Reader) Read(ctx context.Context) Report {
	rep := Report{Name: r.cfg.Name, Time: r.deps.Now().UTC(), Lag: []admin.Lag{}, Backfill: []admin.Table{}}
	part := func(name string, read func(context.Context) error) bool {
		ctx, cancel := context.WithTimeout(ctx, partTimeout)
		defer cancel()
		err := read(ctx)
		if err != nil {
			rep.Problems = append(rep.Problems, fmt.Sprintf("%s: %v", name, err))
		}
		return err == nil
	}
	var slot slotLook
	slotKnown := part("slot", func(ctx context.Context) (err error) { slot.before, err = r.lookAtSlot(ctx); return err })
	var groups []group
	var topics *topics
	known := part("topics", func(ctx context.Context) (err error) {
		if err = r.deps.NoTopics; err == nil {
			topics, err = r.topics(ctx)
		}
		return err
	})
	if known {
		part("checkpoint", func(ctx context.Context) error { return r.tail.catchUp(ctx, topics.ends) })
		part("ledger's offsets", func(ctx context.Context) error { return r.stored(ctx, topics, &groups) })
		part("apply's offsets", func(ctx context.Context) error { return r.committed(ctx, topics, &groups) })
		part("ages", func(ctx context.Context) error { return r.readAges(ctx, groups, rep.Time) })
		r.sizes(ctx, groups) // absent where the brokers refuse
	}
	if slotKnown {
		slotKnown = part("slot", func(ctx context.Context) (err error) { slot.now, err = r.lookAtSlot(ctx); return err })
	}
	if err := r.entities.look(ctx, r.deps); err != nil {
		rep.Problems = append(rep.Problems, fmt.Sprintf("ledger: %v", err))
	}
	rep.Entities = r.entities.last
	for _, g := range groups {
		rep.Lag = append(rep.Lag, g.lag())
	}
	r.place(&rep, slot, slotKnown)
	return rep
}

// place fills what the last checkpoint and the slot say.
func (r *Reader) place(rep *Report, slot slotLook, slotKnown bool) {
	var s admin.Status
	if r.tail.last != nil {
		s.FromCheckpoint(r.tail.last)
		rep.Source, rep.Backfill = s.Source, s.Backfill
		r.tail.rates(rep.Backfill, rep.Time)
	}
	if !slotKnown || !slot.now.Exists {
		return
	}
	if rep.Source == nil {
		rep.Source = &admin.Source{}
	}
	slot.show(rep.Source, r.cfg.Heartbeat)
}

// disconnect closes the session on the source.
func (r *Reader) disconnect() {
	if r.source == nil {
		return
	}
	pgsession.Close(r.source)
	r.source = nil
}
