package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
)

// Binaries is a directory that holds initdb and postgres.
type Binaries struct {
	Dir   string
	Major int
}

// oldest is the oldest major version that Backstitch reads from.
const oldest = 15

// Find looks for server binaries of PostgreSQL 15 or newer: in the directory that
// BACKSTITCH_POSTGRES_BIN names, on PATH, in /usr/lib/postgresql/*/bin (newest
// first), and where Install puts them.
func Find(ctx context.Context) (Binaries, error) {
	var dirs []string
	if d := os.Getenv("BACKSTITCH_POSTGRES_BIN"); d != "" {
		dirs = append(dirs, d)
	}
	if p, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	system, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return Binaries{}, err
	}
	sort.Sort(sort.Reverse(sort.StringSlice(system)))
	dirs = append(dirs, system...)
	dirs = append(dirs, filepath.Join(cached(versions[newest]), "bin"))
	var seen []string
	for _, d := range dirs {
		major, err := majorOf(ctx, d)
		if err != nil {
			continue
		}
		if major >= oldest {
			return Binaries{Dir: d, Major: major}, nil
		}
		seen = append(seen, fmt.Sprintf("%s (version %d)", d, major))
	}
	if len(seen) > 0 {
		return Binaries{}, fmt.Errorf("%w: found only %v", ErrNotFound, seen)
	}
	return Binaries{}, ErrNotFound
}

// ErrNotFound says that there are no server binaries on this machine.
var ErrNotFound = errors.New("no PostgreSQL 15 or newer found")

// Ensure finds server binaries or installs them, telling what it does on w.
func Ensure(ctx context.Context, w io.Writer) (Binaries, error) {
	b, err := Find(ctx)
	if !errors.Is(err, ErrNotFound) {
		return b, err
	}
	return install(ctx, w)
}

var versionLine = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

func majorOf(ctx context.Context, dir string) (int, error) {
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return 0, err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0, err
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("%s/postgres --version: unexpected answer", dir)
	}
	return strconv.Atoi(string(m[1]))
}
