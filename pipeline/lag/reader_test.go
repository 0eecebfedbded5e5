package lag

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/schemas"
)

// rig is a pipeline's topics on an embedded broker, its ledger, and who looks.
type rig struct {
	*testing.T
	cluster *kfake.Cluster
	client  *kgo.Client
	pool    *pgxpool.Pool
	reader  *Reader
	refuse  atomic.Int32 // the API key of the requests that are refused
}

func newRig(t *testing.T) *rig {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DefaultNumPartitions(2), kfake.AllowAutoTopicCreation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	r := &rig{T: t, cluster: cluster}
	r.refuse.Store(-1)
	for key, answer := range map[kmsg.Key]func(kmsg.Response){
		kmsg.DescribeLogDirs: func(a kmsg.Response) {
			a.(*kmsg.DescribeLogDirsResponse).ErrorCode = kerr.ClusterAuthorizationFailed.Code
		},
		kmsg.OffsetFetch: func(a kmsg.Response) {
			a.(*kmsg.OffsetFetchResponse).Groups = []kmsg.OffsetFetchResponseGroup{{Group: "acme-apply", ErrorCode: kerr.GroupAuthorizationFailed.Code}}
		},
		kmsg.Fetch: func(a kmsg.Response) { a.(*kmsg.FetchResponse).ErrorCode = kerr.TopicAuthorizationFailed.Code },
	} {
		cluster.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			if r.refuse.Load() != int32(key) {
				return nil, nil, false
			}
			a := req.ResponseKind()
			answer(a)
			return a, nil, true
		})
	}
	brokers := kgo.SeedBrokers(cluster.ListenAddrs()...)
	if r.client, err = kgo.NewClient(brokers, kgo.TransactionalID("test"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.AllowAutoTopicCreation()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.client.Close)
	url := testenv.Postgres(t)
	if err := ledger.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	if r.pool, err = ledger.Open(t.Context(), url, "test"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.pool.Close)
	r.reader, err = NewReader(
		Config{Name: "acme", Prefix: "acme", Tables: []schemas.Table{{Schema: "public", Name: "users"}}, Slot: "s", Heartbeat: time.Second},
		Deps{
			Kafka: []kgo.Opt{brokers}, Ledger: r.pool,
			Source: func(context.Context) (*pgx.Conn, error) { return nil, errors.New("the source is out of reach") },
		})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.reader.Close)
	return r
}

// transact commits records to a partition of the users' topic, with a checkpoint of
// where it ends, as the publisher does; or aborts them.
func (r *rig) transact(partition int32, n int, end kgo.TransactionEndTry) {
	r.Helper()
	ctx := r.Context()
	if err := r.client.BeginTransaction(); err != nil {
		r.Fatal(err)
	}
	var ends int64
	for i := range n {
		result := r.client.ProduceSync(ctx, &kgo.Record{Topic: "acme.public.users", Partition: partition, Value: fmt.Append(nil, i)})
		if err := result.FirstErr(); err != nil {
			r.Fatal(err)
		}
		ends = result[0].Record.Offset + 1
	}
	c := schemas.Checkpoint{WrittenAt: time.Now(), Topics: map[string]schemas.TopicEnds{"acme.public.users": {Ends: make([]int64, 2)}}}
	c.Topics["acme.public.users"].Ends[partition] = ends
	raw, err := schemas.Encode(c)
	if err == nil {
		err = r.client.ProduceSync(ctx, &kgo.Record{Topic: "acme.checkpoints", Key: []byte(schemas.KeyCheckpoint), Value: raw}).FirstErr()
	}
	if err == nil {
		err = r.client.EndTransaction(ctx, end)
	}
	if err != nil {
		r.Fatal(err)
	}
}

// fills says that the transform has filled up to an offset.
func (r *rig) fills(partition int32, next int64) {
	r.Helper()
	_, err := r.pool.Exec(r.Context(), `INSERT INTO backstitch.offsets (prefix, topic, partition, next_offset, topic_id) VALUES ('acme', 'acme.public.users', $1, $2, '')
		ON CONFLICT (prefix, topic, partition) DO UPDATE SET next_offset = excluded.next_offset`, partition, next)
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) look() (Report, admin.Lag) {
	r.Helper()
	report := r.reader.Read(r.Context())
	at := slices.IndexFunc(report.Lag, func(l admin.Lag) bool { return l.Topic == "acme.public.users" })
	if at < 0 {
		r.Fatalf("the users' topic is not among %+v; %q", report.Lag, report.Problems)
	}
	return report, report.Lag[at]
}

// A group that has processed the last record has no lag, whatever stands behind it:
// markers of transactions, and transactions that were aborted (hazard S28).
func TestMarkersAreNoLag(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.transact(0, 3, kgo.TryCommit) // offsets 0-2, marker 3
	if _, l := r.look(); l.Records != 4 || l.Partitions[0].CurrentOffset != 0 || l.Seconds == nil || *l.Seconds <= 0 {
		t.Errorf("of three records and their marker nothing is processed: %+v", l)
	}
	r.fills(0, 3)
	if _, l := r.look(); l.Records != 0 || *l.Seconds != 0 || *l.Bytes != 0 {
		t.Errorf("everything is processed, a marker stands at the end: %+v", l)
	}
	r.transact(0, 2, kgo.TryAbort) // 4-5, marker 6
	r.transact(1, 1, kgo.TryCommit)
	r.transact(0, 2, kgo.TryCommit) // 7-8, marker 9
	_, l := r.look()
	if p := l.Partitions[0]; p.CurrentOffset != 4 || p.LogEndOffset != 10 || p.Records != 6 {
		t.Errorf("the marker behind what is processed counts: %+v", p)
	}
	r.fills(0, 9)
	r.fills(1, 1)
	if _, l := r.look(); l.Records != 0 || *l.Seconds != 0 {
		t.Errorf("everything is processed again: %+v", l)
	}
}

// What cannot be read is absent and named, and keeps nothing else from being read.
func TestWhatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.transact(0, 3, kgo.TryCommit)
	if _, err := kadm.NewClient(r.client).CreateTopic(t.Context(), 1, 1, nil, "acme.apply.live"); err != nil {
		t.Fatal(err)
	}
	report, l := r.look()
	if report.Source == nil || report.Source.ConfirmedLSN != "" || report.Entities.Counts == nil || l.Bytes == nil || *l.Bytes <= 0 {
		t.Errorf("with the source out of reach the rest is %+v, %+v", report, l)
	}
	if len(report.Problems) != 1 || !strings.Contains(report.Problems[0], "the source is out of reach") {
		t.Errorf("problems: %q", report.Problems)
	}
	for _, c := range []struct {
		key     kmsg.Key
		problem string
		check   func(Report, admin.Lag) bool
	}{
		{kmsg.DescribeLogDirs, "", func(_ Report, l admin.Lag) bool { return l.Bytes == nil && l.Records == 4 && l.Seconds != nil }},
		{kmsg.OffsetFetch, "apply's offsets", func(rep Report, l admin.Lag) bool {
			return l.Records == 4 && !slices.ContainsFunc(rep.Lag, func(l admin.Lag) bool { return l.Group == "acme-apply" })
		}},
		{kmsg.Fetch, "ages", func(_ Report, l admin.Lag) bool { return l.Records == 4 && l.Seconds == nil && l.Bytes != nil }},
	} {
		r.refuse.Store(int32(c.key))
		clear(r.reader.ages)
		report, l := r.look()
		named := c.problem == "" && len(report.Problems) == 1 || slices.ContainsFunc(report.Problems, func(p string) bool { return c.problem != "" && strings.HasPrefix(p, c.problem) })
		if !c.check(report, l) || !named {
			t.Errorf("with %s refused: %+v, problems %q", c.key.Name(), l, report.Problems)
		}
	}
	r.refuse.Store(-1)
	r.pool.Close()
	r.reader.entities.took = 0
	report = r.reader.Read(t.Context())
	if report.Entities.Counts != nil || slices.ContainsFunc(report.Lag, func(l admin.Lag) bool { return l.Group == "acme-transform" }) {
		t.Errorf("without the ledger: %+v", report)
	}
}

// The age of what lags is read once, until the group moves.
func TestAnAgeIsReadOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.transact(0, 3, kgo.TryCommit)
	var fetches atomic.Int64
	r.cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		if req.(*kmsg.FetchRequest).MaxBytes == 1 {
			fetches.Add(1)
		}
		return nil, nil, false
	})
	_, first := r.look()
	counted := fetches.Load()
	_, again := r.look()
	if fetches.Load() != counted || counted == 0 || *again.Seconds <= *first.Seconds {
		t.Errorf("%d fetches, then %d; %f s, then %f s", counted, fetches.Load(), *first.Seconds, *again.Seconds)
	}
	r.fills(0, 1)
	if _, l := r.look(); l.Records != 3 || fetches.Load() == counted {
		t.Errorf("the group has moved: %+v, %d fetches", l, fetches.Load())
	}
}

// One look is shared by everybody who asks, and shown until it is too old.
func TestThePollerSharesItsLooks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.transact(0, 3, kgo.TryCommit)
	p := NewPoller(r.reader)
	registry := prometheus.NewRegistry()
	registry.MustRegister(p)
	served := func() (names []string) {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			names = append(names, f.GetName())
		}
		return names
	}
	if names := served(); len(names) != 0 {
		t.Errorf("before the first look %q are served", names)
	}
	first := p.Latest(t.Context(), time.Second)
	if again := p.Latest(t.Context(), time.Minute); !again.Time.Equal(first.Time) {
		t.Errorf("a look of %s is followed by one of %s", first.Time, again.Time)
	}
	if later := p.Latest(t.Context(), 0); later.Time.Equal(first.Time) {
		t.Error("a look that is too old is shown")
	}
	for _, name := range []string{"backstitch_lag_records", "backstitch_lag_seconds", "backstitch_entities", "backstitch_entities_parked", "backstitch_entities_eta_seconds"} {
		if !slices.Contains(served(), name) {
			t.Errorf("%s is not served", name)
		}
	}
	p.looking.Lock() // somebody looks, and Kafka does not answer
	if len(served()) == 0 {
		t.Error("a scrape waits for a look")
	}
	p.looking.Unlock()
	p.mu.at = p.mu.at.Add(-3 * every)
	if names := served(); len(names) != 0 {
		t.Errorf("long after the last look %q are served", names)
	}
	stopping := make(chan struct{})
	close(stopping)
	if err := p.Run(t.Context(), stopping); err != nil {
		t.Error(err)
	}
}

// The series are bounded: of too many partitions each topic has one.
func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	p := &Poller{}
	l := admin.Lag{Group: "g", Topic: "t", Records: 7 * 1001, Bytes: new(int64(9)), Seconds: new(3.0)}
	for i := range int32(1001) {
		l.Partitions = append(l.Partitions, admin.LagPartition{Partition: i, Records: 7, Bytes: new(int64), Seconds: new(float64)})
	}
	p.mu.report, p.mu.at = Report{Name: "acme", Lag: []admin.Lag{l}}, time.Now()
	registry := prometheus.NewRegistry()
	registry.MustRegister(p)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if n := len(f.GetMetric()); n != 1 {
			t.Errorf("%s has %d series, want one", f.GetName(), n)
		}
		if m := f.GetMetric()[0]; f.GetName() == "backstitch_lag_records" && (m.GetGauge().GetValue() != 7007 || m.GetLabel()[2].GetValue() != "all") {
			t.Errorf("the sum is %v", m)
		}
	}
}

// An entity is counted in one state: with a call in flight, there.
func TestEntitiesAreCountedOnce(t *testing.T) {
	t.Parallel()
	p := &Poller{}
	p.mu.at = time.Now()
	p.mu.report = Report{Name: "acme", Entities: ledger.Summary{
		Counts: []ledger.Count{
			{Kind: consumers.Member, Lane: schemas.LaneLive, Status: consumers.Pending, Count: 5},
			{Kind: consumers.Member, Lane: schemas.LaneBackfill, Status: consumers.Pending, Count: 7},
			{Kind: consumers.Member, Status: consumers.Parked, Reason: consumers.ReasonInvalidEmail, Count: 3},
			{Kind: consumers.Organization, Status: consumers.Current, Count: 2},
		},
		Calls: []ledger.Count{{Kind: consumers.Member, Lane: schemas.LaneLive, Status: consumers.Pending, Count: 4}},
	}}
	registry := prometheus.NewRegistry()
	registry.MustRegister(p)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	sums := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetGauge().GetValue()
			sums[f.GetName()] += m.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"backstitch_entities member pending": 8, "backstitch_entities member in_flight": 4, "backstitch_entities member parked": 3,
		"backstitch_entities organization current": 2, "backstitch_entities organization parked": 0,
		"backstitch_entities_parked member invalid_email": 3, "backstitch_entities_parked organization refused": 0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (%t), want %v", name, v, ok, want)
		}
	}
	if sums["backstitch_entities"] != 17 {
		t.Errorf("17 entities are counted as %v", sums["backstitch_entities"])
	}
	if _, ok := got["backstitch_entities_eta_seconds"]; ok {
		t.Error("there is a time to go without a rate")
	}
}
