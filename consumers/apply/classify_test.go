package apply

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/stytch"
)

func TestEveryStatusHasAMeaning(t *testing.T) { // hazard A16, invariant 6
	t.Parallel()
	for status := 400; status < 600; status++ {
		want := outcomeRefused
		switch {
		case status == 429:
			want = outcomeThrottled
		case status >= 500 || status == 408:
			want = outcomeUnknown
		case status == 401 || status == 403:
			want = outcomeStop
		}
		for _, errorType := range []string{"", "something_new"} {
			m := classify(fmt.Errorf("call: %w", &stytch.Error{Status: status, Type: errorType}))
			if m.outcome != want || (m.outcome == outcomeRefused) != (m.reason != "") {
				t.Errorf("%d %q: %v, want %s", status, errorType, m, want)
			}
		}
	}
	for errorType, want := range map[string]meaning{
		"organization_slug_already_used": {outcome: outcomeDuplicate},
		"invalid_email":                  {outcomeRefused, consumers.ReasonInvalidEmail},
		"member_not_found":               {outcome: outcomeMissing},
		"invalid_something_new":          {outcomeRefused, consumers.ReasonInvalidField},
	} {
		if m := classify(&stytch.Error{Status: 400, Type: errorType}); m != want {
			t.Errorf("%s: %v, want %v", errorType, m, want)
		}
	}
	for _, err := range []error{errors.New("connection reset"), context.DeadlineExceeded, &stytch.ResponseError{Status: 200}} {
		if m := classify(err); m.outcome != outcomeUnknown {
			t.Errorf("%v: %s, want unknown", err, m.outcome)
		}
	}
	for errorType, m := range byType {
		if (m.outcome == outcomeRefused) != (m.reason != "") {
			t.Errorf("%s: refused and its reason go together", errorType)
		}
	}
}
