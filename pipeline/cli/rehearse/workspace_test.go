package rehearse

import (
	"os"
	"path/filepath"
	"testing"
)

// A directory belongs to whoever has its lock; one that nobody has is removed, and one
// without a lock is not a rehearsal's.
func TestSweepRemovesWhatIsOfNobody(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	mine, err := openWorkspace(nil)
	if err != nil {
		t.Fatal(err)
	}
	killed, err := openWorkspace(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(killed.dir, "data"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := killed.lock.Close(); err != nil { // as the kernel does it
		t.Fatal(err)
	}
	others := filepath.Join(dir, workspaceName+"others")
	if err := os.Mkdir(others, 0o700); err != nil {
		t.Fatal(err)
	}
	removed, err := sweep()
	if err != nil || len(removed) != 1 || removed[0] != killed.dir {
		t.Errorf("removed %v, %v", removed, err)
	}
	for _, kept := range []string{mine.dir, others} {
		if _, err := os.Stat(kept); err != nil {
			t.Errorf("%s is gone: %v", kept, err)
		}
	}
	info, err := os.Stat(mine.dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("its directory has mode %v, %v", info.Mode(), err)
	}
	if err := mine.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(mine.dir); !os.IsNotExist(err) {
		t.Errorf("the directory stays: %v", err)
	}
}
