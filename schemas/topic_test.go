package schemas

import (
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// Two independent clients put a key where Partition does, so that records that
// other producers write with the same key land beside ours.
func TestPartitionIsKafkasOwn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 1, 64).Draw(t, "key")
		n := rapid.IntRange(1, 48).Draw(t, "partitions")
		got := int(Partition(key, n))
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		if want := (kafka.Murmur2Balancer{}).Balance(kafka.Message{Key: key}, all...); got != want {
			t.Fatalf("key %x of %d: partition %d, kafka-go's %d", key, n, got, want)
		}
		// what a client without options uses; a key decides before the backup is asked
		byDefault := kgo.UniformBytesPartitioner(64<<10, true, true, nil).ForTopic("t").(kgo.TopicBackupPartitioner)
		if want := byDefault.PartitionByBackup(&kgo.Record{Key: key}, n, nil); got != want {
			t.Fatalf("key %x of %d: partition %d, franz-go's %d", key, n, got, want)
		}
	})
}

func TestTopicNames(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		DataTopic("acme", Table{"public", "Team"}): "acme.public.Team",
		CheckpointsTopic("acme"):                   "acme.checkpoints",
		ApplyTopic("acme", LaneLive):               "acme.apply.live",
		ApplyTopic("acme", LaneBackfill):           "acme.apply.backfill",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestWakeKeysAreDistinct(t *testing.T) {
	t.Parallel()
	if got := (Wake{Kind: "member", Organization: "a|b", Entity: "50%"}).Key(); got != "member|a%7Cb|50%25" {
		t.Errorf("key %s", got)
	}
	part := rapid.StringMatching(`[a|%7C25]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		a := Wake{Kind: "member", Organization: part.Draw(t, "organization a"), Entity: part.Draw(t, "entity a")}
		b := Wake{Kind: "member", Organization: part.Draw(t, "organization b"), Entity: part.Draw(t, "entity b")}
		if same := a.Organization == b.Organization && a.Entity == b.Entity; (a.Key() == b.Key()) != same {
			t.Fatalf("%q and %q", a.Key(), b.Key())
		}
	})
}
