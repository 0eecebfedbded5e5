package transform

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// stopper stops its own process before it sends a statement, once a line has come on
// the standard input.
type stopper struct {
	at    string // a part of the statement
	armed atomic.Bool
}

func newStopper(at string) *stopper {
	s := &stopper{at: at}
	go func() {
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err == nil {
			s.armed.Store(true)
		}
	}()
	return s
}

const stoppedLine = "stopped before the statement"

func (s *stopper) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if strings.Contains(q.SQL, s.at) && s.armed.CompareAndSwap(true, false) {
		fmt.Println(stoppedLine)
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) // a failure shows as an owner that goes on
	}
	return ctx
}

func (*stopper) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// stops is an owner in a process of its own, and what has it stop at the next
// statement of a kind that it sends.
func (f *feeder) stops(at string) (p *exec.Cmd, arm func()) {
	f.t.Helper()
	var in io.WriteCloser
	var out io.ReadCloser
	p = f.process("zombie", func(cmd *exec.Cmd, p *party) {
		p.StopAt, p.Lease = at, time.Minute // it hears from no lock that it is too late: what is left is the fence
		var err error
		in, err = cmd.StdinPipe()
		f.check(err)
		cmd.Stdout = nil
		out, err = cmd.StdoutPipe()
		f.check(err)
	})
	stopped := make(chan struct{})
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if lines.Text() == stoppedLine {
				close(stopped)
			} else {
				fmt.Fprintln(os.Stderr, lines.Text()) // why it ended, if it did
			}
		}
	}()
	return p, func() {
		f.t.Helper()
		_, err := fmt.Fprintln(in, "stop")
		f.check(err)
		f.begin().update("docs", 1, "stopped", toasted{}, nil, nil).end()
		f.until("it stops before "+at, func() bool { return isClosed(stopped) })
	}
}

// statements are those between which an owner is stopped, in the order of its work.
var statements = []string{
	"FROM backstitch.transform WHERE term",  // the fence
	"INSERT INTO backstitch.offsets",        // with the rows, uncommitted
	"commit",                                // of the fill
	"SET epoch",                             // the checkpoint is reached
	"DELETE FROM backstitch.touched",        // in the evaluation
	"SET phase",                             // evaluated
	"FROM backstitch.entities WHERE announ", // before it publishes
	"SET announced",                         // published
}

// endLocks ends the session that holds the election's lock.
const endLocks = `SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted
	AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

// invariant 10, hazard C13: an owner is stopped between any two statements of its
// work, with what it has open, and wakes when its successor has done that work and
// more. The statement that it sends then, and any other, changes nothing. A wake-up
// that comes twice, or late, names no revision that the ledger does not have.
func TestStoppedBetweenStatements(t *testing.T) {
	for _, at := range statements {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			f := docsFeeder(t)
			var arm func()
			f.succeed(func(f *feeder) fault {
				p, stop := f.stops(at)
				arm = func() { stop(); f.number(endLocks) }
				signal := func(s syscall.Signal) func() { return func() { _ = p.Process.Signal(s) } }
				begin := func() {
					arm()
					arm = signal(syscall.SIGSTOP) // from the second time on, where it stands by
				}
				return fault{begin: begin, wake: signal(syscall.SIGCONT)}
			})
			f.wakeUps()
		})
	}
}
