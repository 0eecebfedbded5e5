package apply

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	sim "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// What Stytch does not document is a switch of the simulator: the workload ends
// field-equal whatever the answer.
func TestRandomWorkloadWithEachSwitch(t *testing.T) { // invariants 4, 5, 6
	t.Parallel()
	for name, set := range map[string]func(*sim.Options){
		"a deleted member keeps its external id":       func(o *sim.Options) { o.KeepExternalIDOnDelete = true },
		"and its password":                             func(o *sim.Options) { o.KeepExternalIDOnDelete, o.KeepPasswordOnDelete = true, true },
		"a deleted organization keeps its slug":        func(o *sim.Options) { o.KeepSlugOnDelete = true },
		"a deleted organization keeps its external id": func(o *sim.Options) { o.KeepOrganizationExternalIDOnDelete = true },
		"deleting again is no error":                   func(o *sim.Options) { o.DeleteAgainOK = true },
		"migrate updates fields":                       func(o *sim.Options) { o.MigrateUpdatesFields = true },
		"the same address clears the password":         func(o *sim.Options) { o.SameEmailClearsPassword = true },
		"a password needs the auth method":             func(o *sim.Options) { o.PasswordNeedsAuthMethod = true },
		"passwords are shared across organizations":    func(o *sim.Options) { o.CrossOrgPasswords = true },
		"searches lag":                                 func(o *sim.Options) { o.SearchLag = time.Second },
	} {
		for seed := range uint64(2) {
			t.Run(fmt.Sprint(name, " ", seed), func(t *testing.T) {
				t.Parallel()
				options := options{sim: sim.Options{SearchLimit: -1}, cfg: func(c *Config) {
					c.CallTimeout, c.Settle, c.Deletes.MaxPerHour = 250*time.Millisecond, 600*time.Millisecond, 100000
				}}
				set(&options.sim)
				w := newWorld(t, options)
				l := &workload{w: w, rand: rand.New(rand.NewPCG(seed, 7)), orgs: 3, fresh: options.sim.KeepSlugOnDelete}
				w.start()
				injected := faultsOf(w, seed, 0.01)
				for range 80 {
					l.step()
				}
				for _, f := range injected {
					f.Remove()
				}
				w.eventuallyEqual()
			})
		}
	}
}
