package cli

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/pipeline"
)

func TestParseTopics(t *testing.T) {
	t.Parallel()
	got, err := parseTopics([]string{"a.live:0,2", "b"})
	if want := map[string][]int32{"a.live": {0, 2}, "b": nil}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	for _, bad := range [][]string{{""}, {":1"}, {"a:"}, {"a:x"}, {"a:-1"}, {"a:1,"}, {"a", "a:1"}, {"a:99999999999"}} {
		if got, err := parseTopics(bad); err == nil {
			t.Errorf("%q is taken for %v", bad, slices.Collect(maps.Keys(got)))
		}
	}
}

func TestParseDatetime(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]time.Time{
		"2026-11-24T10:00:00.000":       time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC),
		"2026-11-24T10:00:00":           time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC),
		"2026-11-24T10:00:00.250+0200":  time.Date(2026, 11, 24, 8, 0, 0, 250e6, time.UTC),
		"2026-11-24T10:00:00Z":          time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC),
		"2026-11-24T10:00:00.5+02:00":   time.Date(2026, 11, 24, 8, 0, 0, 500e6, time.UTC),
		"2026-11-24T10:00:00.123456789": time.Date(2026, 11, 24, 10, 0, 0, 123456789, time.UTC),
	} {
		if got, err := parseDatetime(s); err != nil || !got.Equal(want) {
			t.Errorf("%s is %s, %v, want %s", s, got, err, want)
		}
	}
	for _, bad := range []string{"", "yesterday", "2026-11-24", "24.11.2026 10:00"} {
		if _, err := parseDatetime(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// What is wrong with a replay's flags is a mistake of usage, found before anything is
// opened.
func TestReplayUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"apply"},
		{"apply", "--to-earliest", "--to-offset", "1", "--topic", "t:0"},
		{"apply", "--to-earliest=false"},
		{"apply", "--to-offset", "1"},
		{"apply", "--to-offset", "-1", "--topic", "t:0"},
		{"apply", "--to-datetime", "yesterday"},
		{"apply", "--to-earliest", "--topic", "t:x"},
		{"apply", "--to-earliest", "-o", "yaml"},
		{"apply", "--to-earliest"}, // no file
		{"transform"},
		{"transform", "--force", "--to-earliest"},
		{"transform", "--to-offset", "1"},
		{"transform", "--rebuild", "--to-earliest"},
		{"transform", "--rebuild", "--organization", "3"},
		{"transform", "--rebuild", "--topic", "t"},
		{"transform", "--rebuild", "-o", "json"},
		{"transform", "--rebuild", "-o", "yaml"},
		{"transform", "--rebuild"}, // no file
		{"nothing"},
		{},
	} {
		var out, errOut bytes.Buffer
		if code := Main(append([]string{"replay"}, args...), &out, &errOut); code != ExitUsage {
			t.Errorf("replay %v exits with %d: %s%s", args, code, out.String(), errOut.String())
		}
	}
}

func TestParkedUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		nil,
		{"nothing"},
		{"show"},
		{"show", "a", "b"},
		{"drop"},
		{"drop", "--kind", "member"},
		{"list", "--reason", "nonsense"},
		{"list", "--kind", "person"},
		{"list", "-o", "yaml"},
		{"retry", "--reason", "nonsense"},
	} {
		var out, errOut bytes.Buffer
		if code := Main(append([]string{"parked"}, args...), &out, &errOut); code != ExitUsage {
			t.Errorf("parked %v exits with %d: %s%s", args, code, out.String(), errOut.String())
		}
	}
}

func TestPlanIsShown(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := printPlan(&out, &pipeline.ReplayPlan{
		Connector: "acme-apply", Force: true, Stops: true, Target: ledger.TargetRunning,
		Partitions: []pipeline.ReplayPartition{{Topic: "acme.apply.live", Partition: 0, Current: 120, New: 100, End: 130}},
		Notices:    []string{"acme.apply.live partition 0: offset 5 is below the earliest one; it begins at 100"},
		Records:    20, Selected: ledger.Selected{Entities: 1234567, Differ: 3, Waiting: 2, Unknown: 1, Readable: 1234560},
		Reads: 1234560, Calls: 4, Rate: 60, Hours: 5.7,
	})
	want := `TOPIC            PARTITION  CURRENT-OFFSET  NEW-OFFSET  LOG-END-OFFSET
acme.apply.live  0          120             100         130
note: acme.apply.live partition 0: offset 5 is below the earliest one; it begins at 100

records            20         gone through again
entities           1,234,567  
differ             3          from what is applied; they are tried
wait for a person  2          parked, blocked, dropped or awaiting consent; fresh reads try the parked ones again
unknown            1          not in the ledger; nothing is done about them
fresh reads        1,234,560  what they find changed is repaired: one or two calls more for each
API calls          1,234,564  about 5.7 hours at 60/s
acme-apply is stopped in all instances while this is set, and is RUNNING again after
`
	if err != nil || out.String() != want {
		t.Errorf("shown, %v:\n%s\nwant:\n%s", err, out.String(), want)
	}
}

func TestTransformPlanIsShown(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &pipeline.ReplayPlan{
		Connector: "acme-transform", Stops: true, Target: ledger.TargetPaused,
		Partitions: []pipeline.ReplayPartition{{Topic: "acme.public.users", Partition: 0, Current: 120, New: 100, End: 130}},
		Records:    20, Selected: ledger.Selected{Entities: 31, Differ: 3}, Changes: &transform.Difference{Entities: 31, Differ: 3, Appear: 1, Vanish: 1},
		Calls: 2, Rate: 60,
	}
	want := `TOPIC              PARTITION  CURRENT-OFFSET  NEW-OFFSET  LOG-END-OFFSET
acme.public.users  0          120             100         130

records    20  read again; the offsets stay
entities   31  that they touch, evaluated again
differ     3   from the stored desired state: 1 appear, 1 vanish, 0 cannot be evaluated
API calls  2   about 0.0 hours at 60/s; the deletes of those that vanish wait for consent
acme-transform is stopped in all instances while this is set, and is PAUSED again after
`
	if err := printPlan(&out, p); err != nil || out.String() != want {
		t.Errorf("shown, %v:\n%s\nwant:\n%s", err, out.String(), want)
	}
	p.Organization, p.Stops = "3", false
	for target, want := range map[ledger.Target]string{ledger.TargetRunning: "organization 3", ledger.TargetPaused: "organization 3"} {
		if got := evaluatedAgain(p, target); !strings.Contains(got, want) {
			t.Errorf("at %s: %s", target, got)
		}
	}
	p.Stops = true
	for target, want := range map[ledger.Target]string{ledger.TargetRunning: "goes on", ledger.TargetStopped: "is STOPPED, as it was before"} {
		if got := evaluatedAgain(p, target); !strings.Contains(got, want) {
			t.Errorf("at %s: %s", target, got)
		}
	}
}

func TestRebuildIsShown(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := printRebuild(&out, &pipeline.RebuildPlan{
		Connector: "acme-transform", Tables: []pipeline.RebuildTable{{Table: "public.teams", Rows: 20}, {Table: "public.users", Rows: -1}},
		Notices: []string{"no instance runs; the next `backstitch run` reads the source"},
	})
	if err == nil {
		err = printDifference(&out, &ledger.Compared{Entities: 1234567, Differ: 216003, Appear: 1, Vanish: 2, Failed: 1}, 60)
	}
	want := `TABLE         ROWS
public.teams  about 20
public.users  unknown
note: no instance runs; the next ` + "`backstitch run`" + ` reads the source

the source is read again from a new slot, as its next epoch, into a mirror beside the old one. From then until the mirrors
are swapped acme-transform evaluates no change; there is no way back to the old mirror, which misses what comes meanwhile
entities   1,234,567  of the new mirror and the ledger
differ     216,003    from the stored desired state: 1 appear, 2 vanish, 1 cannot be evaluated
API calls  216,000    one for each at least, about 1.0 hours at 60/s; the deletes of those that vanish wait for consent
`
	if err != nil || out.String() != want {
		t.Errorf("shown, %v:\n%s\nwant:\n%s", err, out.String(), want)
	}
}
