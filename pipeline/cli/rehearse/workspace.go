package rehearse

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/backstitch/backstitch/pipeline/sandbox/process"
)

const (
	workspaceName = "backstitch-rehearsal-"
	lockName      = "lock"
)

// workspace is the directory of one rehearsal. Its lock ends with the process, whatever
// ends it: a directory whose lock is free is of nobody.
type workspace struct {
	dir  string
	lock *os.File
}

// openWorkspace makes a directory that only the server's user may enter, and root.
func openWorkspace(server *process.User) (*workspace, error) {
	dir, err := os.MkdirTemp("", workspaceName) // of mode 0700
	if err != nil {
		return nil, fmt.Errorf("make a directory for the rehearsal: %w", err)
	}
	w := &workspace{dir: dir}
	// It appears under its name when it is taken: one that is free is of nobody.
	path := filepath.Join(dir, lockName)
	if w.lock, err = os.OpenFile(path+".new", os.O_CREATE|os.O_RDWR, 0o600); err == nil {
		err = errors.Join(tryLock(w.lock), os.Rename(path+".new", path), server.Own(dir))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a directory for the rehearsal: %w", err), w.close())
	}
	return w, nil
}

func tryLock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

func (w *workspace) close() error {
	err := os.RemoveAll(w.dir)
	if w.lock != nil {
		err = errors.Join(err, w.lock.Close())
	}
	return err
}

// sweep removes the directories of rehearsals that were killed, and names them.
func sweep() (removed []string, err error) {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), workspaceName+"*"))
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, dir := range left {
		f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
		if err != nil {
			continue // being made, or somebody else's
		}
		if tryLock(f) == nil {
			if err := os.RemoveAll(dir); err != nil {
				errs = append(errs, fmt.Errorf("%s is left of a rehearsal that was killed, holds what it had read, and cannot be removed: %w", dir, err))
			} else {
				removed = append(removed, dir)
			}
		}
		_ = f.Close() // only its lock mattered
	}
	return removed, errors.Join(errs...)
}
