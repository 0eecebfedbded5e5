package report

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/backstitch/backstitch/consumers"
)

// Entity is where one entity stands at the end of a rehearsal.
type Entity struct {
	Key consumers.Key
	Standing
	// Losses of an entity that is in Stytch.
	Losses []consumers.Loss
	// Detail is a name that tells more of the cause (a SQLSTATE, a role, an error type),
	// Other the key of who holds what this entity wants. Neither is a value.
	Detail, Other string
	// Desired state, a JSON object as the ledger has it. Of it, a digest is kept.
	Desired []byte
}

// Tally counts entities into a report, one by one and in any order, in memory that does
// not grow with their number. Samples are the first that come.
type Tally struct {
	report *Report
	states *States
}

// NewTally counts into r, whose Run says when it began; states may be nil.
func NewTally(r *Report, states *States) *Tally {
	if states != nil {
		states.head.Run = r.Run.Started
	}
	return &Tally{r, states}
}

// Add counts an entity. The error is one of writing its state.
func (t *Tally) Add(e Entity) error {
	k := t.kind(e.Key.Kind)
	k.Entities++
	k.Outcomes[e.Outcome]++
	if e.Class != "" {
		t.found(e.Class, &e)
	}
	for _, l := range e.Losses {
		t.found(Class(l), &e)
	}
	fields := map[string]json.RawMessage{}
	if len(e.Desired) > 0 {
		if err := json.Unmarshal(e.Desired, &fields); err != nil {
			return fmt.Errorf("the desired state of a %s is no JSON object", e.Key.Kind) // the error would show a part of it (invariant 8)
		}
	}
	for name, value := range fields {
		if v := string(value); v != "null" && v != `""` && v != "[]" && v != "{}" {
			t.filled(e.Key.Kind, name)
		}
	}
	if t.states == nil {
		return nil
	}
	return t.states.add(&e, fields)
}

func (t *Tally) kind(name consumers.Kind) *Kind {
	i := slices.IndexFunc(t.report.Kinds, func(k Kind) bool { return k.Kind == name })
	if i < 0 {
		i = len(t.report.Kinds)
		t.report.Kinds = append(t.report.Kinds, Kind{Kind: name, Outcomes: map[Outcome]int64{}})
	}
	return &t.report.Kinds[i]
}

func (t *Tally) filled(kind consumers.Kind, name string) {
	i := slices.IndexFunc(t.report.Fields, func(f Filled) bool { return f.Kind == kind && f.Field == name })
	if i < 0 {
		i = len(t.report.Fields)
		t.report.Fields = append(t.report.Fields, Filled{Kind: kind, Field: name})
	}
	t.report.Fields[i].Entities++
}

func (t *Tally) found(c Class, e *Entity) {
	f := t.report.Finding(c, e.Key.Kind)
	f.Count++
	if e.Detail != "" {
		f.detail(e.Detail)
	}
	if len(f.Samples) < Samples {
		f.Samples = append(f.Samples, NewSample(e.Key, e.Other, e.Detail))
	}
}

// Finding is the report's finding of a class and kind, made where there is none. The
// pointer is good until the next call.
func (r *Report) Finding(c Class, kind consumers.Kind) *Finding {
	i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Class == c && f.Kind == kind })
	if i < 0 {
		i = len(r.Findings)
		r.Findings = append(r.Findings, Finding{Class: c, Kind: kind})
	}
	return &r.Findings[i]
}

// maxDetails bounds the names that a finding divides its count by; the rest is otherDetail.
const (
	maxDetails  = 50
	otherDetail = "other"
)

func (f *Finding) detail(name string) {
	i := slices.IndexFunc(f.Details, func(d Detail) bool { return d.Name == name })
	switch {
	case i >= 0:
		f.Details[i].Count++
	case len(f.Details) < maxDetails:
		f.Details = append(f.Details, Detail{name, 1})
	case name != otherDetail:
		f.detail(otherDetail) // the list has one place more, for it
	default:
		f.Details = append(f.Details, Detail{otherDetail, 1})
	}
}
