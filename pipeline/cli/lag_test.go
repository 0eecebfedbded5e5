package cli

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/pipeline/lag"
	"github.com/backstitch/backstitch/schemas"
)

// behind is a pipeline in the middle of its backfill.
func behind() lag.Report {
	now := time.Date(2026, 11, 27, 18, 0, 0, 0, time.UTC)
	return lag.Report{
		Name: "acme", Time: now,
		Lag: []admin.Lag{
			{
				Group: "acme-transform", Topic: "acme.public.users", Records: 318, Bytes: new(int64(51_000)), Seconds: new(0.63),
				Partitions: []admin.LagPartition{
					{Partition: 0, CurrentOffset: 1_000, LogEndOffset: 1_318, Records: 318, Bytes: new(int64(51_000)), Seconds: new(0.63)},
					{Partition: 1, CurrentOffset: 990, LogEndOffset: 990, Bytes: new(int64), Seconds: new(float64)},
				},
			},
			{Group: "acme-transform", Topic: "acme.public.teams", Bytes: new(int64), Seconds: new(float64), Partitions: []admin.LagPartition{{Bytes: new(int64), Seconds: new(float64)}}},
			{
				Group: "acme-apply", Topic: "acme.apply.backfill", Lane: schemas.LaneBackfill, Records: 70_000,
				Partitions: []admin.LagPartition{{CurrentOffset: 12, LogEndOffset: 70_012, Records: 70_000}}, // the brokers refuse to tell more
			},
		},
		Source: &admin.Source{
			Epoch: 1, SlotActive: true, WALStatus: "extended", ConfirmedLSN: "16/B374C0A8", RestartLSN: "16/B06D0000", SafeWALSize: new(int64(9_000_000)),
			RetainedBytes: 50_700_000, SlotLagBytes: 6_096, SlotLagSeconds: new(12.4),
		},
		Backfill: []admin.Table{
			{Table: "public.teams", Rows: 20_412, Estimate: 20_000, Done: true},
			{Table: "public.users", Rows: 812_450, Estimate: 1_200_000, RowsPerSecond: new(5_100.0), ETASeconds: new(76.0)},
			{Table: "public.team_members", Estimate: 2_450_000},
		},
		Entities: ledger.Summary{
			Counts: []ledger.Count{
				{Kind: consumers.Member, Lane: schemas.LaneBackfill, Status: consumers.Current, Count: 4_000},
				{Kind: consumers.Member, Lane: schemas.LaneBackfill, Status: consumers.Pending, Count: 700_000},
				{Kind: consumers.Member, Lane: schemas.LaneLive, Status: consumers.Deferred, Reason: consumers.ReasonBackoff, Count: 20},
				{Kind: consumers.Organization, Lane: schemas.LaneLive, Status: consumers.Parked, Reason: consumers.ReasonInvalidSlug, Count: 1},
				{Kind: consumers.Member, Lane: schemas.LaneLive, Status: consumers.AwaitingConsent, Reason: consumers.ReasonUnearned, Count: 7},
			},
			InFlight: 48, AppliedPerSecond: 64.5, OldestPending: new(now.Add(-1500 * time.Millisecond)),
		},
		Problems: []string{"apply's offsets: group acme-apply: GROUP_AUTHORIZATION_FAILED"},
	}
}

const behindText = `acme  2026-11-27 18:00:00 UTC

GROUP           TOPIC                LANE      PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG    BYTES  SECONDS
acme-transform  acme.public.users    -         all                                        318    51000  0.6
                                               0          1000            1318            318    51000  0.6
acme-transform  acme.public.teams    -         all                                        0      0      0
acme-apply      acme.apply.backfill  backfill  all                                        70000  -      -
                                               0          12              70012           70000  -      -

slot                          extended, read, 9000000 bytes until it is lost
slot lag                      6096 bytes, 12 s since confirmed 16/B374C0A8
slot retains                  50700000 bytes since restart 16/B06D0000
backfill                      832862 rows of about 3670412, 5100 rows/s, 9m16s to go
backfill public.teams         20412 rows, read
backfill public.users         812450 rows of about 1200000, 5100 rows/s, 1m16s to go
backfill public.team_members  0 rows of about 2450000
entities                      700020 wait, 48 calls in flight, 64.5 applied/s, 3h1m to go
oldest live change            1.5 s
members pending               700000 backfill
members deferred              20 live, backoff
organizations parked          1 live, invalid_slug
members awaiting consent      7 live, delete_unearned
not read                      apply's offsets: group acme-apply: GROUP_AUTHORIZATION_FAILED
`

const emptyText = `acme  2026-11-27 18:00:00 UTC

GROUP  TOPIC  LANE  PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  BYTES  SECONDS

slot      not there
entities  none yet: the mapping was not evaluated
`

func TestLagIsShown(t *testing.T) {
	t.Parallel()
	nothing := lag.Report{Name: "acme", Time: behind().Time, Entities: ledger.Summary{Counts: []ledger.Count{}}}
	for want, report := range map[string]lag.Report{behindText: behind(), emptyText: nothing} {
		var out bytes.Buffer
		if err := printLag(&out, report); err != nil || out.String() != want {
			t.Errorf("shown, %v:\n%s\nwant:\n%s", err, out.String(), want)
		}
	}
}

// The fields of the JSON are a contract: they are those of the status.
func TestLagAsJSON(t *testing.T) {
	t.Parallel()
	raw, err := json.Marshal(behind())
	if err != nil {
		t.Fatal(err)
	}
	var got, status map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if raw, err = json.Marshal(admin.Status{Source: &admin.Source{}, Problems: []string{""}}); err == nil {
		err = json.Unmarshal(raw, &status)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"name", "time", "lag", "source", "backfill", "entities", "problems"} {
		if _, ok := got[field]; !ok {
			t.Errorf("lag -o json lacks %q", field)
		}
	}
	for field := range got {
		if _, ok := status[field]; !ok {
			t.Errorf("lag -o json has %q, which the status has not", field)
		}
	}
	first := got["lag"].([]any)[0].(map[string]any)
	for _, field := range []string{"group", "topic", "records", "bytes", "seconds", "partitions"} {
		if _, ok := first[field]; !ok {
			t.Errorf("lag[] lacks %q", field)
		}
	}
	last := got["lag"].([]any)[2].(map[string]any)
	for _, field := range []string{"bytes", "seconds"} {
		if v, ok := last[field]; ok {
			t.Errorf("what could not be read is %s %v, want it absent", field, v)
		}
	}
}

func TestLagUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"-o", "yaml"}, {"extra"}, {"--watch=perhaps"}, {"-c", "/does/not/exist.yaml"}} {
		var out, errOut bytes.Buffer
		if code := Main(append([]string{"lag"}, args...), &out, &errOut); code != ExitUsage {
			t.Errorf("lag %v exits with %d: %s%s", args, code, out.String(), errOut.String())
		}
	}
}
