package apply

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/stytch"
	sim "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
	"github.com/twmb/franz-go/pkg/kgo"
)

// child is what a re-executed test binary needs to be an instance.
type child struct {
	Config   Config
	DSN, URL string
	Brokers  []string
	Boundary string // where it stops itself: before mark, before call, during call, before record
}

const envChild = "APPLY_TEST_CHILD"

// TestChildInstance is an instance in a process of its own: no test when it is not
// asked for by another one.
func TestChildInstance(t *testing.T) {
	raw := os.Getenv(envChild)
	if raw == "" {
		return
	}
	var c child
	if err := json.Unmarshal([]byte(raw), &c); err != nil {
		t.Fatal(err)
	}
	pool, err := ledger.Open(t.Context(), c.DSN, "apply-child")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	client := stytch.New(stytch.Options{BaseURL: c.URL, ProjectID: testProject, Secret: testSecret, MaxConns: 64})
	defer client.Close()
	var once, woken atomic.Bool
	term := int64(-1)
	var a *Apply
	freeze := func(at string) {
		if at == c.Boundary && once.CompareAndSwap(false, true) {
			term = a.sched.owned()[0]
			if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err != nil {
				t.Error(err)
			}
			woken.Store(true)
		}
	}
	api := &frozen{API: client, freeze: freeze}
	a, err = New(c.Config, Deps{Ledger: pool, Client: api, Kafka: []kgo.Opt{kgo.SeedBrokers(c.Brokers...)}})
	if err != nil {
		t.Fatal(err)
	}
	first := a.current.Load()
	mark, record := first.marks.run, first.records.run
	first.marks.run = func(ctx context.Context, in []ledger.MarkRequest) ([]ledger.MarkResult, error) {
		if in[0].Step == stepUpdateMember {
			freeze("before mark")
		}
		return mark(ctx, in)
	}
	first.records.run = func(ctx context.Context, in []ledger.Record) ([]bool, error) {
		if api.updated.Load() {
			freeze("before record")
		}
		return record(ctx, in)
	}
	a.Start(t.Context())
	for told := false; ; {
		select {
		case <-a.Done():
			t.Fatal(a.Err())
		case <-time.After(50 * time.Millisecond):
		}
		if s := a.Status(); !told && woken.Load() && s.InFlight == 0 && s.Partitions[0] != term {
			told = true
			fmt.Println("child: the turn has ended and the lease is gone")
		}
	}
}

// frozen stops its process around the update of a member.
type frozen struct {
	API
	freeze  func(at string)
	updated atomic.Bool
}

func (f *frozen) UpdateMember(ctx context.Context, org, id string, fields stytch.Fields) (*stytch.Member, error) {
	f.freeze("before call")
	timer := time.AfterFunc(100*time.Millisecond, func() { f.freeze("during call") })
	defer timer.Stop()
	m, err := f.API.UpdateMember(ctx, org, id, fields)
	f.updated.Store(true)
	return m, err
}

// An instance is stopped by SIGSTOP at every boundary of a turn; its successor gets
// its partitions when its session ends, applies a newer revision, and then it wakes
// (hazard A2).
func TestStoppedProcessWakesAfterItsSuccessor(t *testing.T) { // invariants 3, 4 and 10
	if os.Getenv("KAFKA_BROKERS") == "" {
		t.Skip("KAFKA_BROKERS names no Kafka: processes need one that they share")
	}
	for _, boundary := range []string{"before mark", "before call", "during call", "before record"} {
		t.Run(boundary, func(t *testing.T) {
			t.Parallel()
			zombie(t, boundary)
		})
	}
}

func zombie(t *testing.T, boundary string) {
	w := newWorld(t, options{realKafka: true, cfg: func(c *Config) { c.Partitions = 1 }})
	k := member("o", "1")
	w.want(org("o"), orgState("o"))
	w.want(k, memberState("user@example.com", "name", "one"))
	first := w.start()
	w.equal()
	if err := w.stop(first); err != nil {
		t.Fatal(err)
	}
	if boundary == "during call" {
		w.sim.Inject(sim.Fault{Kind: sim.LateEffect, Delay: 300 * time.Millisecond, Endpoint: sim.MembersUpdate, Count: 1})
	}
	cfg := w.cfg
	cfg.Owner = "zombie"
	raw, err := json.Marshal(child{cfg, w.pool.Config().ConnString(), w.server.URL, strings.Split(os.Getenv("KAFKA_BROKERS"), ","), boundary})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildInstance$", "-test.timeout=120s")
	cmd.Env = append(os.Environ(), envChild+"="+string(raw))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		_ = cmd.Wait() // killed: that is its error
	})
	awake := make(chan struct{})
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "child: the turn") {
				close(awake)
				return
			}
		}
	}()
	w.want(k, memberState("user@example.com", "name", "two"))
	w.eventually("the process stands", func() (bool, string) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
		return err == nil && strings.Contains(string(stat), ") T "), string(stat)
	})
	stood := time.Now()
	successor := w.start(func(c *Config, _ *Deps) { c.Owner = "successor" })
	w.eventually("the successor has the partition", func() (bool, string) {
		return len(successor.Status().Partitions) == 1, fmt.Sprint(time.Since(stood))
	})
	t.Logf("take-over %v after the stop", time.Since(stood).Round(100*time.Millisecond))
	w.want(k, memberState("user@example.com", "name", "three"))
	w.equal()
	row, woke := w.row(k.Entity), time.Now()
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-awake:
	case <-time.After(30 * time.Second):
		t.Fatal("the zombie did not notice that its lease is gone")
	}
	// a call that was cut is noted when it is cut, with the time at which it arrived
	if late := slices.DeleteFunc(w.writes(0), func(e sim.Entry) bool { return e.Time.Before(woke) }); len(late) != 0 {
		t.Errorf("the zombie wrote %v", endpoints(late))
	}
	if now := w.row(k.Entity); now != row {
		t.Errorf("the zombie changed the ledger's row\nfrom %s\nto   %s", row, now)
	}
}

func (w *world) row(key string) (s string) {
	w.t.Helper()
	if err := w.pool.QueryRow(context.Background(), "SELECT e::text FROM backstitch.entities e WHERE key = $1", key).Scan(&s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// An instance whose mapping is not the accepted one makes no call and takes no
// partition, until its mapping is accepted (hazard C23).
func TestAnotherDigestStandsBy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.exec("INSERT INTO backstitch.identity (name, prefix, digest) VALUES ('n', 'p', 'old')")
	digest := func(d string) func(*Config, *Deps) { return func(c *Config, _ *Deps) { c.Digest = d } }
	old := w.start(digest("old"))
	w.want(org("o"), orgState("o"))
	w.equal()
	next := w.start(digest("new"))
	_, err := ledger.NewApplier(w.pool).TakeLeases(t.Context(), "x", "new", []int32{0})
	var other *ledger.DigestError
	if !errors.As(err, &other) || other.Accepted != "old" {
		t.Fatalf("leases taken with another digest: %v", err)
	}
	if n := len(next.Status().Partitions); n != 0 {
		t.Errorf("who stands by has %d partitions", n)
	}
	w.exec("UPDATE backstitch.identity SET digest = 'new'")
	w.exec("UPDATE backstitch.leases SET term = term + 1")
	w.eventually("the partitions change hands", func() (bool, string) {
		a, b := old.Status(), next.Status()
		return len(a.Partitions) == 0 && len(b.Partitions) == w.cfg.Partitions, fmt.Sprint(a.Partitions, b.Partitions)
	})
	w.want(org("o"), orgState("o", "organization_name", "Another"))
	w.equal()
}

// The history says what came, what was planned and what Stytch said, with names
// only (invariant 8).
func TestHistoryNamesNoValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	k := member("o", "1")
	w.want(org("o"), orgState("o"))
	w.want(k, memberState("canary@example.com", "name", "Canary", "password_hash", hashes[0]))
	w.equal()
	for i := range 30 {
		w.want(k, memberState("canary@example.com", "name", fmt.Sprint("Canary ", i), "password_hash", hashes[0]))
		w.equal()
	}
	if n := w.count("SELECT count(*) FROM backstitch.history WHERE key = '1'"); n != 20 {
		t.Errorf("%d rows of history, want 20", n)
	}
	events, err := ledger.History(t.Context(), w.pool, k, 4)
	if err != nil || len(events) != 4 {
		t.Fatal(events, err)
	}
	for i, want := range []string{ledger.EventOutcome, ledger.EventCall, ledger.EventPlanned, ledger.EventCame} {
		if events[i].Event != want {
			t.Errorf("event %d is %s, want %s", i, events[i].Event, want)
		}
	}
	if f := events[3].Fields; len(f) != 1 || f[0] != "name" {
		t.Errorf("fields that differ: %v", f)
	}
	var all string
	if err := w.pool.QueryRow(t.Context(), "SELECT string_agg(events::text, '') FROM backstitch.history").Scan(&all); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(all, "anary") || strings.Contains(all, hashes[0]) {
		t.Error("the history holds a value")
	}
	found, err := ledger.FindEntities(t.Context(), w.pool, "1", "", 0)
	if err != nil || len(found) != 1 || found[0].StytchID == "" || len(found[0].Differs) != 0 {
		t.Errorf("found %+v, %v", found, err)
	}
	// given up: nothing makes its turn come but a newer revision (invariant 6)
	w.exec("UPDATE backstitch.entities SET status = 'dropped', dropped_at = now(), dropped_by = 'test', due_at = now() WHERE key = '1'")
	w.want(org("o"), orgState("o", "organization_name", "Another"))
	w.eventually("the organization is applied", func() (bool, string) { s := w.status(org("o")); return s == "current", s })
	if s := w.status(k); s != "dropped" {
		t.Errorf("a dropped entity is %s", s)
	}
	w.want(k, memberState("canary@example.com", "name", "New"))
	w.wantStatus(k, "current")
}
