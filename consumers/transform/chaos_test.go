package transform

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// envSeed repeats a random test: the seed that a failed one printed.
const envSeed = "BACKSTITCH_TEST_SEED"

// cluster is three processes of one transform, of which some are stopped.
type cluster struct {
	*history
	awake, asleep map[string]*exec.Cmd
	born          int
}

func (c *cluster) add() {
	c.born++
	name := fmt.Sprint("p", c.born)
	c.awake[name] = c.process(name)
}

// aim is the owner, or, one time in three, another that is awake.
func (c *cluster) aim() string {
	var owner string
	c.check(c.pool.QueryRow(c.ctx, "SELECT owner FROM backstitch.transform").Scan(&owner))
	if c.awake[owner] == nil || c.r.IntN(3) == 0 {
		for owner = range c.awake { // the map's order is not the seed's; neither are the processes' turns
			break
		}
	}
	return owner
}

// fault kills or stops one, or wakes one; two at most sleep.
func (c *cluster) fault() string {
	switch op := c.r.IntN(5); {
	case op < 2:
		name := c.aim()
		_ = c.awake[name].Process.Kill()
		delete(c.awake, name)
		c.add()
		return "kill " + name
	case op < 4 && len(c.asleep) < 2 && len(c.awake) > 1:
		name := c.aim()
		_ = c.awake[name].Process.Signal(syscall.SIGSTOP)
		c.asleep[name] = c.awake[name]
		delete(c.awake, name)
		return "stop " + name
	default:
		for name := range c.asleep {
			c.wake(name)
			return "wake " + name
		}
	}
	return "nothing"
}

func (c *cluster) wake(name string) {
	_ = c.asleep[name].Process.Signal(syscall.SIGCONT)
	c.awake[name] = c.asleep[name]
	delete(c.asleep, name)
}

// invariants 5, 10 and 11, hazard C13: three processes share a transform. They are
// killed, stopped and woken at random moments of a random history. At no moment is
// half a source transaction evaluated; at the end mirror and entities are what the
// legacy database says, and every entity's newest revision has its wake-up.
func TestThreeProcessesAtRandom(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv(envSeed), 10, 64); err == nil {
		seed = s
	}
	t.Logf("%s=%d", envSeed, seed)
	c := &cluster{history: newHistory(t, seed), awake: map[string]*exec.Cmd{}, asleep: map[string]*exec.Cmd{}}
	for range 3 {
		c.add()
	}
	for range 4 {
		c.transaction()
	}
	c.loaded()
	c.caughtUp()
	for range 14 {
		for range c.r.IntN(6) {
			c.transaction()
		}
		if c.r.IntN(2) == 0 { // else the next fault comes while its successor takes over
			c.caughtUp()
		}
		moment := time.NewTimer(time.Duration(c.r.IntN(40)) * time.Millisecond) // somewhere in the work on what comes now
		c.transaction()
		<-moment.C
		t.Log(c.fault())
		c.whole()
	}
	c.transaction()
	for name := range c.asleep {
		c.wake(name)
	}
	c.caughtUp()
	c.same()
	c.whole()
	c.entities()
	c.wakeUps()
}
