package capture_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/producers/capture"
	"github.com/backstitch/backstitch/schemas"
)

// hazard S10: a standby that lacks what was emitted is promoted; then the server is
// restored from a copy, on the same timeline, with smaller LSNs. Both hold before
// anything is skipped as emitted, and name the positions. The way out reads
// everything again under the next epoch, in the same process.
func TestLostForkAndRestore(t *testing.T) {
	t.Parallel()
	server := testenv.OwnPostgres(t, nil)
	url, err := server.CreateDatabase(t.Context(), "legacy")
	if err != nil {
		t.Fatal(err)
	}
	r := newRigOn(t, url, one+"; INSERT INTO t SELECT i, 'x' FROM generate_series(1, 20) i", "t")
	var dir string
	r.scan(&dir, "SHOW data_directory")
	move := func(change func()) {
		t.Helper()
		r.sql.Close(t.Context())
		if err := server.Halt(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		change()
		if err := server.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.sql = r.connect()
	}
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	copied := dir + ".copy"
	t.Cleanup(func() { os.RemoveAll(copied) })
	for epoch, standby := range []bool{true, false} {
		s := r.start()
		r.caughtUp(s)
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		move(func() { run("cp", "-a", dir, copied) })
		s = r.start()
		r.exec("INSERT INTO t SELECT i, 'lost' FROM generate_series(101, 500) i")
		r.exec("DELETE FROM t WHERE id <= 3")
		r.caughtUp(s)
		emitted := r.checkpoint()
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := "the server was restored to an earlier time"
		move(func() {
			run("rm", "-rf", dir)
			run("mv", copied, dir)
			if standby {
				if err := os.WriteFile(filepath.Join(dir, "standby.signal"), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
		if standby {
			var promoted bool
			if r.scan(&promoted, "SELECT pg_promote(true, 30)"); !promoted {
				t.Fatal("the standby was not promoted")
			}
			want = "timeline 2 left timeline 1 at "
		}
		// A commit below what was emitted: skipped as emitted, were it streamed.
		r.exec("INSERT INTO t VALUES ($1, 'below')", 1000+epoch)
		if below := r.insertLSN(); below >= emitted.Position.EndLSN {
			t.Fatalf("the new commit at %s is not below %s: the test tests nothing", below, emitted.Position.EndLSN)
		}
		s = r.start()
		r.until("a hold", func() bool { return s.Held() != nil })
		if reason := s.Held().Reason; !strings.Contains(reason, want) || !strings.Contains(reason, emitted.Position.EndLSN.String()) {
			t.Fatalf("held because %q, want %q and %s", reason, want, emitted.Position.EndLSN)
		}
		if err := capture.RequestBackfill(t.Context(), r.kafka, r.cfg.Prefix, nil); err != nil {
			t.Fatal(err)
		}
		r.until("the next epoch", func() bool { return s.Status().Epoch == uint32(epoch+2) })
		r.caughtUp(s)
		r.exec("UPDATE t SET v = 'live' WHERE id = 5")
		r.caughtUp(s)
		r.verifyEpoch(uint32(epoch + 2))
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *rig) insertLSN() schemas.LSN {
	r.t.Helper()
	var text string
	r.scan(&text, "SELECT pg_current_wal_insert_lsn()::text")
	lsn, err := schemas.ParseLSN(text)
	if err != nil {
		r.t.Fatal(err)
	}
	return lsn
}

// verifyEpoch checks that the records of an epoch alone fold to the database's
// state: what only a former epoch has are deletes that wait for consent.
func (r *rig) verifyEpoch(epoch uint32) {
	r.t.Helper()
	var of []record
	for _, k := range r.records() {
		if k.Version.Epoch > epoch {
			r.t.Errorf("version %s is of a later epoch than %d", k.Version, epoch)
		}
		if k.Version.Epoch == epoch {
			of = append(of, k)
		}
	}
	r.verify(of)
}
