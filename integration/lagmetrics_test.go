package integration_test

import (
	"encoding/json"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/pipeline/admin"
)

// metrics are the samples that an instance serves, by name with labels as served.
func metrics(t *testing.T, p *harness.Process) map[string]float64 {
	t.Helper()
	found := map[string]float64{}
	for _, line := range strings.Split(p.Get(t, "/metrics"), "\n") {
		if !strings.HasPrefix(line, "backstitch_") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			t.Fatalf("/metrics says %q: %v", line, err)
		}
		found[line[:at]] = v
	}
	return found
}

// named are the samples of the metrics with these names.
func named(all map[string]float64, names ...string) map[string]float64 {
	found := maps.Clone(all)
	maps.DeleteFunc(found, func(k string, _ float64) bool { return !slices.Contains(names, strings.SplitN(k, "{", 2)[0]) })
	return found
}

var steady = []string{
	"backstitch_lag_records", "backstitch_lag_bytes", "backstitch_backfill_rows", "backstitch_backfill_rows_total_estimate",
	"backstitch_backfill_eta_seconds", "backstitch_entities", "backstitch_entities_parked",
}

// The lag is the cluster's: every instance serves the same at /metrics and /status,
// and it is what kafka-consumer-groups says.
func TestLagMetricsAreTheClusters(t *testing.T) {
	t.Parallel()
	testenv.RealKafka(t)
	o := harness.Example()
	o.Schema += harness.ExampleRows(6) + "UPDATE users SET email = 'no address' WHERE id = 7;"
	w := harness.New(t, o)
	first := w.Run(t)
	w.CaughtUp(t, 2*time.Minute)
	harness.Eventually(t, time.Minute, "every metric is served", func() bool {
		all := metrics(t, first)
		return !slices.ContainsFunc(steady, func(name string) bool { return len(named(all, name)) == 0 })
	})
	documented(t, first)

	second := w.Run(t)
	transform := w.Prefix + "-transform"
	stop(t, w, first, transform)
	w.Exec(t, "UPDATE users SET name = name || ' Changed'")
	inTopics(t, w, w.Heartbeat(t))
	stop(t, w, first, w.Prefix+"-source")
	tool := toolLags(t, w, transform)
	var all map[string]float64
	harness.Eventually(t, time.Minute, "both instances serve the same, and what kafka-consumer-groups says", func() bool {
		all = metrics(t, second)
		for at, want := range tool {
			if n, ok := all["backstitch_lag_records"+labels(transform, at)]; !ok || n != float64(want) {
				return false
			}
		}
		return all[`backstitch_lag_bytes{group="`+w.Prefix+`-source",lane="",partition="",topic=""}`] > 0 && withoutSlot(metrics(t, first), all)
	})
	for at, want := range tool {
		if s := all["backstitch_lag_seconds"+labels(transform, at)]; s > 0 != (want > 0) || s > 600 {
			t.Errorf("the lag of %v is %v s with %d records", at, s, want)
		}
		if b := all["backstitch_lag_bytes"+labels(transform, at)]; b > 0 != (want > 0) {
			t.Errorf("the lag of %v is %v bytes with %d records", at, b, want)
		}
	}
	if n := all[`backstitch_entities_parked{kind="member",reason="invalid_email"}`]; n < 1 || n != all[`backstitch_entities{kind="member",state="parked"}`] {
		t.Errorf("%v members are parked for their address", n)
	}
	if rows, eta := all[`backstitch_backfill_rows{table="public.users"}`], all[`backstitch_backfill_eta_seconds{table="public.users"}`]; rows != 30 || eta != 0 {
		t.Errorf("%v rows were read, %v s to go", rows, eta)
	}
	sameStatus(t, first, second)
	harness.Eventually(t, time.Minute, "the page's plots have the slot's age and the topics'", func() bool {
		var answer admin.ClusterSeries
		if err := json.Unmarshal([]byte(second.Get(t, "/series?scope=instance")), &answer); err != nil {
			t.Fatal(err)
		}
		v := answer.Instances[0].Values
		slot, topics := v["slot_lag_seconds"], v["source_topics_lag_seconds"]
		return len(slot) > 0 && slot[len(slot)-1] > 0 && topics[len(topics)-1] > 0
	})
}

func labels(group string, at place) string {
	return `{group="` + group + `",lane="",partition="` + strconv.Itoa(int(at.partition)) + `",topic="` + at.topic + `"}`
}

// withoutSlot compares what stands still: the source's server logs on.
func withoutSlot(a, b map[string]float64) bool {
	a, b = named(a, steady...), named(b, steady...)
	for _, m := range []map[string]float64{a, b} {
		maps.DeleteFunc(m, func(k string, _ float64) bool { return strings.Contains(k, `-source",`) })
	}
	return len(a) > 60 && maps.Equal(a, b)
}

// sameStatus compares the lag of two instances' statuses.
func sameStatus(t *testing.T, a, b *harness.Process) {
	t.Helper()
	var of [2]admin.Status
	for i, p := range []*harness.Process{a, b} {
		if err := json.Unmarshal([]byte(p.Get(t, "/status")), &of[i]); err != nil {
			t.Fatal(err)
		}
		if len(of[i].Problems) > 0 {
			t.Errorf("status: %v", of[i].Problems)
		}
	}
	for i, l := range of[0].Lag {
		m := of[1].Lag[i]
		if l.Topic != m.Topic || l.Records != m.Records || *l.Bytes != *m.Bytes || math.Abs(*l.Seconds-*m.Seconds) > 60 {
			t.Errorf("one instance says %+v, the other %+v", l, m)
		}
	}
	if s := of[0].Source; s.SlotLagSeconds == nil || *s.SlotLagSeconds <= 0 || s.SlotLagBytes <= 0 || s.SlotLagBytes > s.RetainedBytes {
		t.Errorf("the slot that nobody reads is %+v", s)
	}
}

// documented compares the metrics that are served with those of docs/metrics.md.
func documented(t *testing.T, p *harness.Process) {
	t.Helper()
	doc, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	told, served := map[string]bool{}, map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(backstitch_[a-z_]+)`").FindAllStringSubmatch(string(doc), -1) {
		told[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (backstitch_[a-z_]+) `).FindAllStringSubmatch(p.Get(t, "/metrics"), -1) {
		served[m[1]] = true
		if !told[m[1]] {
			t.Errorf("%s is served and stands in no table of docs/metrics.md", m[1])
		}
	}
	for name := range told {
		if !served[name] {
			t.Errorf("%s stands in docs/metrics.md and is not served", name)
		}
	}
}
