package report

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/backstitch/backstitch/internal/figures"
)

// verdicts are the verdicts in words.
var verdicts = map[Verdict]string{
	Complete:   "The run would pass",
	WithLosses: "The run would pass, with losses",
	Incomplete: "The run would not pass yet",
	Unfinished: "Nobody can tell yet",
}

// inShort are the verdicts where there is little room.
var inShort = map[Verdict]string{Complete: "passes", WithLosses: "passes, with losses", Incomplete: "would not pass", Unfinished: "nobody can tell"}

// Headline is the verdict in words.
func (r *Report) Headline() string {
	if s, ok := verdicts[r.Verdict]; ok {
		return s
	}
	return words(r.Verdict)
}

// Lead says in a sentence what the verdict rests on.
func (r *Report) Lead() string {
	all := r.In(Outcomes...)
	switch {
	case all == 0:
		return "The mapping returned no organization and no member, which proves nothing."
	case r.Verdict == Incomplete:
		return fmt.Sprintf("%s, of %s, would not be in Stytch as the mapping says until a person acts.", r.entities(Parked, Blocked, Consent), number(all))
	case r.Verdict == Unfinished && r.Run.Interrupted != "":
		return fmt.Sprintf("The rehearsal ended early, with %s, of %s, not settled: %s.", r.entities(Waiting, Pending), number(all), strings.TrimSuffix(r.Run.Interrupted, "."))
	case r.Verdict == Unfinished:
		return fmt.Sprintf("%s, of %s, were not settled when the rehearsal ended.", r.entities(Waiting, Pending), number(all))
	case r.Verdict == WithLosses:
		return fmt.Sprintf("All %s would be in Stytch, %s of them without something that Stytch cannot take.", r.entities(Outcomes...), number(r.In(WithLoss)))
	}
	return fmt.Sprintf("All %s would be in Stytch as the mapping says.", r.entities(Outcomes...))
}

// entities are organizations and members, in numbers.
func (r *Report) entities(outcomes ...Outcome) string {
	var parts []string
	for _, k := range r.Kinds {
		only := Report{Kinds: []Kind{k}}
		if n := only.In(outcomes...); n > 0 {
			parts = append(parts, count(n, string(k.Kind)))
		}
	}
	return strings.Join(parts, " and ")
}

// outcomes are the outcomes in words, and what stands for their colour.
var outcomes = map[Outcome]struct{ words, tone string }{
	Created:  {"created as desired", "good"},
	Updated:  {"adopted and updated as desired", "good"},
	WithLoss: {"in Stytch, with a named loss", "loss"},
	Parked:   {"parked: waits for a person", "out"},
	Blocked:  {"blocked: waits for one that is parked", "out"},
	Consent:  {"awaits a person's consent", "out"},
	Waiting:  {"deferred: was to be tried again", "open"},
	Pending:  {"its turn had not come", "open"},
}

// groups head the findings of a severity.
var groups = map[Severity]struct{ title, about string }{
	KeptOut:   {"Kept out until a person acts", "Not in Stytch, or not as the mapping says. A run parks them and goes on with all others."},
	Lost:      {"In Stytch, with a named loss", "The run goes on without what Stytch cannot take, and says so of every entity."},
	LeftOut:   {"Left out by the mapping", "The mapping does not ask for these, so no run creates them. Is that meant?"},
	Unsettled: {"Not settled", "The rehearsal ended before these were decided."},
}

// of is a finding's count with its noun.
func (f *Finding) of() string {
	switch f.Kind {
	case "":
		return count(f.Count, "row")
	default:
		return count(f.Count, string(f.Kind))
	}
}

// words are a name of ours for people.
func words[S ~string](name S) string { return strings.ReplaceAll(string(name), "_", " ") }

// count is a number with its noun, number one without.
var (
	count  = figures.Count
	number = figures.Number
)

// signed is a difference.
func signed(n int64) string {
	if n < 0 {
		return "−" + number(-n)
	}
	return "+" + number(n)
}

// percent never rounds to what is not: 99.9 stays below 100, one of a million above 0.
func percent(part, whole int64) string {
	if whole <= 0 {
		return "–"
	}
	p := 100 * float64(part) / float64(whole)
	switch {
	case part == 0 || part == whole:
		return fmt.Sprintf("%.0f %%", p)
	case p < 0.1:
		return "<0.1 %"
	case p > 99.9:
		return ">99.9 %"
	}
	return fmt.Sprintf("%.1f %%", p)
}

// span is a time in seconds, in at most two units, as the status page writes it.
func span(seconds float64) string {
	s := int64(math.Ceil(min(max(seconds, 0), 1<<53)))
	pair := func(big, small int64, units [2]string) string {
		if left := s % big / small; left > 0 {
			return fmt.Sprintf("%s %s %d %s", number(s/big), units[0], left, units[1])
		}
		return number(s/big) + " " + units[0]
	}
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return pair(60, 1, [2]string{"min", "s"})
	case s < 86400:
		return pair(3600, 60, [2]string{"h", "min"})
	}
	return pair(86400, 3600, [2]string{"d", "h"})
}

// pace is a rate for people: 60, 0.5.
func pace(rate float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", rate), ".0") }

func (s Standing) String() string {
	if s.Class == "" {
		return words(s.Outcome)
	}
	e, _ := describe(s.Class)
	return words(s.Outcome) + " (" + lowerFirst(e.title) + ")"
}

// shortDigest is as much of a digest as plan prints.
func shortDigest(d string) string { return d[:min(12, len(d))] }

func moment(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04:05 UTC") }
