package report

import "github.com/backstitch/backstitch/consumers"

// thenNow is a figure of the former rehearsal beside that of this one.
type thenNow struct{ What, Then, Now, Diff, Tone string }

// Differ says whether any entity of the kind is not as it was.
func (k *KindChange) Differ() bool {
	return len(k.Moves) > 0 || k.Desired.Count+k.Appeared.Count+k.Vanished.Count > 0
}

// thenNow compares what a report sums up, and the findings that differ in number.
func (r *Report) thenNow() (rows []thenNow) {
	c := r.Change
	if c == nil {
		return nil
	}
	then, now := inShort[c.Verdict], inShort[r.Verdict]
	verdict := thenNow{What: "The run", Then: then, Now: now}
	if then == now {
		verdict.Diff = "the same"
	}
	rows = append(rows, verdict)
	before := &Report{Kinds: c.Before}
	add := func(what string, then, now int64, up string) {
		row := thenNow{what, number(then), number(now), signed(now - then), ""}
		switch {
		case now == then:
			row.Diff = "the same"
		case now > then:
			row.Tone = up
		default:
			row.Tone = map[string]string{"good": "out", "out": "good"}[up]
		}
		rows = append(rows, row)
	}
	for _, line := range []struct {
		what     string
		outcomes []Outcome
		up       string
	}{
		{"Organizations and members", Outcomes, ""},
		{"As desired", []Outcome{Created, Updated}, "good"},
		{"With a named loss", []Outcome{WithLoss}, "out"},
		{"Kept out", []Outcome{Parked, Blocked, Consent}, "out"},
		{"Not settled", []Outcome{Waiting, Pending}, "out"},
	} {
		then, now := before.In(line.outcomes...), r.In(line.outcomes...)
		if then+now > 0 {
			add(line.what, then, now, line.up)
		}
	}
	for _, f := range c.Classes {
		add(f.Title, f.Before, f.Now, "out")
	}
	for _, f := range c.Fields {
		if f.Now-f.Before != r.entitiesOf(f.Kind)-before.entitiesOf(f.Kind) { // else it is that there are more of them
			add(string(f.Kind)+"s with "+f.Field, f.Before, f.Now, "")
		}
	}
	add("API calls", c.Calls, r.calls(), "")
	return append(rows, thenNow{What: "The calls take", Then: span(c.Seconds), Now: span(r.Estimate.Seconds)})
}

func (r *Report) entitiesOf(kind consumers.Kind) int64 {
	for _, k := range r.Kinds {
		if k.Kind == kind {
			return k.Entities
		}
	}
	return 0
}
