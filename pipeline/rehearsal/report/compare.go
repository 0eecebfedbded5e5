package report

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/backstitch/backstitch/consumers"
)

// Compare says in r.Change what differs from a former report, whose states and ours
// stand at the two paths. Both reports are finished. Without the former states only
// counts are compared, and Change says why; the error is about ours.
func (r *Report) Compare(former *Report, formerStates, ourStates string) error {
	c := &Change{
		Mapping: former.Run.Mapping, LSN: former.Run.LSN, Ended: former.Run.Ended,
		SameMapping: former.Run.Mapping == r.Run.Mapping,
		Kinds:       []KindChange{}, Classes: classChanges(former, r), Fields: fieldChanges(former, r),
		Verdict: former.Verdict, Before: former.Kinds, Seconds: former.Estimate.Seconds, Calls: former.calls(),
	}
	r.Change = c
	now, err := openStates(ourStates)
	if err != nil {
		return fmt.Errorf("compare with the former rehearsal: %w", err)
	}
	defer now.close()
	before, err := openStates(formerStates)
	switch {
	case os.IsNotExist(err):
		c.NoStates = fmt.Sprintf("its states are not there (%s)", formerStates)
		return nil
	case err != nil:
		c.NoStates = err.Error()
		return nil
	}
	defer before.close()
	if !before.head.Run.Equal(former.Run.Started) {
		c.NoStates = "the states beside it are those of another rehearsal"
		return nil
	}
	if string(before.head.Key) != string(now.head.Key) {
		c.NoStates = "its states were made with another key: this rehearsal did not begin with --against it"
		return nil
	}
	kinds, err := compareStates(before, now)
	if err != nil {
		c.NoStates = fmt.Sprintf("the states cannot be read to the end (%v)", err)
		return nil
	}
	c.Kinds = kinds
	return nil
}

func (r *Report) calls() (n int64) {
	for _, c := range r.Calls {
		n += c.Count
	}
	return n
}

func classChanges(before, now *Report) []ClassChange {
	changes := []ClassChange{}
	at := func(c Class) *ClassChange {
		i := slices.IndexFunc(changes, func(x ClassChange) bool { return x.Class == c })
		if i < 0 {
			i = len(changes)
			e, _ := describe(c)
			changes = append(changes, ClassChange{Class: c, Title: e.title})
		}
		return &changes[i]
	}
	for _, f := range before.Findings {
		at(f.Class).Before += f.Count
	}
	for _, f := range now.Findings {
		at(f.Class).Now += f.Count
	}
	changes = slices.DeleteFunc(changes, func(c ClassChange) bool { return c.Before == c.Now })
	slices.SortStableFunc(changes, func(a, b ClassChange) int { return -cmp.Compare(abs(a.Now-a.Before), abs(b.Now-b.Before)) })
	return changes
}

func fieldChanges(before, now *Report) []FieldChange {
	changes := []FieldChange{}
	at := func(f Filled) *FieldChange {
		i := slices.IndexFunc(changes, func(x FieldChange) bool { return x.Kind == f.Kind && x.Field == f.Field })
		if i < 0 {
			i = len(changes)
			changes = append(changes, FieldChange{Kind: f.Kind, Field: f.Field})
		}
		return &changes[i]
	}
	for _, f := range before.Fields {
		at(f).Before = f.Entities
	}
	for _, f := range now.Fields {
		at(f).Now = f.Entities
	}
	changes = slices.DeleteFunc(changes, func(c FieldChange) bool { return c.Before == c.Now })
	slices.SortStableFunc(changes, func(a, b FieldChange) int { return -cmp.Compare(abs(a.Now-a.Before), abs(b.Now-b.Before)) })
	return changes
}

func abs(n int64) int64 { return max(n, -n) }

// compareStates walks both files once, side by side.
func compareStates(before, now *statesFile) ([]KindChange, error) {
	kinds := []KindChange{newKindChange(consumers.Organization), newKindChange(consumers.Member)}
	of := func(k consumers.Kind) *KindChange {
		if k == consumers.Organization {
			return &kinds[0]
		}
		return &kinds[1]
	}
	for before.more || now.more {
		var err error
		switch {
		case !now.more || before.more && before.next.id < now.next.id:
			of(before.kind(before.next)).Vanished.add(before.next)
			err = before.advance()
		case !before.more || now.next.id < before.next.id:
			of(now.kind(now.next)).Appeared.add(now.next)
			err = now.advance()
		default:
			of(now.kind(now.next)).both(before.of(before.next), now.of(now.next), before.next.digest == now.next.digest, now.next)
			if err = before.advance(); err == nil {
				err = now.advance()
			}
		}
		if err != nil {
			return nil, err
		}
	}
	for i := range kinds {
		kinds[i].finish(before.head.Sums, now.head.Sums)
	}
	return kinds, nil
}

func newKindChange(k consumers.Kind) KindChange {
	none := ChangeGroup{Samples: []Sample{}}
	return KindChange{Kind: k, Appeared: none, Vanished: none, Desired: none, Moves: []Move{}, Fields: []string{}}
}

func (k *KindChange) both(before, now Standing, sameState bool, r record) {
	switch {
	case before != now:
		i := slices.IndexFunc(k.Moves, func(m Move) bool { return m.From == before && m.To == now })
		if i < 0 {
			i = len(k.Moves)
			k.Moves = append(k.Moves, Move{From: before, To: now, ChangeGroup: ChangeGroup{Samples: []Sample{}}})
		}
		k.Moves[i].add(r)
	case sameState:
		k.Same++
	default:
		k.Desired.add(r)
	}
}

// finish names the fields: their sums tell only where the same entities were summed.
func (k *KindChange) finish(before, now map[string]uint64) {
	slices.SortStableFunc(k.Moves, func(a, b Move) int { return -cmp.Compare(a.Count, b.Count) })
	if k.FieldsKnown = k.Appeared.Count == 0 && k.Vanished.Count == 0; !k.FieldsKnown {
		return
	}
	prefix := string(k.Kind) + "."
	names := map[string]bool{}
	for _, sums := range []map[string]uint64{before, now} {
		for name := range sums {
			if field, ours := strings.CutPrefix(name, prefix); ours && before[name] != now[name] {
				names[field] = true
			}
		}
	}
	k.Fields = append(k.Fields, slices.Sorted(mapKeys(names))...)
}

// add counts an entity. Its key is a sample where the file has it: the shortest and
// smallest are kept, so that two comparisons show the same.
func (g *ChangeGroup) add(r record) {
	g.Count++
	if r.shown == "" {
		return
	}
	s := Sample{Key: r.shown}
	if org, key, ok := strings.Cut(r.shown, "\x00"); ok {
		s.Organization, s.Key = org, key
	}
	at, _ := slices.BinarySearchFunc(g.Samples, s, compareSamples)
	if at < Samples {
		g.Samples = slices.Insert(g.Samples, at, s)
		g.Samples = g.Samples[:min(len(g.Samples), Samples)]
	}
}

func compareSamples(a, b Sample) int {
	return cmp.Or(cmp.Compare(len(a.Organization), len(b.Organization)), strings.Compare(a.Organization, b.Organization),
		cmp.Compare(len(a.Key), len(b.Key)), strings.Compare(a.Key, b.Key))
}
