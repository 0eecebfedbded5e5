package apply

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/stytch"
)

// came begins the history of a turn: why it came, and which fields differ. Names
// only (invariant 8).
func (tn *turn) came() {
	st := tn.s.state
	e := ledger.HistoryEvent{
		At: tn.clock(), Event: ledger.EventCame, Lane: tn.task.lane, Cause: st.Cause, Table: st.Table,
		CommitLSN: st.CommitLSN.String(), Gone: tn.s.want == nil,
	}
	for name, v := range tn.s.want {
		if have := st.Applied[name]; have.Maybe != nil || !same(have.V, v) {
			e.Fields = append(e.Fields, name)
		}
	}
	if tn.s.pass.hash != "" && string(tn.s.pass.digest) != string(st.HashDigest) {
		e.Fields = append(e.Fields, fieldHash)
	}
	slices.Sort(e.Fields)
	tn.events = append(tn.events, e)
}

// tellPlan notes the steps of a plan, unless they are what is left of the last one.
func (tn *turn) tellPlan(p plan) {
	var steps []string
	for _, c := range p.calls {
		steps = append(steps, c.step)
	}
	all := strings.Join(steps, " ")
	if !strings.HasSuffix(tn.planned, all) {
		tn.events = append(tn.events, ledger.HistoryEvent{At: tn.clock(), Event: ledger.EventPlanned, Steps: steps})
	}
	tn.planned = all
}

// called notes a call and what Stytch said.
func (tn *turn) called(step string, m meaning, err error, start time.Time) {
	e := ledger.HistoryEvent{At: start, Event: ledger.EventCall, Step: step, Outcome: string(m.outcome), DurationMS: tn.clock().Sub(start).Milliseconds()}
	var answer *stytch.Error
	if errors.As(err, &answer) {
		e.HTTPStatus, e.ErrorType, e.RequestID = answer.Status, answer.Type, answer.RequestID
	}
	tn.events = append(tn.events, e)
}

// ended notes how the turn ends. A turn that only found what was known before
// leaves no trace: waiting does not push what happened out of the ring.
func (tn *turn) ended(v *verdict) {
	st := tn.s.state
	if len(tn.events) == 1 && tn.events[0].Event == ledger.EventCame && st.Tried >= st.Revision && st.Status == v.status && st.Reason == v.reason {
		tn.events = nil
		return
	}
	tn.events = append(tn.events, ledger.HistoryEvent{
		At: tn.clock(), Event: ledger.EventOutcome, Status: v.status, Reason: v.reason, Losses: st.Losses,
	})
}
