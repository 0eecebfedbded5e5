package capture_test

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/backstitch/backstitch/producers/capture"
	"github.com/backstitch/backstitch/producers/publisher"
	"github.com/backstitch/backstitch/schemas"
)

// faulty is a rig on an embedded broker that can be made to fail.
func faulty(t *testing.T) (*rig, *kfake.Cluster) {
	t.Helper()
	r := newRig(t, one, "t")
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	r.kafka = []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}
	return r, cluster
}

// invariants 1 and 2: a commit that fails, and one whose answer is lost, leave an
// unknown outcome: a new client reads the last checkpoint and goes on from there.
func TestCommitFailsOrIsLost(t *testing.T) {
	t.Parallel()
	r, cluster := faulty(t)
	s := r.start()
	r.caughtUp(s)
	for i, fault := range []func(kmsg.Request) (kmsg.Response, error, bool){
		func(req kmsg.Request) (kmsg.Response, error, bool) { // refused
			resp := req.ResponseKind().(*kmsg.EndTxnResponse)
			resp.ErrorCode = kerr.InvalidTxnState.Code
			return resp, nil, true
		},
		func(kmsg.Request) (kmsg.Response, error, bool) { return nil, nil, true }, // the connection ends without an answer
	} {
		cluster.ControlKey(int16(kmsg.EndTxn), fault)
		r.exec("INSERT INTO t SELECT i, 'x' FROM generate_series($1::int, $1::int + 9) i", i*10)
		r.caughtUp(s)
	}
	if n := strings.Count(r.logged(), "starts again"); n < 1 {
		t.Errorf("%d restarts: the faults did not bite", n)
	}
	r.verify(r.records())
}

// hazard S15: without a commit for GiveUp while work waits the slot is given up, so
// that another instance can take it.
func TestGivesUpTheSlot(t *testing.T) {
	t.Parallel()
	r, cluster := faulty(t)
	s := r.start(func(c *capture.Config, _ *capture.Deps) { c.GiveUp = time.Second })
	r.caughtUp(s)
	release := make(chan struct{})
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		select {
		case <-release:
			return nil, nil, false
		default:
			return nil, nil, true // every produce request loses its connection
		}
	})
	r.exec("INSERT INTO t VALUES (1, 'x')")
	r.until("the slot to be free", func() bool {
		var active bool
		r.scan(&active, "SELECT coalesce(bool_or(active), false) FROM pg_replication_slots WHERE slot_name = $1", "backstitch_"+r.cfg.Prefix)
		return !active
	})
	close(release)
	r.caughtUp(s)
	r.verify(r.records())
}

// hazards S22 and S28: ends are the last committed data record + 1, carried over
// when untouched, 0 when never written; added partitions move no key.
func TestEndsAndAddedPartitions(t *testing.T) {
	t.Parallel()
	r := newRig(t, one+"; CREATE TABLE empty (id int PRIMARY KEY)", "t", "empty")
	s := r.start()
	r.caughtUp(s)
	r.exec("INSERT INTO t SELECT i, 'x' FROM generate_series(1, 50) i")
	r.caughtUp(s)
	client, err := kgo.NewClient(r.kafka...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	topic := r.cfg.Prefix + ".public.t"
	if _, err := kadm.NewClient(client).CreatePartitions(t.Context(), 4, topic); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = r.start()
	r.caughtUp(s)
	r.exec("DELETE FROM t WHERE id > 25")
	r.caughtUp(s)
	where := map[string]int32{}
	last := map[int32]int64{}
	for _, k := range r.records() {
		if p, ok := where[k.Key]; ok && p != k.Partition {
			t.Errorf("key %s is in partitions %d and %d", k.Key, p, k.Partition)
		}
		where[k.Key] = k.Partition
		last[k.Partition] = max(last[k.Partition], k.Offset)
	}
	c := r.checkpoint()
	if got := c.Topics[r.cfg.Prefix+".public.empty"].Ends; len(got) != 3 || got[0]+got[1]+got[2] != 0 {
		t.Errorf("ends of a topic never written: %v", got)
	}
	ends := c.Topics[topic].Ends
	if len(ends) != 3 {
		t.Fatalf("%d recorded partitions, want the first count of 3", len(ends))
	}
	for p, end := range ends {
		if end != last[int32(p)]+1 {
			t.Errorf("partition %d: end %d, want %d", p, end, last[int32(p)]+1)
		}
	}
	r.verify(r.records())
}

// A drop of slot and publication, and what is left.
func TestTeardown(t *testing.T) {
	t.Parallel()
	r := newRig(t, one, "t")
	s := r.start()
	r.caughtUp(s)
	cfg, deps := capture.Parts(s)
	if _, err := capture.Teardown(t.Context(), cfg, deps); err == nil {
		t.Fatal("a running source was torn down")
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	report, err := capture.Teardown(t.Context(), cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	if !report.DroppedSlot || !report.DroppedPublication || len(report.Topics) != 2 || len(report.Subjects) != 2 {
		t.Fatalf("report = %+v", report)
	}
	var left int
	r.scan(&left, "SELECT (SELECT count(*) FROM pg_publication) + (SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1)", cfg.Slot)
	if left != 0 {
		t.Fatal("something is left at the source")
	}
}

// hazard S28: an aborted transaction's tail delays no reader of the checkpoints.
func TestLastCheckpointBehindAnAbort(t *testing.T) {
	t.Parallel()
	r := newRig(t, one, "t")
	s := r.start()
	r.caughtUp(s)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.TransactionalID("aborts." + r.cfg.Prefix)}, r.kafka...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	aborted := &kgo.Record{Topic: schemas.CheckpointsTopic(r.cfg.Prefix), Key: []byte(schemas.KeyCheckpoint), Value: []byte("{}")}
	if err := client.ProduceSync(t.Context(), aborted).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := client.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	if c := r.checkpoint(); c == nil || c.Source.Epoch != 1 {
		t.Fatalf("the last checkpoint = %+v", c)
	}
	s = r.start()
	r.caughtUp(s)
}

// hazard S13: a barrier stands under a key of its own, so that a compacted topic keeps
// the checkpoint beside it.
func TestBarrierKeepsTheCheckpoint(t *testing.T) {
	t.Parallel()
	r := newRig(t, one, "t")
	s := r.start()
	r.caughtUp(s)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := r.checkpointOf(s)
	pub, recovered, err := publisher.Open(t.Context(), publisher.Config{Prefix: r.cfg.Prefix, Kafka: r.kafka})
	if err != nil {
		t.Fatal(err)
	}
	pub.Close()
	if recovered.Checkpoint == nil || recovered.Checkpoint.Position != before.Position {
		t.Fatalf("behind the barrier stands %+v, want %+v", recovered.Checkpoint, before.Position)
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{schemas.CheckpointsTopic(r.cfg.Prefix): {0: kgo.NewOffset().AtStart()}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	}, r.kafka...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	compacted := map[string]*kgo.Record{} // what compaction leaves
	for barriers := 0; barriers < 2; {    // the source's and ours
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			last := it.Next()
			compacted[string(last.Key)] = last
			if string(last.Key) == schemas.KeyBarrier {
				barriers++
			}
		}
	}
	kept := compacted[schemas.KeyCheckpoint]
	if kept == nil {
		t.Fatal("compaction leaves no checkpoint")
	}
	if c, err := schemas.DecodeCheckpoint(kept.Value); err != nil || c.Position != before.Position {
		t.Errorf("compaction leaves %s: %v", kept.Value, err)
	}
}

// hazard S17: changes that come one by one are gathered: two Kafka transactions keep
// their gap, and a transaction that would hold only a position waits for the heartbeat.
func TestTransactionsKeepTheirGap(t *testing.T) {
	t.Parallel()
	const gap = 100 * time.Millisecond
	r := newRig(t, one, "t")
	s := r.start(func(c *capture.Config, _ *capture.Deps) { c.MinGap, c.Heartbeat = gap, time.Hour })
	r.until("the first backfill", func() bool { return s.Status().FirstComplete && s.Status().Phase == "streaming" })
	lsn, err := capture.Heartbeat(t.Context(), r.sql)
	if err != nil {
		t.Fatal(err)
	}
	r.until("the heartbeat", func() bool { return s.Status().Position.EndLSN >= lsn })
	began, before := time.Now(), capture.Commits(s)
	for i := range 200 {
		r.exec("INSERT INTO t VALUES ($1, 'x')", i)
	}
	r.until("all of them", func() bool { return s.Status().Records == 200 })
	if n, most := capture.Commits(s)-before, float64(time.Since(began)/gap)+2; n > most {
		t.Errorf("%v transactions in %s, want at most %v", n, time.Since(began), most)
	}
	before = capture.Commits(s)
	for range 20 {
		r.exec("SELECT pg_logical_emit_message(true, 'somebody', 'x')")
	}
	emitted := time.Now()
	r.until("the stream to have passed them", func() bool {
		slot := s.Status().Slot
		return slot.LagSeconds != nil && *slot.LagSeconds == 0 && slot.LookedAt.Sub(emitted) > time.Second
	})
	if n := capture.Commits(s) - before; n != 0 {
		t.Errorf("%v transactions for positions alone", n)
	}
}
