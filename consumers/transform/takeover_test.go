package transform

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/avro"
	"github.com/backstitch/backstitch/schemas/registry"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// envOwner turns this test binary into a transform that runs until it is killed: the
	// value is a party.
	envOwner = "BACKSTITCH_TEST_OWNER"
	// envTakeOvers is how often each kind of take-over is measured; default once.
	envTakeOvers = "BACKSTITCH_TEST_TAKEOVERS"
)

// party is what the process of a transform has to know.
type party struct {
	Ledger, Legacy, Registry, Prefix, Owner string
	Brokers                                 []string
	StopAt                                  string // see stopper; "": it does not stop
	Lease                                   time.Duration
}

// TestOwnerProcess is the process of an owner over the documents' mapping.
func TestOwnerProcess(t *testing.T) {
	var p party
	if err := json.Unmarshal([]byte(os.Getenv(envOwner)), &p); err != nil {
		return // an ordinary run of the tests
	}
	f := &feeder{t: t, ctx: t.Context(), url: p.Ledger, prefix: p.Prefix, brokers: p.Brokers}
	var err error
	f.legacy, err = pgx.Connect(f.ctx, p.Legacy)
	f.check(err)
	f.pool, err = ledger.Open(f.ctx, p.Ledger, "test")
	f.check(err)
	f.registry, err = registry.New(p.Registry)
	f.check(err)
	f.plan, err = Compile(f.ctx, f.legacy, public("docs"), []consumers.Mapping{docsMapping()})
	f.check(err)
	f.cfg = Config{Name: p.Prefix, Prefix: p.Prefix, Tables: public("docs"), Mappings: []consumers.Mapping{docsMapping()}, ApplyPartitions: 4, Owner: p.Owner, Lease: p.Lease}
	tr := f.start(func(tr *Transform) {
		if p.StopAt != "" {
			stop := newStopper(p.StopAt)
			tr.reaches(f, func(c *pgx.ConnConfig) { c.Tracer = stop })
		}
	})
	<-tr.Done()
	t.Fatalf("the owner ended: %v", tr.Err())
}

// process starts a transform in a process of its own.
func (f *feeder) process(owner string, edit ...func(*exec.Cmd, *party)) *exec.Cmd {
	f.t.Helper()
	p := party{Ledger: f.url, Legacy: f.legacyURL, Registry: f.registryURL, Prefix: f.prefix, Owner: owner, Brokers: f.brokers}
	cmd := exec.Command(os.Args[0], "-test.run=^TestOwnerProcess$")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if testing.Verbose() {
		cmd.Args = append(cmd.Args, "-test.v")
	}
	for _, e := range edit {
		e(cmd, &p)
	}
	value, err := json.Marshal(p)
	f.check(err)
	cmd.Env = append(os.Environ(), envOwner+"="+string(value))
	f.check(cmd.Start())
	f.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed: that is its error
	})
	return cmd
}

// reaches changes how a transform that is not started reaches its ledger.
func (t *Transform) reaches(f *feeder, edit func(*pgx.ConnConfig)) {
	t.deps.LedgerConn = t.deps.LedgerConn.Copy()
	edit(t.deps.LedgerConn)
	config := f.pool.Config()
	edit(config.ConnConfig)
	pool, err := pgxpool.NewWithConfig(f.ctx, config)
	f.check(err)
	f.t.Cleanup(pool.Close)
	t.deps.Ledger = pool
}

// behind lays the ways of a transform through cables.
func (f *feeder) behind(postgres, kafka *testenv.Cable) func(*Transform) {
	return func(tr *Transform) {
		tr.cfg.Owner = "zombie"
		tr.reaches(f, func(c *pgx.ConnConfig) { c.DialFunc = postgres.Dial })
		tr.deps.Kafka = append(slices.Clone(tr.deps.Kafka), kgo.Dialer(kafka.Dial))
	}
}

// caughtUp waits until the ledger says that the last checkpoint was evaluated and
// everything is announced, whoever did it.
func (f *feeder) caughtUp() {
	f.t.Helper()
	f.until("the last checkpoint is evaluated and announced", func() bool {
		return f.number("SELECT count(*) FROM backstitch.transform WHERE evaluated_commit_lsn >= $1", int64(f.last.Version.Commit)) == 1 &&
			f.number("SELECT count(*) FROM backstitch.entities WHERE announced < revision") == 0
	})
}

func (f *feeder) owns(owner string) bool {
	return f.number("SELECT count(*) FROM backstitch.transform WHERE owner = $1", owner) == 1
}

// written is all that a transform writes into the ledger, in a form that can be
// compared.
func (f *feeder) written() string {
	f.t.Helper()
	var all strings.Builder
	for _, table := range []string{"docs", "backstitch.entities", "backstitch.touched", "backstitch.offsets", "backstitch.transform", "backstitch.mirror_columns", "backstitch.incomplete_rows", "backstitch.controls"} {
		var rows string
		f.check(f.pool.QueryRow(f.ctx, "SELECT coalesce(string_agg(t::text, E'\n' ORDER BY t::text), '') FROM "+table+" t").Scan(&rows))
		all.WriteString(table + "\n" + rows + "\n")
	}
	return all.String()
}

// fault is a way in which an owner falls silent, and the way in which it wakes.
type fault struct {
	begin, wake func()
}

// crashes are the faults of an owner that is a process, which is the transform's
// owner when its maker returns.
var crashes = map[string]func(f *feeder) fault{
	"kill -9": func(f *feeder) fault {
		p := f.process("zombie")
		return fault{begin: func() { _ = p.Process.Kill() }}
	},
	"SIGSTOP": func(f *feeder) fault {
		p := f.process("zombie")
		return fault{begin: func() { _ = p.Process.Signal(syscall.SIGSTOP) }, wake: func() { _ = p.Process.Signal(syscall.SIGCONT) }}
	},
	"cut off from everything": func(f *feeder) fault { return f.cutOff(true, true) },
	"cut off from the ledger": func(f *feeder) fault { return f.cutOff(true, false) },
	"cut off from Kafka":      func(f *feeder) fault { return f.cutOff(false, true) },
}

func (f *feeder) cutOff(postgres, kafka bool) fault {
	pg, k := testenv.NewCable(f.t), testenv.NewCable(f.t)
	f.start(f.behind(pg, k))
	return fault{begin: func() { pg.Cut(postgres); k.Cut(kafka) }, wake: func() { pg.Cut(false); k.Cut(false) }}
}

// succeed has an owner fall silent beside a stand-by, and returns how long after the
// fault the stand-by had evaluated a transaction that the source committed then. The
// zombie wakes when its successor has worked, and writes nothing.
func (f *feeder) succeed(crash func(f *feeder) fault) time.Duration {
	f.t.Helper()
	f.reading().insert("docs", 1, "a", "BIG", nil, nil).insert("docs", 2, "b", nil, nil, nil).end()
	f.loaded()
	zombie := crash(f)
	f.until("an owner", func() bool { return f.owns("zombie") })
	f.caughtUp()
	successor := f.start(func(tr *Transform) { tr.cfg.Owner = "successor" })
	f.until("a stand-by", func() bool { return f.sessions("successor", time.Time{}) > 0 })

	zombie.begin()
	began := time.Now()
	f.begin().update("docs", 1, "after", toasted{}, nil, nil).end()
	f.until("the successor has evaluated it", func() bool { return successor.Status().Evaluated.CommitLSN >= f.last.Version.Commit })
	took := time.Since(began)
	for i := range 20 {
		f.begin().insert("docs", 10+i, i, nil, nil, nil).remove("docs", 10+i).insert("docs", 100+i, 100+i, nil, nil, nil).end()
	}
	f.evaluated(successor)
	f.caughtUp()
	if zombie.wake != nil {
		f.wakes(zombie)
	}
	f.begin().update("docs", 2, "awake", nil, nil, nil).end()
	f.evaluated(successor)
	f.caughtUp()
	f.same()
	if s := successor.Status().State; s != Running || !f.owns("successor") {
		f.t.Errorf("the successor is %s after the zombie woke", s)
	}
	return took
}

// wakes lets a zombie wake, again and again: nothing in the ledger changes.
func (f *feeder) wakes(zombie fault) {
	f.t.Helper()
	before, since := f.written(), time.Now()
	f.until("the successor has been at rest for a second", func() bool { // its audit after loading has ended
		now := f.written()
		if now != before {
			before, since = now, time.Now()
		}
		return time.Since(since) > time.Second
	})
	for again := range 3 {
		if again > 0 {
			zombie.begin()
		}
		woken := time.Now()
		zombie.wake()
		f.until("the zombie stands by", func() bool { return f.sessions("zombie", woken) > 0 })
		if after := f.written(); after != before {
			f.t.Fatalf("the zombie wrote. Before it woke:\n%s\nand after:\n%s", before, after)
		}
	}
}

// sessions are the ledger's sessions in which an instance stands by or owns, and
// which have been used since a moment.
func (f *feeder) sessions(owner string, since time.Time) int64 {
	f.t.Helper()
	return f.number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1 AND query_start > $2 AND query LIKE '%pg_try_advisory_lock%'",
		f.prefix+"-transform "+owner, since)
}

// invariant 10, hazard C13: a stand-by takes the transform over, whatever silences
// its owner. What the owner does when it wakes reaches neither the mirror nor the
// entities nor the offsets. Whose Kafka is gone gives the transform up: another
// instance may reach it. The times are measured, not judged.
func TestTakeOver(t *testing.T) {
	runs, err := strconv.Atoi(os.Getenv(envTakeOvers))
	if err != nil {
		runs = 1
	}
	for name, crash := range crashes {
		t.Run(name, func(t *testing.T) {
			if runs == 1 { // what is measured runs alone
				t.Parallel()
			}
			var took []time.Duration
			for range runs {
				f := docsFeeder(t)
				f.cfg.Standby = 0 // as in a real run
				took = append(took, f.succeed(crash))
			}
			slices.Sort(took)
			t.Logf("take-over of %d: p50 %s, max %s", runs, took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
		})
	}
}

// wakeUps fails when a wake-up names a revision that the ledger does not have, or an
// entity has none.
func (f *feeder) wakeUps() {
	f.t.Helper()
	topics := []string{schemas.ApplyTopic(f.prefix, schemas.LaneLive), schemas.ApplyTopic(f.prefix, schemas.LaneBackfill)}
	ends, err := f.admin.ListEndOffsets(f.ctx, topics...)
	f.check(errors.Join(err, ends.Error()))
	client, err := kgo.NewClient(kgo.SeedBrokers(f.brokers...), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	f.check(err)
	defer client.Close()
	var left int64
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	newest := map[string]int64{}
	for left > 0 {
		fetches := client.PollFetches(f.ctx)
		f.check(fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			left--
			_, body, err := avro.SchemaID(r.Value)
			f.check(err)
			w, err := avro.DecodeWake(body)
			f.check(err)
			newest[w.Organization] = max(newest[w.Organization], w.Revision)
		})
	}
	entities, err := f.pool.Query(f.ctx, "SELECT org_key, revision FROM backstitch.entities")
	f.check(err)
	var key string
	var revision int64
	_, err = pgx.ForEachRow(entities, []any{&key, &revision}, func() error {
		if newest[key] != revision {
			f.t.Errorf("the newest wake-up of organization %s is of revision %d, the ledger has %d", key, newest[key], revision)
		}
		return nil
	})
	f.check(err)
}
