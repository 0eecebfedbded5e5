package apply

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/backstitch/backstitch/schemas"
)

// In order, organizations come one after another and before the members behind them, the
// members of one organization likewise; those of several come at once.
func TestOrderedTurns(t *testing.T) {
	t.Parallel()
	s := newScheduler()
	s.ordered = true
	s.own(map[int32]int64{0: 1})
	const orgs, members = 5, 6
	for o := range orgs {
		s.add(org(fmt.Sprint(o)), 0, schemas.LaneBackfill, nil)
	}
	for m := range members {
		for o := range orgs {
			s.add(member(fmt.Sprint(o), fmt.Sprint(m)), 0, schemas.LaneBackfill, nil)
		}
	}
	var mu sync.Mutex
	var began []string
	var workers sync.WaitGroup
	left := orgs + orgs*members
	for range 4 {
		workers.Go(func() {
			for {
				task := s.next(schemas.LaneBackfill)
				if task == nil {
					return
				}
				mu.Lock()
				began = append(began, fmt.Sprintf("%s %s/%s", task.key.Kind, task.key.Organization, task.key.Entity))
				left--
				over := left == 0
				mu.Unlock()
				s.finish(task)
				if over {
					s.close()
				}
			}
		})
	}
	workers.Wait()
	for o := range orgs {
		if want := fmt.Sprintf("organization %d/%d", o, o); began[o] != want {
			t.Errorf("turn %d is %s, want %s", o, began[o], want)
		}
		of := slices.DeleteFunc(slices.Clone(began), func(b string) bool { return !strings.HasPrefix(b, fmt.Sprintf("member %d/", o)) })
		if !slices.IsSorted(of) || len(of) != members {
			t.Errorf("the members of %d came as %v", o, of)
		}
	}
}
