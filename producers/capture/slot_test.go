package capture_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/producers/capture"
)

const megabyte = 1 << 20

// writeLog writes about n bytes of write-ahead log that no slot of ours decodes a row
// of, and flushes them: the server tells of no position that it has not written.
func (r *rig) writeLog(n int) {
	r.t.Helper()
	for written := 0; written < n; written += megabyte {
		r.exec("SELECT pg_logical_emit_message(true, 'somebody', repeat('x', $1::int))", megabyte)
	}
}

func (r *rig) report() *capture.SlotReport {
	r.t.Helper()
	report, err := capture.SlotLeft(r.t.Context(), r.sql, "backstitch_"+r.cfg.Prefix)
	if err != nil {
		r.t.Fatal(err)
	}
	return report
}

// A slot that is left behind is told with what it costs.
func TestSlotLeft(t *testing.T) {
	t.Parallel()
	r := newOwnRig(t, one, "t")
	if report := r.report(); report.Exists || report.RetainedBytes != 0 {
		t.Fatalf("before the first start: %+v", report)
	}
	s := r.start()
	r.caughtUp(s)
	if report := r.report(); !report.Exists || !report.Active {
		t.Fatalf("while it is read: %+v", report)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := r.report()
	r.writeLog(5 * megabyte)
	report := r.report()
	if report.Active || report.WALStatus != "reserved" || report.ConfirmedLSN == 0 || report.RestartLSN > report.ConfirmedLSN {
		t.Errorf("left behind: %+v", report)
	}
	if grown := report.RetainedBytes - before.RetainedBytes; grown < 5*megabyte || grown > 30*megabyte {
		t.Errorf("it retains %d bytes more after 5 MB were written", grown)
	}
	if report.LagBytes < 5*megabyte || report.LagBytes > report.RetainedBytes {
		t.Errorf("it lags by %d of %d bytes", report.LagBytes, report.RetainedBytes)
	}
}

// silenced is a rig on a server and a broker of its own, and the way to have the broker
// take no more commits.
func silenced(t *testing.T) (r *rig, silence func()) {
	t.Helper()
	r = newOwnRig(t, one, "t")
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	cable := testenv.NewCable(t)
	r.kafka = []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.Dialer(cable.Dial)}
	return r, func() { cable.Cut(true) }
}

// With Kafka down the guardian goes on: it says how fast the log grows, how long the
// disk lasts, and warns when more is retained than may be, once.
func TestGuardianWatchesWhileKafkaIsDown(t *testing.T) {
	t.Parallel()
	r, silence := silenced(t)
	metrics := prometheus.NewPedanticRegistry()
	s := r.start(func(c *capture.Config, d *capture.Deps) {
		c.SlotMaxRetained, c.GiveUp = 20*megabyte, time.Second
		d.Metrics = metrics
	})
	r.caughtUp(s)
	r.until("a slot that is caught up", func() bool {
		slot := s.Status().Slot
		return slot.Exists && slot.LagSeconds != nil && *slot.LagSeconds == 0
	})
	if st := s.Status(); st.KafkaSilentSince != nil || st.Slot.OverLimit || st.Slot.MaxRetained != 20*megabyte {
		t.Fatalf("while all is well: %+v", st.Slot)
	}
	silence()
	r.exec("INSERT INTO t VALUES (1, 'x')")
	r.until("the slot to be given up", func() bool { return !r.report().Active })
	r.writeLog(5 * megabyte)
	r.until("the guardian to say how long the disk lasts", func() bool {
		slot := s.Status().Slot
		return s.Status().KafkaSilentSince != nil && slot.GrowthBytesPerSecond > 0 && slot.SecondsLeft != nil && *slot.SecondsLeft > 0 &&
			slot.LagSeconds != nil && *slot.LagSeconds > 0 && strings.Contains(r.logged(), "Kafka takes no commits")
	})
	r.writeLog(20 * megabyte)
	r.until("more than may be", func() bool { slot := s.Status().Slot; return slot.OverLimit && *slot.SecondsLeft == 0 })
	r.writeLog(megabyte)
	looked := s.Status().Slot.LookedAt
	r.until("another look", func() bool { return s.Status().Slot.LookedAt.After(looked) })
	if n := strings.Count(r.logged(), "keep more log than slot.max_retained"); n != 1 {
		t.Errorf("it warned %d times, want once a crossing", n)
	}
	if !r.report().Exists {
		t.Error("an alert dropped the slot")
	}
	names := []string{
		"backstitch_source_slot_over_limit", "backstitch_source_slot_remaining_seconds", "backstitch_source_slot_growth_bytes_per_second",
		"backstitch_source_kafka_silent_seconds", "backstitch_source_slot_lost",
	}
	if n, err := testutil.GatherAndCount(metrics, names...); err != nil || n != len(names) {
		t.Errorf("%d of %d metrics: %v", n, len(names), err)
	}
}

// slot.on_exceed: drop. The slot goes, whether Kafka answers or not, whether the source
// runs or is held, and the source is held with the way out.
func TestSlotIsDroppedBeyondTheLimit(t *testing.T) {
	t.Parallel()
	r, silence := silenced(t)
	s := r.start(func(c *capture.Config, _ *capture.Deps) {
		c.SlotMaxRetained, c.SlotOnExceed, c.GiveUp = 20*megabyte, capture.OnExceedDrop, time.Second
	})
	r.caughtUp(s)
	silence()
	r.exec("INSERT INTO t VALUES (1, 'x')")
	r.until("the slot to be given up", func() bool { return !r.report().Active })
	r.writeLog(25 * megabyte)
	r.until("the slot to be dropped", func() bool { return !r.report().Exists })
	r.until("a hold", func() bool { return s.Held() != nil })
	held := s.Held()
	if !strings.Contains(held.Reason, "slot.max_retained") || !strings.HasPrefix(held.Fix, "Run `backstitch backfill --all`") {
		t.Errorf("held: %v", held)
	}
}

// The limit holds for an owner that works too: an open transaction of the application
// keeps the log from going. Afterwards `backfill --all` starts the next epoch.
func TestSlotOfARunningOwnerIsDropped(t *testing.T) {
	t.Parallel()
	r := newOwnRig(t, one, "t")
	s := r.start(func(c *capture.Config, _ *capture.Deps) {
		c.SlotMaxRetained, c.SlotOnExceed = 20*megabyte, capture.OnExceedDrop
	})
	r.caughtUp(s)
	writer := r.connect()
	if _, err := writer.Exec(t.Context(), "BEGIN; INSERT INTO t VALUES (1, 'open')"); err != nil {
		t.Fatal(err)
	}
	r.writeLog(25 * megabyte)
	r.until("a hold", func() bool { return s.Held() != nil })
	if r.report().Exists {
		t.Error("held, and the slot is there")
	}
	if _, err := writer.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := s.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	r.until("the next epoch", func() bool { return s.Status().Epoch == 2 })
	r.caughtUp(s)
}
