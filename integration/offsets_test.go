package integration_test

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/pipeline/config"
	"github.com/backstitch/backstitch/schemas"
)

// Offsets of apply are altered while it is stopped only; moved ahead over wake-ups
// that nobody has seen they lose nothing (invariant 6), reset they cost no call
// (invariant 5).
func TestOffsetsAreAlteredWhileStopped(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	o := harness.Example()
	o.Schema += harness.ExampleRows(6)
	w := harness.New(t, o)
	p := w.Run(t)
	w.CaughtUp(t, time.Minute)
	cfg, err := config.Load(w.Config)
	if err != nil {
		t.Fatal(err)
	}
	clients, err := pipeline.NewClients(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer clients.Stytch.Close()
	if err := pipeline.ResetOffsets(ctx, cfg, clients, w.LedgerPool); !errors.Is(err, pipeline.ErrNotStopped) {
		t.Errorf("reset while it runs: %v", err)
	}
	apply := w.Prefix + "-apply"
	if err := ledger.SetTarget(ctx, w.LedgerPool, apply, ledger.TargetStopped, "a test"); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, time.Minute, "apply has no tasks", func() bool { return len(connectors(t, p)[apply].Tasks) == 0 })
	live := schemas.ApplyTopic(w.Prefix, schemas.LaneLive)
	var bad *pipeline.BadReplay
	for _, offsets := range []map[string]map[int32]int64{
		{"nowhere": {0: 0}}, {live: {99: 0}}, {live: {0: -1}}, {live: {0: 1 << 40}},
	} {
		if err := pipeline.AlterOffsets(ctx, cfg, clients, w.LedgerPool, offsets); !errors.As(err, &bad) {
			t.Errorf("offsets %v: %v", offsets, err)
		}
	}

	seq := w.Simulator.Seq()
	w.Exec(t, "UPDATE users SET name = 'Skipped by a person' WHERE id = 3")
	lsn := w.Heartbeat(t)
	client, err := kgo.NewClient(clients.Kafka...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends := map[string]map[int32]int64{live: {}}
	harness.Eventually(t, time.Minute, "the wake-up lies in its topic", func() bool {
		progress, err := ledger.CaughtUp(ctx, w.LedgerPool, lsn)
		listed, lerr := kadm.NewClient(client).ListEndOffsets(ctx, live)
		if err != nil || lerr != nil || !progress.Evaluated {
			return false
		}
		total := int64(0)
		listed.Each(func(o kadm.ListedOffset) { ends[live][o.Partition] = o.Offset; total += o.Offset })
		return total > 0
	})
	if err := pipeline.AlterOffsets(ctx, cfg, clients, w.LedgerPool, ends); err != nil {
		t.Fatal(err)
	}
	if err := ledger.SetTarget(ctx, w.LedgerPool, apply, ledger.TargetRunning, ""); err != nil {
		t.Fatal(err)
	}
	w.CaughtUp(t, time.Minute)
	w.Clean(t)
	if w.Simulator.Seq() == seq {
		t.Error("what was skipped made no call")
	}

	if err := ledger.SetTarget(ctx, w.LedgerPool, apply, ledger.TargetStopped, "a test"); err != nil {
		t.Fatal(err)
	}
	// asked before any instance has seen the stop, as by who does not wait for it
	if err := pipeline.ResetOffsets(ctx, cfg, clients, w.LedgerPool); err != nil {
		t.Error(err)
	}
	seq = w.Simulator.Seq()
	if err := ledger.SetTarget(ctx, w.LedgerPool, apply, ledger.TargetRunning, ""); err != nil {
		t.Fatal(err)
	}
	w.CaughtUp(t, time.Minute)
	w.Drained(t, time.Minute)
	if n := w.Simulator.Seq() - seq; n != 0 {
		t.Errorf("a reset of unchanged entities made %d calls", n)
	}
}
