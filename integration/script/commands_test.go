package script

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/integration/testenv"
)

// limit of everything that a script waits for.
const limit = 2 * time.Minute

// commands are what a script may say besides testscript's own words.
var commands = map[string]func(*testscript.TestScript, bool, []string){
	"world":      command(1, 2, makeWorld),
	"sql":        command(2, 2, runSQL),
	"edit":       command(3, 3, edit),
	"backstitch": command(0, 99, func(ts *testscript.TestScript, s *stage, args []string) { run(ts, s, 0, args) }),
	"exits":      command(1, 99, func(ts *testscript.TestScript, s *stage, args []string) { run(ts, s, code(ts, args[0]), args[1:]) }),
	"start":      command(2, 99, start),
	"said":       command(2, 2, said),
	"ends":       command(2, 3, ends),
	"caughtup":   command(0, 0, func(_ *testscript.TestScript, s *stage, _ []string) { s.world.CaughtUp(s, limit) }),
	"clean":      command(0, 0, func(_ *testscript.TestScript, s *stage, _ []string) { s.world.Clean(s) }),
	"drained":    command(0, 0, func(_ *testscript.TestScript, s *stage, _ []string) { s.world.Drained(s, limit) }),
	"role":       command(1, 1, role),
	"database":   command(1, 1, func(ts *testscript.TestScript, s *stage, args []string) { ts.Setenv(args[0], testenv.Postgres(s)) }),
	"slots":      command(1, 1, slots),
	"position":   command(1, 1, position),
	"stytch":     command(2, 2, inStytch),
	"lose":       command(1, 1, lose),
	"keys":       command(1, 1, keys),
}

type stageKey struct{}

// stage is what a script has around it.
type stage struct {
	testing.TB
	dir       string
	variables []string // of the script's beginning
	world     *harness.World
	mask      mask
	processes map[string]*harness.Process
}

// command checks the number of words; none of ours can be negated.
func command(least, most int, do func(*testscript.TestScript, *stage, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < least || len(args) > most {
			ts.Fatalf("want %d to %d words and no !: see the package's comment", least, most)
		}
		s, ok := ts.Value(stageKey{}).(*stage)
		if !ok {
			ts.Fatalf("no stage")
		}
		do(ts, s, args)
	}
}

func code(ts *testscript.TestScript, word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		ts.Fatalf("%q is no exit code", word)
	}
	return n
}

// run runs the binary to its end; stdout and stderr are what it printed, masked.
func run(ts *testscript.TestScript, s *stage, want int, args []string) {
	err := ts.Exec("backstitch", args...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	printed(ts, s, args, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	if got != want {
		ts.Fatalf("exits with %d, want %d", got, want)
	}
}

// printed shows the outputs to the script, masked.
func printed(ts *testscript.TestScript, s *stage, args []string, out, errOut string) {
	if slices.Contains(args, "json") {
		wantJSON(ts, out)
	}
	ts.Check(os.WriteFile(ts.MkAbs("raw"), []byte(out), 0o600))
	_, err := io.WriteString(ts.Stdout(), s.mask.apply(out))
	if err == nil {
		_, err = io.WriteString(ts.Stderr(), s.mask.apply(errOut))
	}
	ts.Check(err)
}

// wantJSON fails unless text is JSON: one document, or many one after another.
func wantJSON(ts *testscript.TestScript, text string) {
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		var document any
		switch err := d.Decode(&document); {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			ts.Fatalf("standard output is no JSON: %v:\n%s", err, text)
		}
	}
}

// start runs the binary beside the script, which names it.
func start(ts *testscript.TestScript, s *stage, args []string) {
	cmd := exec.Command(harness.Binary(s), args[1:]...)
	cmd.Dir = s.dir
	for _, v := range s.variables {
		name, _, _ := strings.Cut(v, "=")
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	s.processes[args[0]] = harness.Launch(s, cmd)
}

func process(ts *testscript.TestScript, s *stage, name string) *harness.Process {
	p := s.processes[name]
	if p == nil {
		ts.Fatalf("nothing was started as %s", name)
	}
	return p
}

func said(ts *testscript.TestScript, s *stage, args []string) {
	p, want := process(ts, s, args[0]), regexp.MustCompile(args[1])
	harness.Eventually(s, limit, args[0]+" says "+args[1], func() bool {
		select {
		case <-p.Ended():
			if !want.MatchString(p.Log()) {
				ts.Fatalf("%s has ended and did not say %s", args[0], args[1])
			}
		default:
		}
		return want.MatchString(p.Log())
	})
}

var signals = map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}

// ends waits for the end of what was started.
func ends(ts *testscript.TestScript, s *stage, args []string) {
	p, want := process(ts, s, args[0]), code(ts, args[1])
	if len(args) == 3 {
		signal, ok := signals[args[2]]
		if !ok {
			ts.Fatalf("want INT, TERM or KILL")
		}
		p.Signal(signal)
	}
	got := p.Wait(s, limit)
	out, errOut := p.Streams()
	printed(ts, s, p.Args(), out, errOut)
	if got != want {
		ts.Fatalf("%s exits with %d, want %d", args[0], got, want)
	}
}
