package harness

import (
	"context"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/integration/witness"
	"github.com/backstitch/backstitch/pipeline/cli/demo"
	"github.com/backstitch/backstitch/pipeline/sandbox/compare"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
	"github.com/backstitch/backstitch/schemas"
)

// demoTables are those of the demo; their rows are identified by "id".
var demoTables = []schemas.Table{{Schema: "public", Name: "Team"}, {Schema: "public", Name: "User"}, {Schema: "public", Name: "TeamMember"}}

// Demo is a world of Boxy on a real broker, seeded, whose tables' history is kept: so
// everything that a run did can be judged when it has ended.
type Demo struct {
	*World
	Legacy *demo.Legacy
}

// NewDemo makes one. alter is SQL to run before the history begins.
func NewDemo(tb testing.TB, o Options, size demo.Size, alter ...string) *Demo {
	tb.Helper()
	testenv.RealKafka(tb)
	d := &Demo{World: New(tb, o)}
	d.Legacy = d.SeedBoxy(tb, size)
	for _, sql := range alter {
		d.Exec(tb, sql)
	}
	for _, table := range demoTables {
		witness.Keep(tb, d.Pool, table, "id")
	}
	return d
}

// Use starts people who use the legacy system; stop ends them and returns how many
// transactions they made.
func (d *Demo) Use(tb testing.TB, seed uint64, perSecond int) (stop func() int64) {
	tb.Helper()
	return d.World.Use(tb, d.Legacy, seed, perSecond)
}

// Judge fails the test unless Stytch is what the legacy system says field by field,
// nothing but the seed's traps is set aside, no two writes to one entity were in flight
// at once (invariant 4), and each row event is in the topics once (invariants 1 and 2).
func (d *Demo) Judge(tb testing.TB) {
	tb.Helper()
	d.Traps(tb, d.Legacy, d.Clean(tb))
	d.OneHand(tb)
	for _, table := range demoTables {
		events, reads := witness.ExactlyOnce(tb, d.Pool, d.Brokers, d.Registry, d.Prefix, table)
		tb.Logf("%s: %d events, %d rows read", table, events, reads)
	}
}

// OneHand fails the test when two writes to one entity were in flight at once
// (invariant 4).
func (w *World) OneHand(tb testing.TB) {
	tb.Helper()
	if pairs := simulator.Overlapping(w.Simulator.Journal()); len(pairs) > 0 {
		tb.Errorf("%d pairs of writes to one entity were in flight at once: %s and %s", len(pairs), pairs[0][0].Endpoint, pairs[0][1].Endpoint)
	}
}

// Traps fails the test when something is parked that the seed did not make
// impossible, or blocked behind anything else (invariant 6, hazard A23).
func (w *World) Traps(tb testing.TB, legacy *demo.Legacy, r *compare.Result) {
	tb.Helper()
	for key, reason := range r.Parked {
		if key.Kind == consumers.Organization && legacy.Refused[key.Organization] {
			continue
		}
		var email string
		err := w.Pool.QueryRow(context.Background(), `SELECT lower(email) FROM "User" WHERE id = $1`, key.Entity).Scan(&email)
		if err != nil || !legacy.CaseTwins[email] {
			tb.Errorf("a %s is parked that is no trap: %s", key.Kind, reason)
		}
	}
	for key, reason := range r.Blocked {
		if !legacy.Refused[key.Organization] {
			tb.Errorf("a %s is blocked, and not behind a trap: %s", key.Kind, reason)
		}
	}
	if len(r.Parked) < 2 {
		tb.Errorf("%d parked: the seed holds a slug that Stytch refuses and a case twin", len(r.Parked))
	}
}
