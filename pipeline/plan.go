package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/consumers/apply"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/pipeline/config"
)

// planSamples is how many keys a plan lists of each kind of change.
const planSamples = 5

// MappingPlan is what a configuration's mapping, policies and prefixes would change,
// against the ledger as it is. Its JSON form is a contract: fields are added to, never
// renamed or removed (docs/plan.md).
type MappingPlan struct {
	// ID is what `run --accept-mapping ID` consents to; "" where there is nothing to
	// consent to: the ledger follows this mapping already, or it could not be evaluated.
	ID string `json:"plan_id,omitempty"`
	// Digest is of this file, Accepted of what the ledger follows.
	Digest   string    `json:"digest"`
	Accepted string    `json:"accepted_digest"`
	Same     bool      `json:"same"`
	MadeAt   time.Time `json:"made_at"`
	// Evaluated: the mirror holds all that the SELECTs read, so that the rest is known.
	Evaluated bool `json:"evaluated"`
	// Epoch and CommitLSN are the position of the source that the mirror stood at.
	Epoch     uint32 `json:"epoch,omitempty"`
	CommitLSN string `json:"commit_lsn,omitempty"`
	// Needs are what the mirror lacks.
	Needs []PlanNeed `json:"needs"`
	// Kinds are what would change, organizations first.
	Kinds []transform.ForeseenKind `json:"kinds"`
	// KeptIDs count objects in Stytch whose external id is not the one that the file's
	// external_id_prefix makes; they keep it.
	KeptIDs []KeptIDs `json:"kept_external_ids"`
	// Calls are the API calls of creations and updates, Hours those at the rate limit.
	// Deletes come on top, when a person has consented to them.
	Calls   int64    `json:"api_calls"`
	Rate    float64  `json:"rate_limit"`
	Hours   float64  `json:"hours"`
	Notices []string `json:"notices"`
}

// PlanNeed is a table that must be read again before the mapping can be followed.
type PlanNeed struct {
	transform.Lack
	// Blocks: a SELECT reads it, so that nothing can be foreseen; else only a route does.
	Blocks bool   `json:"blocks"`
	Fix    string `json:"fix"`
}

// Deletes are the entities that would be deleted, those of renames among them.
func (p *MappingPlan) Deletes() (n int64) {
	for _, k := range p.Kinds {
		n += k.Delete.Count + k.Rename.Count
	}
	return n
}

// planner is one plan in the making.
type planner struct {
	cfg     *config.Config
	clients *Clients
	pool    *pgxpool.Pool
	plan    *MappingPlan
}

// PlanMapping finds out what accepting the configuration would do. It evaluates the
// mapping over the mirror in the ledger beside whatever runs, and stores nothing but the
// plan itself. What is wrong with the mapping is returned as transform.Findings.
func PlanMapping(ctx context.Context, cfg *config.Config, c *Clients, pool *pgxpool.Pool, by string) (*MappingPlan, error) {
	id, found, err := ledger.Recorded(ctx, pool)
	switch {
	case err != nil:
		return nil, err
	case !found || id.Digest == "":
		return nil, transform.ErrNotFollowing
	case id.Name != cfg.Name || id.Prefix != cfg.Kafka.Topics.Prefix:
		return nil, stage.Hold("Name the ledger of this pipeline", "the ledger belongs to pipeline %s with topics %s, and the file is of %s with %s", id.Name, id.Prefix, cfg.Name, cfg.Kafka.Topics.Prefix)
	}
	p := &planner{cfg: cfg, clients: c, pool: pool, plan: &MappingPlan{
		Digest: cfg.Digest(), Accepted: id.Digest, Same: id.Digest == cfg.Digest(), MadeAt: time.Now().UTC(),
		Needs: []PlanNeed{}, Kinds: []transform.ForeseenKind{}, KeptIDs: []KeptIDs{}, Rate: float64(cfg.Stytch.RateLimit), Notices: []string{},
	}}
	if p.plan.Same {
		return p.plan, nil
	}
	compiled, err := p.compile(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.needs(ctx, compiled); err != nil {
		return nil, err
	}
	if err := p.keptIDs(ctx); err != nil {
		return nil, err
	}
	for _, n := range p.plan.Needs {
		if n.Blocks {
			return p.plan, nil
		}
	}
	if err := p.foresee(ctx, compiled, by); err != nil {
		return nil, err
	}
	return p.plan, nil
}

func (p *planner) notice(what string, args ...any) {
	p.plan.Notices = append(p.plan.Notices, fmt.Sprintf(what, args...))
}

// compile learns what the mapping reads: from the catalogue that the ledger keeps, from
// the source's, or while that cannot be reached from the mirror.
func (p *planner) compile(ctx context.Context) (*transform.Plan, error) {
	kept, err := transform.Recall(ctx, p.pool, p.cfg.Kafka.Topics.Prefix, p.cfg.Source.Tables, p.cfg.Mappings())
	var none *transform.NoCatalogueError
	if err == nil {
		return kept.Plan, nil
	} else if !errors.As(err, &none) {
		return nil, err
	}
	plan, err := compile(ctx, p.cfg, p.clients)
	if err == nil || !transform.Unreachable(err) || ctx.Err() != nil {
		return plan, err
	}
	conn, failed := p.pool.Acquire(ctx)
	if failed != nil {
		return nil, redact.SQLError(failed)
	}
	defer conn.Release()
	plan, failed = transform.Compile(ctx, conn.Conn(), p.cfg.Source.Tables, p.cfg.Mappings())
	if failed != nil {
		return nil, fmt.Errorf("the mirror does not hold all that the mapping reads, and to say what it lacks the source must be asked: %w\n%w", err, failed)
	}
	p.notice("the source cannot be reached: the mapping was compiled over the mirror, where a whole row has the mirrored columns only")
	return plan, nil
}

// needs compares what the mapping reads with what the mirror holds.
func (p *planner) needs(ctx context.Context, compiled *transform.Plan) error {
	lacks, err := transform.Lacking(ctx, p.pool, compiled)
	if err != nil {
		return err
	}
	blocking := map[string]bool{}
	if len(lacks) > 0 {
		if blocking, err = p.readBySelects(ctx, lacks); err != nil {
			return err
		}
	}
	for _, l := range lacks {
		fix := "Accept the mapping, then run `backstitch backfill --table " + l.Table + "`: the mapping waits until that is done"
		if l.Whole {
			fix = "Accept the mapping: the source then reads the table by itself, and the mapping waits until that is done"
		}
		p.plan.Needs = append(p.plan.Needs, PlanNeed{Lack: l, Blocks: blocking[l.Table], Fix: fix})
	}
	unread, err := transform.Unread(ctx, p.pool, compiled)
	for _, table := range unread {
		p.notice("%s is in no mapping any more: its mirror is dropped when this is accepted", table)
	}
	return err
}

// readBySelects are the tables among lacks of which a SELECT, and not only a route,
// reads something that the mirror lacks.
func (p *planner) readBySelects(ctx context.Context, lacks []transform.Lack) (map[string]bool, error) {
	mappings := p.cfg.Mappings()
	for i := range mappings {
		mappings[i].Routes = nil
	}
	blocking := map[string]bool{}
	conn, err := p.clients.ConnectSource(ctx, p.cfg.Name+"-plan")
	if err != nil { // which of the two is not known
		for _, l := range lacks {
			blocking[l.Table] = true
		}
		return blocking, nil
	}
	defer conn.Close(context.WithoutCancel(ctx))
	selects, err := transform.Compile(ctx, conn, p.cfg.Source.Tables, mappings)
	if err != nil {
		return nil, err
	}
	read := map[string]bool{}
	for _, m := range selects.Mappings {
		for _, t := range m.Reads {
			read[t.String()] = true
		}
	}
	missed, err := transform.Lacking(ctx, p.pool, selects)
	for _, l := range missed {
		blocking[l.Table] = read[l.Table]
	}
	return blocking, err
}

// foresee evaluates, forecasts the calls, and keeps the plan under its id.
func (p *planner) foresee(ctx context.Context, compiled *transform.Plan, by string) error {
	f, err := transform.Foresee(ctx, transform.ForeseeDeps{
		Ledger: p.pool, Plan: compiled, Prefix: p.cfg.Kafka.Topics.Prefix, Partitions: p.cfg.Kafka.Topics.Partitions,
		Logger: slog.New(slog.DiscardHandler), Samples: planSamples, Changes: apply.ForecastAtMost,
	})
	if err != nil {
		return err
	}
	if !f.Quiet {
		p.notice("keys wait for the transform to evaluate them; what differs for them is counted too")
	}
	m := p.plan
	m.Evaluated, m.Epoch, m.CommitLSN, m.Kinds = true, f.Epoch, f.CommitLSN.String(), f.Kinds
	hideKeys(m.Kinds)
	if err := p.forecast(ctx, f); err != nil {
		return err
	}
	m.ID = planID(m, f.Sum)
	summary, err := json.Marshal(counted(m.Kinds))
	if err != nil {
		return fmt.Errorf("keep the plan: %w", err)
	}
	return ledger.KeepPlan(ctx, p.pool, ledger.MappingPlan{
		ID: m.ID, Digest: m.Digest, Accepted: m.Accepted, Epoch: f.Epoch, CommitLSN: f.CommitLSN, Summary: summary, PlannedBy: by,
	})
}

// forecast counts the calls of what would be written at once.
func (p *planner) forecast(ctx context.Context, f *transform.Foreseen) (err error) {
	m := p.plan
	var all int64
	for _, k := range f.Kinds {
		all += k.Create.Count + k.Update.Count + k.Rename.Count
	}
	if m.Calls, err = forecastCalls(ctx, p.cfg, p.pool, f.Changes, all); err != nil {
		return err
	}
	m.Hours = float64(m.Calls) / m.Rate / 3600
	return nil
}

// planID is a digest over the mapping, what the ledger follows, the position, and
// everything that was foreseen: the consent is to exactly that.
func planID(m *MappingPlan, sum string) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s %s %d %s %s", m.Digest, m.Accepted, m.Epoch, m.CommitLSN, sum))
	return hex.EncodeToString(h[:])[:12]
}
