package capture_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/producers/capture"
	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/registry"
)

// envCreator turns this test binary into a source that stops after it has created
// its slot: the value is a creator.
const envCreator = "BACKSTITCH_TEST_CREATOR"

// creator is what the process of a source has to know.
type creator struct {
	Source, Registry, Prefix string
	Brokers                  []string
	Tables                   []schemas.Table
}

// stopper stops its own process at the first statement after the slot's creation:
// the keeper exports the slot's snapshot again.
type stopper struct{}

func (stopper) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if strings.Contains(q.SQL, "pg_export_snapshot") {
		fmt.Println("created")
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) // a failure shows as a source that goes on
	}
	return ctx
}

func (stopper) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestCreatorProcess is the process of TestKilledBetweenSlotAndFirstCheckpoint.
func TestCreatorProcess(t *testing.T) {
	var c creator
	if err := json.Unmarshal([]byte(os.Getenv(envCreator)), &c); err != nil {
		return // an ordinary run of the tests
	}
	config, err := pgx.ParseConfig(c.Source)
	if err != nil {
		t.Fatal(err)
	}
	config.Tracer = stopper{}
	reg, err := registry.New(c.Registry)
	if err != nil {
		t.Fatal(err)
	}
	s := capture.New(capture.Config{Prefix: c.Prefix, Partitions: 3, CreateTopics: true, Tables: c.Tables},
		capture.Deps{Source: config, Kafka: []kgo.Opt{kgo.SeedBrokers(c.Brokers...)}, Registry: reg})
	s.Start(t.Context())
	<-s.Done()
}

// creatorProcess is a process that stopped itself right after it created the slot.
type creatorProcess struct {
	*exec.Cmd
	// end kills it, as a crash, once.
	end func()
}

// creator starts one over the rig's servers and waits until it has stopped.
func (r *rig) creator() creatorProcess {
	r.t.Helper()
	value, err := json.Marshal(creator{Source: r.url, Registry: r.registryURL, Prefix: r.cfg.Prefix, Brokers: testenv.Kafka(r.t), Tables: r.cfg.Tables})
	if err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestCreatorProcess$")
	cmd.Env = append(os.Environ(), envCreator+"="+string(value))
	out, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed: that is its error
	})
	r.t.Cleanup(end)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "created\n" {
		r.t.Fatalf("the creator says %q: %v", line, err)
	}
	return creatorProcess{cmd, end}
}

// hazards S12 and S27: a process stops between its slot's creation and its first
// checkpoint. While it lives, another instance leaves the idle slot alone and stands
// by; when it is killed, the other drops the slot, makes it again and reads
// everything once.
func TestKilledBetweenSlotAndFirstCheckpoint(t *testing.T) {
	t.Parallel()
	r := newRig(t, one+`; INSERT INTO t SELECT i, 'before' FROM generate_series(1, 50) i`, "t")
	end := r.creator().end
	c := r.checkpoint()
	if c == nil || !c.Creating {
		t.Fatalf("the record before the slot is %+v", c)
	}
	created := r.slotPoint()
	s := r.start()
	r.until("it to stand by", func() bool { return s.Status().State == capture.StateStandby })
	r.exec("INSERT INTO t VALUES (51, 'meanwhile')") // in the slot and in the table
	if now := r.slotPoint(); now != created {
		t.Fatalf("the creator's slot is confirmed to %s, was created at %s", now, created)
	}
	end()
	r.caughtUp(s)
	if now := r.slotPoint(); now <= created {
		t.Errorf("the slot is at %s, that of the killed process was at %s: it was not made again", now, created)
	}
	records := r.records()
	r.verify(records)
	if len(records) != 51 {
		t.Errorf("%d records, want the 51 rows once", len(records))
	}
}

// slotPoint is where the source's slot is confirmed to.
func (r *rig) slotPoint() schemas.LSN {
	r.t.Helper()
	var text string
	r.scan(&text, "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1", "backstitch_"+r.cfg.Prefix)
	lsn, err := schemas.ParseLSN(text)
	if err != nil {
		r.t.Fatal(err)
	}
	return lsn
}

// hazard S8: while workers read, the only exported snapshot of the source's sessions
// is the keeper's: the slot's own ended with the next command on its connection.
func TestWorkersReadUnderTheKeepersSnapshot(t *testing.T) {
	t.Parallel()
	r := newRig(t, one+`; INSERT INTO t SELECT i, 'x' FROM generate_series(1, 6000) i`, "t")
	slow := func(c *capture.Config, _ *capture.Deps) {
		c.Backfill.Workers, c.Backfill.RangeRows = 2, 30
		c.MinGap = 10 * time.Millisecond
	}
	s := r.start(slow)
	exporters := func() (names []string) {
		r.scan(&names, `SELECT coalesce(array_agg(DISTINCT a.application_name), '{}')
			FROM pg_ls_dir('pg_snapshots') f, pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
			WHERE l.locktype = 'virtualxid' AND a.datname = current_database()
			  AND f LIKE upper(lpad(to_hex(split_part(l.virtualtransaction, '/', 1)::int), 8, '0') || '-' ||
			                   lpad(to_hex(split_part(l.virtualtransaction, '/', 2)::bigint), 8, '0')) || '-%'`)
		return names
	}
	seen := map[string]int{}
	look := func(what string) {
		t.Helper()
		r.until("workers that read: "+what, func() bool {
			var workers int
			r.scan(&workers, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'backstitch backfill'
				AND datname = current_database() AND backend_xmin IS NOT NULL`)
			names := exporters()
			if workers == 0 || len(names) == 0 {
				return false
			}
			for _, name := range names {
				seen[name]++
			}
			return true
		})
	}
	look("the first backfill")
	r.caughtUp(s)
	if err := s.Backfill(t.Context(), r.cfg.Tables); err != nil {
		t.Fatal(err)
	}
	look("a slice")
	r.until("the second run", func() bool { st := s.Status(); return st.Run == 2 && st.Backfill["public.t"].Done })
	if len(seen) != 1 || seen["backstitch keeper"] != 2 {
		t.Errorf("snapshots were exported by %v, want the keeper alone, twice", seen)
	}
	if strings.Contains(r.logged(), "starts again") {
		t.Error("a snapshot was gone when it was needed: the source started again")
	}
	r.verify(r.records())
}
