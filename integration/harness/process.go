package harness

import (
	"bytes"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a running backstitch.
type Process struct {
	cmd         *exec.Cmd
	out, errOut *lockedBuffer
	log         *lockedBuffer // both outputs
	done        chan struct{}
	err         error
}

// Start runs the binary with arguments, in a process that the test can kill.
func (w *World) Start(tb testing.TB, args ...string) *Process {
	tb.Helper()
	return Launch(tb, exec.Command(Binary(tb), args...))
}

// Launch starts a command of the binary, which has its folder and environment set
// where they matter, in a process that the test can kill.
func Launch(tb testing.TB, cmd *exec.Cmd) *Process {
	tb.Helper()
	p := &Process{cmd: cmd, out: &lockedBuffer{}, errOut: &lockedBuffer{}, log: &lockedBuffer{}, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = io.MultiWriter(p.out, p.log), io.MultiWriter(p.errOut, p.log)
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	tb.Cleanup(func() {
		p.Signal(syscall.SIGKILL)
		<-p.done
		if tb.Failed() {
			tb.Logf("backstitch %s:\n%s", strings.Join(cmd.Args[1:], " "), p.log.Tail(8000))
		}
	})
	return p
}

// Run starts `backstitch run` on the world's configuration.
func (w *World) Run(tb testing.TB, more ...string) *Process {
	tb.Helper()
	return w.Start(tb, append([]string{"run", "-c", w.Config}, more...)...)
}

// Command runs a command on the world's configuration to its end and returns its
// output, both streams, and exit code. A -c among the arguments wins.
func (w *World) Command(tb testing.TB, args ...string) (string, int) {
	tb.Helper()
	p := w.Start(tb, w.args(args)...)
	code := p.Wait(tb, 2*time.Minute)
	return p.log.String(), code
}

// Output is Command for what a script reads: standard output alone, of a command
// that must exit with 0.
func (w *World) Output(tb testing.TB, args ...string) string {
	tb.Helper()
	p := w.Start(tb, w.args(args)...)
	if code := p.Wait(tb, 2*time.Minute); code != 0 {
		tb.Fatalf("%s exits with %d:\n%s", strings.Join(args, " "), code, p.log)
	}
	return p.out.String()
}

func (w *World) args(args []string) []string {
	if slices.Contains(args, "-c") {
		return args
	}
	return append(slices.Clone(args), "-c", w.Config)
}

// Signal sends a signal; an ended process is not an error.
func (p *Process) Signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// Kill ends the process as a crash would.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.done }

// Wait returns the exit code.
func (p *Process) Wait(tb testing.TB, limit time.Duration) int {
	tb.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		tb.Fatalf("the process did not end within %s", limit)
		return -1
	}
}

// Live lets the process live for a while; it must not end by itself.
func (p *Process) Live(tb testing.TB, d time.Duration) {
	tb.Helper()
	select {
	case <-time.After(d):
	case <-p.done:
		tb.Fatalf("the process ended by itself:\n%s", p.log.Tail(4000))
	}
}

// Log is what the process has printed.
func (p *Process) Log() string { return p.log.String() }

// Streams are what the process has printed, standard output and error apart.
func (p *Process) Streams() (out, errOut string) { return p.out.String(), p.errOut.String() }

// Args are the arguments that the process was started with.
func (p *Process) Args() []string { return p.cmd.Args[1:] }

// AdminURL waits until a run has said where its status page is.
func (p *Process) AdminURL(tb testing.TB) string {
	tb.Helper()
	var url string
	Eventually(tb, time.Minute, "the address of the status page", func() bool {
		_, after, ok := strings.Cut(p.log.String(), "status page: ")
		line, _, whole := strings.Cut(after, "\n")
		url = strings.TrimSpace(line)
		return ok && whole
	})
	return url
}

// Get reads a page of the admin server.
func (p *Process) Get(tb testing.TB, path string) string {
	tb.Helper()
	res, err := http.Get(p.AdminURL(tb) + path)
	if err != nil {
		tb.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		tb.Fatalf("GET %s: %s %v", path, res.Status, err)
	}
	return string(body)
}

// Stop drains the process and returns its exit code.
func (p *Process) Stop(tb testing.TB) int {
	tb.Helper()
	p.Signal(syscall.SIGTERM)
	return p.Wait(tb, time.Minute)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) Tail(n int) string {
	s := l.String()
	return s[max(0, len(s)-n):]
}
