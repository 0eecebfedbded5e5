package apply

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/stytch"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
)

// errLost ends a turn whose partition has another owner: it writes nothing more,
// and what it had in flight stays marked (hazard A1).
var errLost = errors.New("the partition's lease is lost")

// maxRounds bounds a turn: a plan has at most four calls, reads and adoption
// between them.
const maxRounds = 16

// turn is one entity's way from load to a durable outcome.
type turn struct {
	*Apply
	task *task
	s    *subject

	held    []ledger.Claim // in the ledger, by us
	unmark  bool           // the ledger has a mark of ours whose outcome is known by now
	prepaid int            // requests of the budget that are taken and not used
	temp    map[string]any // temporary values, to break a cycle (hazard A4)
	error   string         // Stytch's error type of the last refusal

	wakeMembers, endMembers bool
	second                  bool // read once more after a settle time (hazard A3)
	retryMembers            bool // the organization's settings have changed
	events                  []ledger.HistoryEvent
	planned                 string // the steps that were told last
}

// verdict is how a turn ends.
type verdict struct {
	status  consumers.Status
	reason  consumers.Reason
	detail  string
	due     time.Duration // when due is set
	hasDue  bool
	waits   []ledger.Claim
	consent int64
	retry   bool // counts as an attempt
	unknown bool // the mark stands: nobody knows what the call did
}

func deferred(reason consumers.Reason, due time.Duration) *verdict {
	return &verdict{status: consumers.Deferred, reason: reason, due: due, hasDue: true}
}

func parked(reason consumers.Reason, detail string) *verdict {
	return &verdict{status: consumers.Parked, reason: reason, detail: detail}
}

// turn takes an entity's turn. Without error it ended in a durable outcome, or
// there was nothing to do.
func (a *Apply) turn(ctx context.Context, t *task) error {
	st, err := a.loads.do(ctx, t.key)
	if err != nil {
		return err
	}
	if st == nil || !wanted(st) {
		return nil // invariant 5: an unchanged desired state makes no call
	}
	tn := &turn{Apply: a, task: t}
	tn.begin(st)
	tn.came()
	for range maxRounds {
		v, err := tn.round(ctx)
		if errors.Is(err, errStopped) && tn.unmark { // what the last call did is known: keep it
			return errors.Join(err, tn.record(ctx, &verdict{status: consumers.Pending, hasDue: true}))
		}
		if errors.Is(err, errIncident) {
			return tn.finish(ctx, deferred(consumers.ReasonHeld, 0))
		}
		if err != nil {
			return err
		}
		if v != nil {
			return tn.finish(ctx, v)
		}
	}
	a.log.Warn("a turn does not end; it is tried again later", "key", redact.Key(t.key.Organization, t.key.Entity))
	v := deferred(consumers.ReasonBackoff, a.backoff(st.Attempts))
	v.retry = true
	return tn.finish(ctx, v)
}

// evaluation are the reasons for which transform parks.
var evaluation = []consumers.Reason{consumers.ReasonEvaluation, consumers.ReasonDuplicateKey, consumers.ReasonIncomplete}

// wanted says whether an entity's turn has come: a revision that had none, or a
// due time. What evaluation parked waits for another revision.
func wanted(s *ledger.State) bool {
	if s.Status == consumers.Dropped {
		return s.Revision > s.Tried // a person gave the last one up
	}
	if s.Status == consumers.Parked && slices.Contains(evaluation, s.Reason) {
		return false
	}
	return s.Revision > s.Tried || s.Due || s.ReadWanted && !s.Later
}

func (tn *turn) begin(st *ledger.State) {
	if st.Applied == nil {
		st.Applied = ledger.Applied{}
	}
	tn.s = &subject{state: st, digest: tn.digest}
	s := tn.s
	s.external = stytch.Generation(tn.firstExternal(), generation(st.Applied))
	s.shared = tn.shared.Load()
	if st.Key.Kind == consumers.Member {
		s.pass = passwordOf(st.Desired, tn.cfg.AssumeEmailsVerified, tn.digest)
		s.kept = passwordOf(map[string]any{fieldHash: text(st.Applied[fieldKeptHash].V)}, true, tn.digest)
	}
	if st.Desired != nil {
		s.want = canonical(st.Key.Kind, st.Desired)
	}
	tn.held = tn.digest.applied(st)
	if st.Mark != nil {
		tn.held = append(tn.held, tn.digest.claims(st.Key, func(f string) any { return st.Mark.Maybe[f] })...)
	}
	tn.second = st.ReadWanted && st.Later
	if st.Status == consumers.Parked && st.Reason == consumers.ReasonMissing && st.Due {
		st.ReadWanted = true // a person wants it again (invariant 12)
	}
	if p := st.Parent; p != nil {
		s.organizationID, s.parentAdopted = p.StytchID, p.Adopted
		if st.StytchID != "" && st.OrganizationID != p.StytchID {
			s.forget() // it went with its organization (hazard A10)
		}
		if p.Gone {
			s.want = nil // hazard A25
		}
	}
}

// firstExternal is the external id of the first generation.
func (tn *turn) firstExternal() string {
	k := tn.s.state.Key
	if k.Kind == consumers.Organization {
		return stytch.ExternalID(tn.cfg.OrganizationPrefix, k.Entity)
	}
	return stytch.ExternalID(tn.cfg.MemberPrefix, k.Entity)
}

// round does one thing: wait, read, or make the first call of the plan.
func (tn *turn) round(ctx context.Context) (*verdict, error) {
	if v := tn.order(); v != nil {
		return v, nil
	}
	st := tn.s.state
	if st.Mark != nil || st.ReadWanted && !tn.second {
		return tn.observe(ctx)
	}
	if id := tn.saved(); id != "" && st.StytchID == "" && tn.s.want != nil {
		return tn.adoptSaved(ctx, id)
	}
	p := tn.plan()
	switch {
	case p.park != "":
		return parked(p.park, tn.error), nil
	case p.read:
		return tn.read(ctx)
	case p.forget:
		tn.gone()
		return nil, nil
	case len(p.calls) > 0:
		return tn.perform(ctx, p)
	}
	st.Losses = p.losses
	if st.StytchID != "" {
		st.HashDigest = p.digest
	}
	return &verdict{status: consumers.Current}, nil
}

// plan asks the planner; a temporary value comes alone, before anything else.
func (tn *turn) plan() plan {
	if tn.temp == nil {
		return makePlan(tn.s)
	}
	s := *tn.s
	s.want, s.pass = values{}, password{digest: s.state.HashDigest}
	for f, v := range tn.temp {
		s.want[f] = v
	}
	if s.state.Key.Kind == consumers.Organization {
		return planOrganization(&s)
	}
	return planChangedMember(&s)
}

// observe reads an entity back whose last call is in doubt, or of which a fresh
// read was asked (hazards A2, A3).
func (tn *turn) observe(ctx context.Context) (*verdict, error) {
	st := tn.s.state
	wanted, mark := st.ReadWanted, st.Mark
	if v, err := tn.read(ctx); v != nil || err != nil {
		return v, err
	}
	s := tn.s
	deleting := mark != nil && (mark.Step == stepDeleteMember || mark.Step == stepDeleteOrganization)
	switch {
	case s.read.missing && st.StytchID == "":
		s.read = nil // nothing was made
	case s.read.missing && (s.want == nil || wanted || deleting):
		tn.gone() // absence is not a foreign value (invariant 12)
	case s.read.missing:
		return parked(consumers.ReasonMissing, ""), nil
	case st.StytchID == "":
		s.adopt(s.read)
		st.Adopted = mark == nil
		tn.wakeMembers = true
	default:
		s.absorb(wanted)
		tn.second = tn.second || deleting && s.want != nil // hazard A3
	}
	if wanted && (s.foreign[fieldEmail] || s.foreign[fieldPhone]) {
		tn.resolved()
		return parked(consumers.ReasonForeignChange, ""), nil
	}
	tn.resolved()
	return nil, nil
}

// resolved notes that the doubts this turn began with are settled.
func (tn *turn) resolved() {
	st := tn.s.state
	if st.Mark != nil {
		tn.unmark, st.Mark = true, nil
	}
	st.ReadWanted = false
}

// gone empties what is applied; an organization takes its members along.
func (tn *turn) gone() {
	tn.s.forget()
	if tn.s.state.Key.Kind == consumers.Organization {
		tn.endMembers = true
	}
}

// read makes a fresh read.
func (tn *turn) read(ctx context.Context) (*verdict, error) {
	r, v, err := tn.ask(ctx, func(ctx context.Context) (*observed, error) { return fetch(ctx, tn.client, tn.s) })
	if r == nil {
		return v, err
	}
	st := tn.s.state
	tn.s.read = r
	if st.Mark != nil || st.ReadWanted && !tn.second {
		return nil, nil // observe decides
	}
	if r.missing {
		if tn.s.want != nil && st.StytchID != "" {
			return parked(consumers.ReasonMissing, ""), nil
		}
		return nil, nil
	}
	tn.s.absorb(false)
	return nil, nil
}

// ask makes a reading call within the budget; a nil answer comes with the verdict.
func (tn *turn) ask(ctx context.Context, get func(context.Context) (*observed, error)) (*observed, *verdict, error) {
	if err := tn.pay(ctx, 1); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, tn.cfg.CallTimeout)
	defer cancel()
	r, err := get(ctx)
	m := classify(err)
	tn.metrics.call("read", m.outcome)
	if err == nil {
		return r, nil, nil
	}
	if m.outcome == outcomeUnknown {
		m.outcome = outcomeUnsent // a read has no effect to wait for
	}
	v, err := tn.failed(ctx, m, err)
	return nil, v, err
}

func (tn *turn) pay(ctx context.Context, n int) error {
	if tn.Apply.held.Load() != nil { // hazard A13
		return errIncident
	}
	if n > tn.prepaid {
		if err := tn.pacer.take(ctx, tn.task.lane, n-tn.prepaid); err != nil {
			return err
		}
		tn.prepaid = n
	}
	tn.prepaid--
	tn.pacer.count()
	return nil
}

func (a *Apply) backoff(attempts int) time.Duration {
	d := min(500*time.Millisecond<<min(attempts, 10), 5*time.Minute)
	return d/2 + time.Duration(a.jitter(int64(d/2)+1))
}

// failed is the verdict on a call that had no effect and was not refused.
func (tn *turn) failed(ctx context.Context, m meaning, err error) (*verdict, error) {
	v := deferred(consumers.ReasonBackoff, tn.backoff(tn.s.state.Attempts))
	v.retry, v.detail = true, stytch.ErrorType(err)
	switch m.outcome {
	case outcomeThrottled: // hazard A16
		var e *stytch.Error
		var after time.Duration
		if errors.As(err, &e) {
			after = e.RetryAfter
		}
		wait, herr := tn.pacer.throttled(ctx, after)
		if herr != nil {
			return nil, herr
		}
		v.due, v.retry = wait+time.Duration(tn.jitter(int64(300*time.Millisecond))), false
	case outcomeStop:
		tn.fail(stage.Hold("Put the right project id and secret into the configuration, check the project's settings, and start again",
			"Stytch refuses every call: %v", err))
		v.reason = consumers.ReasonHeld
	case outcomeRefused:
		return parked(m.reason, stytch.ErrorType(err)), nil
	case outcomeMissing, outcomeNoParent, outcomeDuplicate, outcomePassword:
		return parked(consumers.ReasonRefused, stytch.ErrorType(err)), nil
	default: // tried again after a backoff
	}
	return v, nil
}
