package checksum

import (
	"context"
	"slices"
	"strings"

	"github.com/backstitch/backstitch/schemas"
)

const (
	// rounds is how often a suspect is looked at again at most.
	rounds = 10
	// absences is how often a row that only the mirror has must be looked for in vain.
	absences = 5
	// followed is how often the copy's row must have been written between two looks.
	followed = 3
)

// suspect is a row that was not the same on both sides.
type suspect struct {
	*work
	key    []string
	source row // in the snapshot before
	// mirrored is the copy's at the last look, lacks what of it was never seen.
	mirrored row
	lacks    []string
	// absent counts snapshots without such a row, while the copy's was not written;
	// written counts looks before which it was.
	absent, written         int
	looked, settled, guilty bool
}

// settle looks at the suspects again until each is cleared or convicted (hazard C38).
// It may leave without a snapshot, or with another one.
//
// What the copy shows lies between two snapshots of the source: it is read when the
// copy has passed the first one's position, and the second is taken after, at a
// position beyond all that the copy can hold. A row of the source whose version is the
// same in both has not changed between, so the copy must show it.
//
// A row that is in neither may have come and gone between. But then the copy's row is
// written: deleted, or put there again. One that stays as it is, while the copy passes
// snapshot after snapshot without it, is too much: only a row that is deleted and comes
// back with the same content within one batch of the copy's, around each of the
// snapshots, would be accused wrongly.
//
// A row that never stands still is cleared when the copy was seen to follow it: who
// writes a row there writes the whole of it, so that nothing of before is left in it.
func (c *comparison) settle(ctx context.Context) error {
	for round := 0; len(c.suspects) > 0; round++ {
		lsn := c.snap.lsn
		c.leave(ctx) // waiting for the copy holds nothing on the source
		c.say("%d rows differ at %s and are looked at again", len(c.suspects), lsn)
		for _, group := range c.byTable() {
			if err := c.lookAgain(ctx, group, lsn); err != nil {
				return err
			}
		}
		c.forget()
		if len(c.suspects) == 0 {
			return nil
		}
		if err := c.enter(ctx); err != nil {
			return err
		}
		for _, group := range c.byTable() {
			if err := c.convict(ctx, group, round == rounds-1); err != nil {
				return err
			}
		}
		c.forget()
	}
	return nil
}

func (c *comparison) byTable() map[*work][]*suspect {
	groups := map[*work][]*suspect{}
	for _, s := range c.suspects {
		groups[s.work] = append(groups[s.work], s)
	}
	return groups
}

// forget lets go of who is settled; of the convicts the keys stay.
func (c *comparison) forget() {
	c.suspects = slices.DeleteFunc(c.suspects, func(s *suspect) bool {
		if s.settled && !s.guilty {
			delete(s.known, identity(s.key))
		}
		return s.settled
	})
}

func keysOf(group []*suspect) [][]string {
	keys := make([][]string, len(group))
	for i, s := range group {
		keys[i] = s.key
	}
	return keys
}

// lookAgain reads a table's suspects in the copy when that has passed a position. Those
// that are the same now were on their way.
func (c *comparison) lookAgain(ctx context.Context, group []*suspect, lsn schemas.LSN) error {
	w := group[0].work
	err := c.d.Copy.Await(ctx, lsn, w.Table.Table)
	if why, is := behind(err); is {
		for _, s := range group {
			s.unsettled(why)
		}
		return nil
	}
	if err != nil {
		return err
	}
	// the marks first: a row whose mark has gone since is whole when it is read
	lacks, err := c.d.Copy.Lacks(ctx, w.Table.Table, keysOf(group))
	if err != nil {
		return err
	}
	mirrored, err := w.copy.lookUp(ctx, keysOf(group))
	if err != nil {
		return err
	}
	for i, s := range group {
		if mirrored[i] != s.mirrored {
			s.absent = 0
			if s.looked {
				s.written++
			}
		}
		s.looked = true
		s.mirrored, s.lacks = mirrored[i], lacks[i]
		s.settled = s.mirrored.columns == s.source.columns
	}
	return nil
}

// convict compares a table's suspects with the next snapshot.
func (c *comparison) convict(ctx context.Context, group []*suspect, last bool) error {
	w := group[0].work
	if w.source == nil { // it has another shape by now
		for _, s := range group {
			s.unsettled("")
		}
		return nil
	}
	now, err := w.source.lookUp(ctx, keysOf(group))
	if err != nil {
		return err
	}
	for i, s := range group {
		same := now[i] == s.source
		s.source = now[i]
		switch {
		case same && s.source.there():
			s.convicted()
		case same && s.absent+1 >= absences:
			s.convicted()
		case same:
			s.absent++
		default:
			s.absent = 0
		}
		switch {
		case s.settled:
		case s.written >= followed:
			s.settled = true
			s.report.Moving++
		case last:
			s.unsettled("rows changed at every look")
		}
	}
	return nil
}

func (s *suspect) unsettled(why string) {
	s.settled = true
	s.report.Unsettled++
	if why != "" {
		s.report.because(why)
	}
}

func (s *suspect) convicted() {
	s.settled, s.guilty = true, true
	switch {
	case !s.mirrored.there():
		s.report.Missing.add(s.key, nil)
	case !s.source.there():
		s.report.Extra.add(s.key, nil)
	default:
		differ := s.differing()
		if !slices.ContainsFunc(differ, func(column string) bool { return !slices.Contains(s.lacks, column) }) {
			s.report.Incomplete++
			return
		}
		s.report.Different.add(s.key, differ)
	}
}

// differing names the columns whose digests are not the same.
func (s *suspect) differing() (names []string) {
	source, mirrored := strings.Split(s.source.columns, ","), strings.Split(s.mirrored.columns, ",")
	for i, name := range s.Columns {
		if source[i] != mirrored[i] {
			names = append(names, name)
		}
	}
	return names
}
