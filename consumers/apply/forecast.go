package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ForecastAtMost bounds the entities that are planned to know their calls; of more,
// these stand for all.
const ForecastAtMost = 20000

// Wanted is an entity with a desired state that it would have.
type Wanted struct {
	Key consumers.Key
	// Desired is the JSON object of the ledger's column; nil: gone.
	Desired []byte
}

// Forecast counts the calls that the planner wants to bring entities from what is
// applied to other desired states. What is released costs none.
func Forecast(ctx context.Context, cfg Config, pool *pgxpool.Pool, list []Wanted) (calls int64, err error) {
	led, planner := ledger.NewApplier(pool), planner(cfg.withDefaults())
	for chunk := range slices.Chunk(list, 500) {
		keys := make([]consumers.Key, len(chunk))
		for i, w := range chunk {
			keys[i] = w.Key
		}
		states, err := led.Load(ctx, keys)
		if err != nil {
			return 0, err
		}
		for i, st := range states {
			if st == nil {
				st = &ledger.State{Key: keys[i]}
			}
			if st.Desired, err = desiredOf(chunk[i].Desired); err != nil {
				return 0, err
			}
			calls += planner.callsOf(st)
		}
	}
	return calls, nil
}

// desiredOf keeps numbers as they were written, as the ledger's Load does.
func desiredOf(raw []byte) (desired map[string]any, err error) {
	if raw == nil {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if d.Decode(&desired) != nil { // invariant 8: the error may quote a value
		return nil, errors.New("forecast calls: a desired state is not the JSON object that it must be")
	}
	return desired, nil
}

// forecast counts the calls that the planner wants for entities as they are now.
func forecast(ctx context.Context, cfg Config, led *ledger.Applier, keys []consumers.Key) (calls int64, err error) {
	planner := planner(cfg)
	for chunk := range slices.Chunk(keys, 500) {
		states, err := led.Load(ctx, chunk)
		if err != nil {
			return 0, err
		}
		for _, st := range states {
			if st != nil {
				calls += planner.callsOf(st)
			}
		}
	}
	return calls, nil
}

// planner is an Apply that only plans.
func planner(cfg Config) *Apply { return (&Apply{cfg: cfg, digest: digester(cfg.DigestKey)}).fresh() }

func (a *Apply) callsOf(st *ledger.State) int64 {
	if st.Released {
		return 0
	}
	tn := &turn{Apply: a, task: &task{key: st.Key}}
	tn.begin(st)
	p := makePlan(tn.s)
	n := int64(len(p.calls))
	if p.read {
		n += 2 // the read, and the delete that it permits
	}
	return n
}
