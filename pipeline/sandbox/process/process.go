// Package process runs servers as children that never outlive this program,
// under another user where a server refuses to run as root.
package process

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"syscall"
)

// User is whom a child runs as; nil means the current user.
type User struct {
	Name     string
	UID, GID uint32
	Home     string
}

// Unprivileged finds a user for servers that refuse root: nil when this program
// does not run as root, else the first of names that the system knows. The user
// needs a passwd entry, because initdb asks for one.
func Unprivileged(names ...string) (*User, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		if uid != 0 {
			return &User{Name: name, UID: uint32(uid), GID: uint32(gid), Home: u.HomeDir}, nil
		}
	}
	return nil, fmt.Errorf("running as root, and none of the users %v exists to run a server as: create one (useradd --system postgres)", names)
}

// Own gives path to the user; a nil user changes nothing.
func (u *User) Own(path string) error {
	if u == nil {
		return nil
	}
	return os.Chown(path, int(u.UID), int(u.GID))
}

// Command prepares a child: as the user, in the root directory (a working
// directory under a closed home fails with a misleading error), killed with this
// program.
func Command(u *User, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if u != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: []uint32{u.GID}}
	}
	return cmd
}

// Child is a running server.
type Child struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Start runs cmd with its output in log. The goroutine that starts the child
// keeps its thread until the child ends: the kernel's parent-death signal hangs
// on that thread, not on the process.
func Start(cmd *exec.Cmd, log io.Writer, deathSignal syscall.Signal) (*Child, error) {
	cmd.Stdout, cmd.Stderr = log, log
	dieWithParent(cmd.SysProcAttr, deathSignal)
	c := &Child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		c.err = cmd.Wait()
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return c, nil
}

// PID is the child's process id.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Signal sends a signal to the child; an ended child is not an error.
func (c *Child) Signal(s os.Signal) {
	select {
	case <-c.done:
	default:
		_ = c.cmd.Process.Signal(s) // it may end in between: that is what the caller wanted
	}
}

// Done is closed when the child has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Wait returns how the child ended.
func (c *Child) Wait() error {
	<-c.done
	return c.err
}
