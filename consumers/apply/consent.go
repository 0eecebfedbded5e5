package apply

import (
	"context"
	"fmt"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
)

// consent says whether a delete may be sent; else it waits for a person
// (invariant 7, hazard A12).
func (tn *turn) consent(ctx context.Context) (*verdict, error) {
	st := tn.s.state
	if st.Consented {
		return nil, nil
	}
	mode, noun := tn.cfg.Deletes.Members, "members"
	if st.Key.Kind == consumers.Organization {
		mode, noun = tn.cfg.Deletes.Organizations, "organizations"
	}
	switch {
	case !st.Earned && st.ConsentID != 0: // asked for by whoever made it unearned
		return awaiting(st.ConsentID, consumers.ReasonUnearned), nil
	case !st.Earned:
		return tn.asked(ctx, ledger.ConsentUnearned, noun, consumers.ReasonUnearned,
			"No deletion of a row was read for these "+noun+" (a TRUNCATE, a lost table, an edited mapping, a replay, or deletions while nothing read the source). May they be deleted in Stytch?")
	case mode == consumers.DeleteHold:
		return tn.asked(ctx, ledger.ConsentHold, noun, consumers.ReasonDeleteHold,
			"The policy deletes."+noun+": hold keeps these deletes back. May they be sent?")
	}
	id, err := tn.ledger.Brake(ctx, st.Key, st.Revision, max(tn.cfg.Deletes.MaxPerHour, 0))
	if err != nil || id == 0 {
		return nil, err
	}
	return awaiting(id, consumers.ReasonDeleteBrake), nil
}

// asked opens a question, or joins the one that is open. An answer covers what
// waited when it was given: later deletes ask anew.
func (tn *turn) asked(ctx context.Context, kind, subject string, reason consumers.Reason, question string) (*verdict, error) {
	for range 2 {
		c, err := ledger.Ask(ctx, tn.pool, kind, subject, question)
		if err != nil {
			return nil, err
		}
		if !c.Approved() {
			return awaiting(c.ID, reason), nil
		}
		if err := ledger.Done(ctx, tn.pool, c.ID); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("ask for consent to %s: the question is answered faster than it is asked", kind)
}

func awaiting(id int64, reason consumers.Reason) *verdict {
	return &verdict{status: consumers.AwaitingConsent, reason: reason, consent: id}
}
