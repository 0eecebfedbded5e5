package capture_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/backstitch/backstitch/integration/testenv"
)

// hazard S10: a fail-over that lost nothing of what was emitted goes on, on the new
// timeline; a server of an earlier time, or another server, holds.
func TestTimeline(t *testing.T) {
	t.Parallel()
	server := testenv.OwnPostgres(t, nil)
	url, err := server.CreateDatabase(t.Context(), "legacy")
	if err != nil {
		t.Fatal(err)
	}
	r := newRigOn(t, url, one+"; INSERT INTO t VALUES (1, 'a')", "t")
	s := r.start()
	r.caughtUp(s)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	var dir string
	r.scan(&dir, "SHOW data_directory")
	r.sql.Close(t.Context())
	if err := server.Halt(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "standby.signal"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := server.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.sql = r.connect()
	var promoted bool
	r.scan(&promoted, "SELECT pg_promote(true, 30)")
	if !promoted {
		t.Fatal("the server was not promoted")
	}
	before := r.checkpoint().Source.Timeline
	s = r.start()
	r.caughtUp(s)
	r.exec("INSERT INTO t VALUES (2, 'b')")
	r.caughtUp(s)
	if now := r.checkpoint().Source.Timeline; now != before+1 {
		t.Fatalf("timeline %d, want %d", now, before+1)
	}
	r.verify(r.records())
}
