package report

import (
	"cmp"
	"slices"
	"strings"

	"github.com/backstitch/backstitch/consumers"
)

// Finish adds the words, the arithmetic, the order and the verdict to what was counted,
// and makes empty lists of those that are missing.
func (r *Report) Finish() {
	r.Format = Format
	r.finishKinds()
	r.finishFindings()
	r.Estimate.finish()
	slices.SortStableFunc(r.Fields, func(a, b Filled) int {
		return cmp.Or(byKind(a.Kind, b.Kind), -cmp.Compare(a.Entities, b.Entities), strings.Compare(a.Field, b.Field))
	})
	slices.SortStableFunc(r.Hashes, func(a, b HashCount) int {
		return cmp.Or(-cmp.Compare(a.Count, b.Count), strings.Compare(a.Class, b.Class))
	})
	r.finishRoles()
	slices.SortStableFunc(r.Calls, func(a, b Call) int {
		return cmp.Or(-cmp.Compare(a.Count, b.Count), strings.Compare(a.Endpoint, b.Endpoint))
	})
	r.Hashes, r.Roles, r.Unfed, r.Calls, r.Fields = list(r.Hashes), list(r.Roles), list(r.Unfed), list(r.Calls), list(r.Fields)
	for i := range r.Unfed {
		r.Unfed[i].Keys = list(r.Unfed[i].Keys)
	}
	r.Verdict = r.verdict()
}

// maxRoles bounds the list: legacy systems that keep ids among the roles have many.
const maxRoles = 200

func (r *Report) finishRoles() {
	slices.SortStableFunc(r.Roles, func(a, b Role) int {
		return cmp.Or(falseFirst(a.Known, b.Known), -cmp.Compare(a.Members, b.Members), strings.Compare(a.Role, b.Role))
	})
	if left := len(r.Roles) - maxRoles; left > 0 {
		r.Roles, r.RolesLeftOut = r.Roles[:maxRoles], r.RolesLeftOut+int64(left)
	}
}

// list makes an empty list of none, so that JSON never says null.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func byKind(a, b consumers.Kind) int { return -strings.Compare(string(a), string(b)) } // organization, member

func (r *Report) finishKinds() {
	for _, name := range []consumers.Kind{consumers.Organization, consumers.Member} {
		if !slices.ContainsFunc(r.Kinds, func(k Kind) bool { return k.Kind == name }) {
			r.Kinds = append(r.Kinds, Kind{Kind: name})
		}
	}
	slices.SortStableFunc(r.Kinds, func(a, b Kind) int { return byKind(a.Kind, b.Kind) })
	for i := range r.Kinds {
		k := &r.Kinds[i]
		outcomes := map[Outcome]int64{}
		k.Entities = 0
		for _, o := range Outcomes {
			outcomes[o] = k.Outcomes[o]
			k.Entities += k.Outcomes[o]
		}
		k.Outcomes = outcomes
	}
}

func (r *Report) finishFindings() {
	r.Findings = slices.DeleteFunc(list(r.Findings), func(f Finding) bool { return f.Count == 0 })
	for i := range r.Findings {
		f := &r.Findings[i]
		e, _ := describe(f.Class)
		f.Severity = cmp.Or(f.Severity, e.severity)
		f.Title, f.Means, f.Fix = cmp.Or(f.Title, e.title), cmp.Or(f.Means, e.advice.Means), cmp.Or(f.Fix, e.advice.Fix)
		f.Samples = list(f.Samples)
		slices.SortStableFunc(f.Samples, compareSamples)
		slices.SortStableFunc(f.Details, func(a, b Detail) int {
			return cmp.Or(-cmp.Compare(a.Count, b.Count), strings.Compare(a.Name, b.Name))
		})
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		first, i := describe(a.Class)
		second, j := describe(b.Class)
		return cmp.Or(cmp.Compare(slices.Index(severities, a.Severity), slices.Index(severities, b.Severity)),
			falseFirst(first.consequence(), second.consequence()), -cmp.Compare(a.Count, b.Count), cmp.Compare(i, j), byKind(a.Kind, b.Kind))
	})
}

func (e *Estimate) finish() {
	e.Limits = list(e.Limits)
	e.Seconds, e.Decides = 0, ""
	for i := range e.Limits {
		l := &e.Limits[i]
		l.Seconds = 0
		if l.Rate > 0 {
			l.Seconds = float64(l.Calls) / l.Rate
		}
		if l.Seconds > e.Seconds {
			e.Seconds, e.Decides = l.Seconds, l.Name
		}
	}
	e.Hours = e.Seconds / 3600
}

// In sums some outcomes over all kinds.
func (r *Report) In(outcomes ...Outcome) (n int64) {
	for _, k := range r.Kinds {
		for _, o := range outcomes {
			n += k.Outcomes[o]
		}
	}
	return n
}

// verdict: what waits for a person wins over what is not known, which wins over losses.
// A mapping that returns nothing proves nothing.
func (r *Report) verdict() Verdict {
	switch {
	case r.In(Parked, Blocked, Consent) > 0:
		return Incomplete
	case r.Run.Interrupted != "" || r.In(Waiting, Pending) > 0 || r.In(Outcomes...) == 0:
		return Unfinished
	case r.In(WithLoss) > 0:
		return WithLosses
	}
	return Complete
}
