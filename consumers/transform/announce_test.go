package transform

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/avro"
	"github.com/backstitch/backstitch/schemas/registry"
	"github.com/twmb/franz-go/pkg/kgo"
)

// listener reads the apply topics of a prefix.
type listener struct {
	client *kgo.Client
}

func listen(t testing.TB, brokers []string, prefix string) *listener {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(schemas.ApplyTopic(prefix, schemas.LaneLive), schemas.ApplyTopic(prefix, schemas.LaneBackfill)),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &listener{client: client}
}

// next returns what n more records say, and fails when they do not come.
func (l *listener) next(t testing.TB, n int) []schemas.Wake {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var wakes []schemas.Wake
	for len(wakes) < n {
		fetches := l.client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read wake-ups, %d of %d came: %v", len(wakes), n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			_, body, err := avro.SchemaID(r.Value)
			if err != nil {
				t.Error(err)
				return
			}
			w, err := avro.DecodeWake(body)
			if err != nil {
				t.Error(err)
			}
			if string(r.Key) != w.Key() {
				t.Errorf("record key %q of wake-up %q", r.Key, w.Key())
			}
			if want := schemas.Partition([]byte(w.Organization), 4); r.Partition != want {
				t.Errorf("%s is in partition %d, want %d", w.Key(), r.Partition, want)
			}
			if strings.Contains(string(r.Value), "@") {
				t.Errorf("a wake-up carries a value") // invariant 8
			}
			wakes = append(wakes, w)
		})
	}
	if len(wakes) > n {
		t.Errorf("%d wake-ups came, want %d", len(wakes), n)
	}
	return wakes
}

func (w *world) announcer(prefix string, brokers []string, every time.Duration) *announcer {
	w.t.Helper()
	reg, err := registry.New(testenv.Registry(w.t))
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := newAnnouncer(announcerConfig{
		Pool: w.pool, Prefix: prefix, Term: 1, Kafka: []kgo.Opt{kgo.SeedBrokers(brokers...)},
		Registry: reg, Every: every, Log: slog.New(slog.DiscardHandler), Metrics: w.eval.metrics,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// run runs a stage's body until the test ends or stop is called.
func running(t testing.TB, run func(ctx context.Context, stopping <-chan struct{}) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stopping, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- run(ctx, stopping) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			close(stopping)
			if err := <-done; err != nil {
				t.Errorf("the stage ended with %v", err)
			}
			cancel()
		})
	}
	t.Cleanup(stop)
	return stop
}

// hazard A22: what was committed and never published is published at the start and
// by the timer, oldest first, organizations before members.
func TestAnnounce(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.legacy(`INSERT INTO teams SELECT g, 'Team' FROM generate_series(1, 5) g`, `INSERT INTO users SELECT g, g || '@corp.example' FROM generate_series(1, 20) g`,
		`INSERT INTO team_members SELECT g, 1 + g % 5, g FROM generate_series(1, 20) g`)
	w.load() // and the process dies before it publishes

	brokers, prefix := testenv.Kafka(t), testenv.Name(t)
	setup, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer setup.Close()
	for range 2 { // the second time they are there
		if err := EnsureApplyTopics(w.ctx, setup, prefix, 4, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := EnsureApplyTopics(w.ctx, setup, prefix, 6, 1); err == nil || !strings.Contains(err.Error(), "4 partitions, the ledger records 6") {
		t.Errorf("topics with another number of partitions: %v", err) // hazard A1
	}
	l := listen(t, brokers, prefix)
	a := w.announcer(prefix, brokers, 50*time.Millisecond)
	stop := running(t, a.run)
	wakes := l.next(t, 25)
	for _, wake := range wakes {
		if wake.Reason != causeLoad || wake.CommitLSN != w.lsn || !wake.CommitTime.Equal(w.clock) {
			t.Errorf("wake-up %+v", wake)
		}
	}
	w.legacy(`UPDATE users SET email = 'new@corp.example' WHERE id = 3`) // nobody notifies: the timer finds it
	w.evaluate()
	if wake := l.next(t, 1)[0]; wake.Entity != "3" || wake.Revision != w.member("4", "3").Revision || wake.Reason != "change" {
		t.Errorf("wake-up %+v", wake)
	}
	stop()
	if n := w.number(`SELECT count(*) FROM backstitch.entities WHERE announced <> revision`); n != 0 {
		t.Errorf("%d entities are published and not marked", n)
	}
}

// hazard A22: in the lanes' order, and after a crash between publishing and marking
// the wake-up comes a second time rather than never.
func TestAnnounceOrderAndCrash(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.legacy(`INSERT INTO teams VALUES (1, 'Acme')`, `INSERT INTO users VALUES (7, 'jane@corp.example')`, `INSERT INTO team_members VALUES (1, 1, 7)`)
	w.load()
	w.legacy(`INSERT INTO teams VALUES (2, 'Initech')`, `INSERT INTO team_members VALUES (2, 2, 7)`)
	w.evaluate()
	brokers, prefix := testenv.EmbeddedKafka(t), "p"
	setup, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer setup.Close()
	if err := EnsureApplyTopics(w.ctx, setup, prefix, 4, 1); err != nil {
		t.Fatal(err)
	}
	var order []string
	var mu sync.Mutex
	a := w.announcer(prefix, brokers, time.Hour)
	a.client.Close()
	a.client, err = kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.WithHooks(&recorded{func(r *kgo.Record) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, r.Topic[len("p.apply."):]+" "+string(r.Key))
	}}))
	if err != nil {
		t.Fatal(err)
	}
	defer a.client.Close()
	w.exec("UPDATE backstitch.transform SET term = 2") // it is fenced: it publishes and cannot mark
	if err := a.announceAll(w.ctx, nil); err == nil {
		t.Fatal("a former owner marked entities announced") // invariant 10
	}
	if len(order) != 1 || w.number(`SELECT count(*) FROM backstitch.entities WHERE announced > 0`) != 0 {
		t.Fatalf("published %v", order)
	}
	a.Term = 2
	if err := a.announceAll(w.ctx, nil); err != nil {
		t.Fatal(err)
	}
	if want := []string{"live organization|2|2", "live organization|2|2", "live member|2|7", "backfill organization|1|1", "backfill member|1|7"}; !slices.Equal(order, want) {
		t.Errorf("published %v, want %v", order, want)
	}
}

type recorded struct{ f func(*kgo.Record) }

func (r *recorded) OnProduceRecordBuffered(record *kgo.Record) { r.f(record) }
