package integration_test

import (
	"strings"
	"syscall"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
)

// ways are the directions that are cut; none means both.
var ways = [][]harness.Direction{nil, {harness.Requests}, {harness.Answers}}

// fault is what happens to an instance. When strike returns the instance runs again
// and reaches everything.
type fault struct {
	name   string
	strike func(c *chaos, victim *harness.Instance)
}

var faults = []fault{
	{"is killed and comes back at once", func(c *chaos, victim *harness.Instance) {
		victim.Kill()
		victim.Up(c.t)
	}},
	{"is killed and comes back when others have worked", func(c *chaos, victim *harness.Instance) {
		victim.Kill()
		c.worked()
		victim.Up(c.t)
	}},
	{"is asked to end and comes back", func(c *chaos, victim *harness.Instance) {
		if code := victim.Stop(c.t); code != 0 {
			c.t.Errorf("%s ends with %d", victim.Name, code)
		}
		victim.Up(c.t)
	}},
	{"is stopped for a moment", func(c *chaos, victim *harness.Instance) {
		victim.Signal(syscall.SIGSTOP)
		c.pause(3 * time.Second) // some of the leases end meanwhile
		victim.Signal(syscall.SIGCONT)
	}},
	{"is stopped until others have worked", func(c *chaos, victim *harness.Instance) {
		victim.Signal(syscall.SIGSTOP)
		c.worked()
		c.meanwhile(victim)
		victim.Signal(syscall.SIGCONT)
	}},
	{"is cut off for a moment", func(c *chaos, victim *harness.Instance) {
		mend := cutOff(victim, victim.Servers())
		c.pause(3 * time.Second)
		mend()
	}},
	{"is cut off until others have worked", func(c *chaos, victim *harness.Instance) {
		mend := cutOff(victim, victim.Servers())
		c.worked()
		c.meanwhile(victim)
		mend()
	}},
	{"is cut off from one server until others have worked", func(c *chaos, victim *harness.Instance) {
		server := []string{harness.ToSource, harness.ToKafka, harness.ToLedger}[c.random.IntN(3)] // an instance without Stytch keeps its partitions
		way := ways[c.random.IntN(len(ways))]
		c.t.Logf("from %s, ways %v", server, way)
		mend := cutOff(victim, []string{server}, way...)
		c.worked()
		c.meanwhile(victim)
		mend()
	}},
	{"loses its connections", func(_ *chaos, victim *harness.Instance) { victim.Break() }},
	{"is cut off from some servers", func(c *chaos, victim *harness.Instance) {
		way := ways[c.random.IntN(len(ways))]
		var cut []string
		for _, server := range victim.Servers() {
			if c.random.IntN(3) == 0 {
				cut = append(cut, server)
			}
		}
		c.t.Logf("from %s, ways %v", strings.Join(cut, ", "), way)
		mend := cutOff(victim, cut, way...)
		c.pause(8 * time.Second)
		mend()
	}},
}

// cutOff cuts an instance off from servers; mend ends that.
func cutOff(victim *harness.Instance, servers []string, way ...harness.Direction) (mend func()) {
	begun := time.Now()
	for _, server := range servers {
		victim.Wires[server].Cut(way...)
	}
	return func() {
		// A kernel whose packets nobody acknowledges gives a call to Stytch up after 15 s
		// (hazard A2). A wire acknowledges them, so it must forget them.
		if time.Since(begun) > 15*time.Second {
			victim.Wires[harness.ToStytch].Break()
		}
		victim.Mend()
	}
}

// meanwhile another instance is killed too, sometimes: the successor of a zombie has a
// successor when the zombie wakes.
func (c *chaos) meanwhile(victim *harness.Instance) {
	if c.random.IntN(3) > 0 {
		return
	}
	other := c.another(victim)
	c.t.Logf("meanwhile %s is killed", other.Name)
	other.Kill()
	c.worked()
	other.Up(c.t)
}
