package integration_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/pipeline/cli/demo"
)

// How a run of chaos is repeated, and made longer.
const (
	envChaosSeed   = "BACKSTITCH_CHAOS_SEED"   // as a former run printed it
	envChaosRounds = "BACKSTITCH_CHAOS_ROUNDS" // faults, one after the other
	chaosRounds    = 6                         // by default: more than half of the kinds
)

// Three instances share the work while they are killed, stopped for longer than every
// lease, cut off from their servers and mended, at random. Nothing is lost, nothing
// comes twice (invariant 2), no entity is in two hands (invariant 4), no older state
// overtakes a newer one in Stytch (invariant 3), what a former owner still sends when
// it comes back has no effect (invariant 10), and where an instance is dead, frozen or
// alone the others go on with its work before it is back.
func TestThreeInstances(t *testing.T) {
	t.Parallel()
	c := newChaos(t)
	watch := watchPositions(t, c.w)
	stop := []func() int64{c.w.Use(t, c.seed, 30), workSide(t, c.w, c.seed, 15)}
	for _, i := range c.instances {
		i.Up(t)
	}
	c.worked() // the backfill first
	for n := range c.rounds {
		c.round(n)
	}
	for _, s := range stop {
		t.Logf("%d transactions", s())
	}
	c.w.CaughtUp(t, 5*time.Minute)
	harness.Eventually(t, time.Minute, "every task runs somewhere", func() bool { return allRun(connectors(t, c.instances[1].Process)) })
	for _, i := range c.instances {
		if code := i.Stop(t); code != 0 {
			t.Errorf("%s ends with %d", i.Name, code)
		}
	}
	watch()
	c.w.Judge(t)
	neverBack(t, c.w.Simulator.Journal())
}

// chaos is a cluster and what is going to happen to it.
type chaos struct {
	t         *testing.T
	w         *harness.Demo
	seed      uint64
	random    *rand.Rand
	rounds    int
	deck      []fault
	instances []*harness.Instance
	probes    int
}

func newChaos(t *testing.T) *chaos {
	t.Helper()
	c := &chaos{t: t, seed: uint64(time.Now().UnixNano()), rounds: chaosRounds}
	for env, set := range map[string]func(uint64){
		envChaosSeed:   func(n uint64) { c.seed = n },
		envChaosRounds: func(n uint64) { c.rounds = int(n) },
	} {
		if value := os.Getenv(env); value != "" {
			n, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				t.Fatalf("%s: %v", env, err)
			}
			set(n)
		}
	}
	t.Logf("%s=%d %s=%d", envChaosSeed, c.seed, envChaosRounds, c.rounds)
	c.random = rand.New(rand.NewPCG(c.seed, 0))
	kafka := harness.NewWiredKafka(t, 3)
	o := revised()
	o.Brokers, o.RateLimit, o.Simulator.Latency = kafka.Brokers, 200, 5*time.Millisecond
	c.w = harness.NewDemo(t, o, demo.Size{Teams: 60, Users: 600, Memberships: 800, Largest: 100, Seed: 11}, revisedSchema, probeRows)
	c.instances = c.w.Instances(t, kafka)
	return c
}

// round lets one fault happen to one instance. Every kind comes once before one
// comes twice.
func (c *chaos) round(n int) {
	if len(c.deck) == 0 {
		c.deck = slices.Clone(faults)
		c.random.Shuffle(len(c.deck), func(i, j int) { c.deck[i], c.deck[j] = c.deck[j], c.deck[i] })
	}
	f := c.deck[0]
	c.deck = c.deck[1:]
	role := roles[c.random.IntN(len(roles))]
	victim := c.aim(role)
	c.t.Logf("%d: %s, which %s, %s", n, victim.Name, role, f.name)
	begun := time.Now()
	f.strike(c, victim)
	c.t.Logf("%d: over after %s", n, time.Since(begun).Round(time.Millisecond))
	c.pause(time.Second)
}

// roles are what an instance is chosen for.
var (
	roles       = []string{"is drawn", "owns the source", "owns the transform", "owns an apply partition"}
	connectorOf = map[string]string{roles[1]: "source", roles[2]: "transform", roles[3]: "apply"}
)

// aim finds the owner of something, or draws an instance, also where nobody owns it
// just now.
func (c *chaos) aim(role string) *harness.Instance {
	if worker := c.w.Worker(c.t.Context(), connectorOf[role]); worker != "" {
		for _, i := range c.instances {
			if i.Is(c.t, worker) {
				return i
			}
		}
	}
	return c.instances[c.random.IntN(len(c.instances))]
}

// another draws an instance beside one.
func (c *chaos) another(than *harness.Instance) *harness.Instance {
	others := slices.DeleteFunc(slices.Clone(c.instances), func(i *harness.Instance) bool { return i == than })
	return others[c.random.IntN(len(others))]
}

// pause waits for a random time below most; no process may end by itself.
func (c *chaos) pause(most time.Duration) {
	time.Sleep(time.Duration(c.random.Int64N(int64(most)))) // the chaos's own
	for _, i := range c.instances {
		select {
		case <-i.Ended():
			c.t.Fatalf("%s ended by itself:\n%s", i.Name, tail(i.Log()))
		default:
		}
	}
}

// worked waits until a change that is committed now, of a member in each of some
// organizations, is in Stytch and recorded.
func (c *chaos) worked() {
	c.t.Helper()
	c.probes++
	name := fmt.Sprintf("Probe %d", c.probes)
	c.w.Exec(c.t, `UPDATE "User" SET name = $1 WHERE id LIKE 'probe-%'`, name)
	harness.Eventually(c.t, 2*time.Minute, "the others have worked", func() bool {
		var n int
		err := c.w.LedgerPool.QueryRow(c.t.Context(), `SELECT count(*) FROM backstitch.entities e WHERE kind = 'member' AND key LIKE 'probe-%'
			AND desired->>'name' = $1 AND status = 'current' AND applied_revision = revision
			AND NOT EXISTS (SELECT FROM backstitch.marks m WHERE (m.kind, m.org_key, m.key) = (e.kind, e.org_key, e.key))`, name).Scan(&n)
		return err == nil && n == probes
	})
}
