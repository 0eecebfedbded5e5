package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/integration/testenv/jvmkafka"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/pipeline/lag"
	"github.com/backstitch/backstitch/schemas"
)

// place is a partition of a topic.
type place struct {
	topic     string
	partition int32
}

// lags is what `backstitch lag` says of a group, by partition.
func lags(t *testing.T, w *harness.World, group string) (byPlace map[place]admin.LagPartition, report lag.Report) {
	t.Helper()
	if err := json.Unmarshal([]byte(w.Output(t, "lag", "-o", "json")), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Problems) > 0 {
		t.Errorf("lag could not read everything: %v", report.Problems)
	}
	byPlace = map[place]admin.LagPartition{}
	for _, l := range report.Lag {
		for _, p := range l.Partitions {
			if l.Group == group {
				byPlace[place{l.Topic, p.Partition}] = p
			}
		}
	}
	return byPlace, report
}

// toolLags is what kafka-consumer-groups says of a group. A partition of which it has
// no offset is not among them.
func toolLags(t *testing.T, w *harness.World, group string) map[place]int64 {
	t.Helper()
	out, err := jvmkafka.ConsumerGroups(t.Context(), "--bootstrap-server", w.Brokers[0], "--describe", "--group", group)
	if errors.Is(err, jvmkafka.ErrNoJVM) {
		testenv.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	found := map[place]int64{}
	for _, line := range strings.Split(out, "\n") {
		// GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG …
		f := strings.Fields(line)
		if len(f) < 6 || f[0] != group || f[3] == "-" {
			continue
		}
		partition, err1 := strconv.Atoi(f[2])
		n, err2 := strconv.ParseInt(f[5], 10, 64)
		if err1 != nil || err2 != nil {
			t.Fatalf("kafka-consumer-groups printed %q", line)
		}
		found[place{f[1], int32(partition)}] = n
	}
	return found
}

// kcatLag is how many records kcat reads of a partition as a member of the group
// would: from the group's committed offset on, read_committed.
func kcatLag(t *testing.T, w *harness.World, at place, from int64) int64 {
	t.Helper()
	if _, err := exec.LookPath("kcat"); err != nil {
		testenv.Missing(t, "kcat (apt-get install kcat)")
	}
	out, err := exec.CommandContext(t.Context(), "kcat", "-C", "-q", "-e", "-b", strings.Join(w.Brokers, ","), "-t", at.topic,
		"-p", fmt.Sprint(at.partition), "-o", fmt.Sprint(from), "-X", "isolation.level=read_committed", "-f", "%o\n").Output()
	if err != nil {
		t.Fatalf("kcat: %v", err)
	}
	return int64(strings.Count(string(out), "\n"))
}

// sameLags compares a group's lag with what kafka-consumer-groups and kcat say, and
// returns the sum.
func sameLags(t *testing.T, w *harness.World, group string) (sum int64) {
	t.Helper()
	ours, report := lags(t, w, group)
	tool := toolLags(t, w, group)
	if len(tool) == 0 {
		t.Errorf("kafka-consumer-groups does not know group %s", group)
	}
	for at, p := range ours {
		sum += p.Records
		// without an offset of the group the tool knows no lag
		if n, ok := tool[at]; ok && n != p.Records || !ok && p.CurrentOffset > 0 {
			t.Errorf("%s %d of %s lags by %d; kafka-consumer-groups says %d (%t)", at.topic, at.partition, group, p.Records, n, ok)
		}
		if n := kcatLag(t, w, at, p.CurrentOffset); n > p.Records || p.Records > 0 && n == 0 {
			t.Errorf("%s %d of %s lags by %d; kcat reads %d records", at.topic, at.partition, group, p.Records, n)
		}
		if p.Bytes == nil || p.Seconds == nil {
			t.Errorf("%s %d: %+v lacks bytes or seconds", at.topic, at.partition, p)
			continue
		}
		if some := p.Records > 0; *p.Bytes > 0 != some || *p.Seconds > 0 != some || *p.Seconds > 600 {
			t.Errorf("%s %d: %d records, %d bytes, %f s", at.topic, at.partition, p.Records, *p.Bytes, *p.Seconds)
		}
	}
	for _, l := range report.Lag {
		if l.Group == group && (l.Bytes == nil || l.Seconds == nil || l.Records > 0 != (*l.Bytes > 0)) {
			t.Errorf("%s of %s sums up to %+v", l.Topic, group, l)
		}
	}
	return sum
}

// stop has a connector stopped in all instances.
func stop(t *testing.T, w *harness.World, p *harness.Process, connector string) {
	t.Helper()
	if err := ledger.SetTarget(t.Context(), w.LedgerPool, connector, ledger.TargetStopped, "a test"); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, time.Minute, connector+" has no tasks", func() bool { return len(connectors(t, p)[connector].Tasks) == 0 })
}

// The lag is what ordinary tools say it is, of the transform, whose offsets live in
// the ledger, as well as of apply: none when a group has caught up, although markers
// stand at the topics' ends (hazard S28), and what lies there when it does not work.
func TestLagIsWhatOrdinaryToolsSay(t *testing.T) {
	t.Parallel()
	testenv.RealKafka(t)
	ctx := context.Background()
	o := harness.Example()
	o.Schema += harness.ExampleRows(6)
	w := harness.New(t, o)
	p := w.Run(t)
	w.CaughtUp(t, 2*time.Minute)
	w.Exec(t, "UPDATE users SET name = name || ' Once'") // something came through both lanes
	w.CaughtUp(t, time.Minute)
	transform, apply := w.Prefix+"-transform", w.Prefix+"-apply"
	none := func(group string) {
		harness.Eventually(t, time.Minute, group+" shows no lag, and ordinary tools none either", func() bool {
			sum := int64(0)
			ours, _ := lags(t, w, group)
			for _, p := range ours {
				sum += p.Records
			}
			tool := toolLags(t, w, group)
			for _, n := range tool {
				sum += n
			}
			return sum == 0 && len(tool) > 0
		})
	}
	none(transform)
	none(apply)
	sameLags(t, w, apply)

	stop(t, w, p, transform)
	w.Exec(t, "UPDATE users SET name = name || ' Changed'")
	lsn := w.Heartbeat(t)
	inTopics(t, w, lsn)
	stop(t, w, p, w.Prefix+"-source") // nothing more comes
	if n := sameLags(t, w, transform); n < 20 {
		t.Errorf("the transform lags by %d, want the updates of 30 users", n)
	}
	if _, report := lags(t, w, transform); report.Source.SlotLagSeconds == nil || report.Source.SlotActive || report.Source.RestartLSN == "" {
		t.Errorf("the slot that nobody reads is %+v", report.Source)
	}

	stop(t, w, p, apply)
	for _, connector := range []string{w.Prefix + "-source", transform} {
		if err := ledger.SetTarget(ctx, w.LedgerPool, connector, ledger.TargetRunning, ""); err != nil {
			t.Fatal(err)
		}
	}
	none(transform)
	harness.Eventually(t, time.Minute, "the wake-ups lie in their topics", func() bool {
		_, report := lags(t, w, apply)
		return report.Entities.Unannounced == 0 && report.Entities.Waiting() > 0
	})
	if n := sameLags(t, w, apply); n < 10 || len(toolLags(t, w, apply)) < 4 {
		t.Errorf("apply lags by %d, want the wake-ups of what changed", n)
	}
	if err := ledger.SetTarget(ctx, w.LedgerPool, apply, ledger.TargetRunning, ""); err != nil {
		t.Fatal(err)
	}
	w.CaughtUp(t, time.Minute)
	none(apply)
	w.Clean(t)
}

// inTopics waits until everything that was committed up to lsn is in the topics.
func inTopics(t *testing.T, w *harness.World, lsn schemas.LSN) {
	t.Helper()
	harness.Eventually(t, time.Minute, "the changes are in their topics", func() bool {
		s := w.Status(t)
		if s.Source == nil {
			return false
		}
		end, err := schemas.ParseLSN(s.Source.EndLSN)
		return err == nil && end >= lsn
	})
}
