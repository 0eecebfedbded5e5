package transform

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestWhatALagToolSeesAsConsumed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		read   consumption
		stored int64
		want   int64
	}{
		"nothing was ever written":              {consumption{}, 0, 0},
		"all is filled, a marker follows":       {consumption{filled: 9, delivered: 10}, 9, 10},
		"a fill was handed over, not committed": {consumption{filled: 9, delivered: 10}, 4, 4},
		"records wait for a fill":               {consumption{filled: 9, delivered: 20, ahead: true, waiting: 9}, 9, 9},
		"records behind a marker wait":          {consumption{filled: 9, delivered: 20, ahead: true, waiting: 10}, 9, 10},
		"the very first record waits":           {consumption{delivered: 2, ahead: true}, 0, 0},
		"they wait behind a fill":               {consumption{filled: 9, delivered: 20, ahead: true, waiting: 10}, 4, 4},
		"markers alone were ever written":       {consumption{delivered: 2}, 0, 2},
		"a successor has filled more":           {consumption{filled: 9, delivered: 10}, 14, 14},
	} {
		if got := c.read.next(c.stored); got != c.want {
			t.Errorf("%s: %+v of which %d is stored shows as %d, want %d", name, c.read, c.stored, got, c.want)
		}
	}
}

// Ordinary tools see the transform's lag: all of it while it does not work, none
// once it has caught up, markers included; and nothing of theirs is read back
// (invariant 10).
func TestLagToolsSeeTheTransform(t *testing.T) {
	t.Parallel()
	f := docsFeeder(t)
	tr := f.start()
	f.reading().insert("docs", 1, "a", nil, nil, nil).insert("docs", 2, "b", nil, nil, nil).insert("docs", 3, "c", nil, nil, nil).end()
	f.loaded()
	f.evaluated(tr)
	lag := func() int64 {
		lags, err := f.admin.Lag(f.ctx, tr.Connector())
		f.check(err)
		l := lags[tr.Connector()]
		if l.Error() != nil || len(l.Lag) == 0 {
			return -1
		}
		return l.Lag.Total()
	}
	f.until("the group has no lag", func() bool { return lag() == 0 })
	f.stop(tr)

	f.begin().insert("docs", 4, "d", nil, nil, nil).insert("docs", 5, "e", nil, nil, nil).end()
	if n := lag(); n < 3 { // two records and their checkpoint, and perhaps markers
		t.Errorf("with nobody at work the group lags by %d offsets, want the records that lie there", n)
	}
	// a person, or another tool, moves the group: the ledger's offsets count
	topic := f.tables["docs"].topic
	offsets := kadm.Offsets{}
	for p := range int32(3) {
		offsets.Add(kadm.Offset{Topic: topic, Partition: p, At: 1 << 40, LeaderEpoch: -1})
	}
	_, err := f.admin.CommitOffsets(f.ctx, tr.Connector(), offsets)
	f.check(err)
	tr = f.start()
	f.evaluated(tr)
	f.same()
	f.until("the group shows the ledger's offsets again", func() bool {
		committed, err := f.admin.FetchOffsets(f.ctx, tr.Connector())
		f.check(err)
		for p := range int32(3) {
			if o, _ := committed.Lookup(topic, p); o.At == 1<<40 {
				return false
			}
		}
		return lag() == 0
	})
}

// Who shows the offsets is never in the transform's way: with a coordinator that
// takes no commit, what comes is filled and evaluated, and a stop drains.
func TestTheTransformDoesNotWaitForLagTools(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	var refused atomic.Int64
	cluster.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		refused.Add(1)
		answer := r.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, topic := range r.(*kmsg.OffsetCommitRequest).Topics {
			of := kmsg.OffsetCommitResponseTopic{Topic: topic.Topic, TopicID: topic.TopicID}
			for _, p := range topic.Partitions {
				of.Partitions = append(of.Partitions, kmsg.OffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: kerr.CoordinatorNotAvailable.Code})
			}
			answer.Topics = append(answer.Topics, of)
		}
		return answer, nil, true
	})
	t.Setenv(testenv.EnvKafka, strings.Join(cluster.ListenAddrs(), ","))
	f := docsFeeder(t)
	tr := f.start()
	f.reading().insert("docs", 1, "a", nil, nil, nil).end()
	f.loaded()
	f.evaluated(tr)
	f.until("a commit is refused", func() bool { return refused.Load() > 0 })
	for i := range 20 {
		f.begin().insert("docs", 10+i, fmt.Sprint("more ", i), nil, nil, nil).end()
		f.evaluated(tr)
	}
	f.same()
	f.stop(tr)
}
