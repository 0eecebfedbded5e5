package capture_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/producers/capture"
	"github.com/backstitch/backstitch/schemas"
)

// feed reads the checkpoints topic as the transform does, markers included, up to
// the position that a source has committed.
func (r *rig) feed(until schemas.Position) (records []*kgo.Record) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	topic := schemas.CheckpointsTopic(r.cfg.Prefix)
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
	}, r.kafka...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			r.t.Fatalf("read the checkpoints: %v", err)
		}
		records = append(records, fetches.Records()...)
		if last := r.lastIn(records); last != nil && last.Position.Version.Compare(until.Version) >= 0 {
			return records
		}
	}
}

func (r *rig) lastIn(records []*kgo.Record) (last *schemas.Checkpoint) {
	for _, k := range records {
		if string(k.Key) == schemas.KeyCheckpoint && !k.Attrs.IsControl() {
			last = r.asCheckpoint(k)
		}
	}
	return last
}

func (r *rig) asCheckpoint(k *kgo.Record) *schemas.Checkpoint {
	r.t.Helper()
	c, err := schemas.DecodeCheckpoint(k.Value)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// What the transform relies on (hazards S25, C9): a control record stands before the
// checkpoint of its own Kafka transaction, which is the first one at or past its
// version. Whoever goes from checkpoint to checkpoint has seen it when it matters;
// kills do not change that.
func TestControlStandsBeforeItsCheckpoint(t *testing.T) {
	t.Parallel()
	r := newRig(t, one+`; INSERT INTO t SELECT i, 'a' FROM generate_series(1, 10) i`, "t")
	small := func(c *capture.Config, _ *capture.Deps) { c.BatchRecords, c.MinGap = 3, 5*time.Millisecond }
	s := r.start(small)
	r.caughtUp(s)
	for i := range 4 {
		r.exec("BEGIN; INSERT INTO t SELECT i, 'b' FROM generate_series(100, 140) i; TRUNCATE t; INSERT INTO t SELECT i, 'c' FROM generate_series(1, 40) i; COMMIT")
		r.exec(fmt.Sprintf("ALTER TABLE t ADD COLUMN c%d text", i))
		r.exec(fmt.Sprintf("UPDATE t SET c%d = 'x'", i))
		kill(s)
		s = r.start(small)
	}
	r.caughtUp(s)
	truncates, columns := 0, 0
	var control *schemas.Control // waits for its checkpoint
	var before schemas.Version
	for _, k := range r.feed(s.Status().Position) {
		switch {
		case k.Attrs.IsControl():
			if control != nil {
				t.Errorf("control record %s is in a Kafka transaction without a checkpoint behind it", control.Version)
			}
			control = nil
		case strings.HasPrefix(string(k.Key), schemas.KeyControlPrefix):
			c, err := schemas.DecodeControl(k.Value)
			if err != nil {
				t.Fatal(err)
			}
			if before.Compare(c.Version) >= 0 {
				t.Errorf("%s at %s stands after a checkpoint at %s", c.Kind, c.Version, before)
			}
			if c.Kind == schemas.ControlTruncate {
				truncates++
			} else {
				columns++
			}
			control = c
		case string(k.Key) == schemas.KeyCheckpoint:
			before = r.asCheckpoint(k).Position.Version
			if control != nil && before.Compare(control.Version) < 0 {
				t.Errorf("%s at %s has a checkpoint at %s behind it", control.Kind, control.Version, before)
			}
			control = nil
		}
	}
	if truncates != 4 || columns != 4 {
		t.Errorf("%d truncates and %d changes of columns were told, want 4 of each, once", truncates, columns)
	}
}
