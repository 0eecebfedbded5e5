package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

// tb lets a benchmark use what the tests use (testenv, harness): a failure ends
// the benchmark, clean-ups run when it ends.
type tb struct {
	testing.TB // nil; for its unexported method
	ctx        context.Context
	cleanups   []func()
	failed     bool
}

type failure struct{ error }

func (t *tb) Helper()                  {}
func (t *tb) Context() context.Context { return t.ctx }
func (t *tb) Failed() bool             { return t.failed }
func (t *tb) Cleanup(f func())         { t.cleanups = append(t.cleanups, f) }
func (t *tb) Fatal(args ...any)        { t.fail(fmt.Sprint(args...)) }
func (t *tb) Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}
func (t *tb) Fatalf(format string, args ...any) { t.fail(fmt.Sprintf(format, args...)) }
func (t *tb) Skipf(format string, args ...any)  { t.fail(fmt.Sprintf(format, args...)) }

func (t *tb) TempDir() string {
	dir, err := os.MkdirTemp("", "backstitch-bench-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // a temporary directory; nothing depends on it
	return dir
}

func (t *tb) fail(message string) {
	t.failed = true
	panic(failure{errors.New(message)})
}

// ok ends the benchmark on an error.
func (t *tb) ok(err error) {
	if err != nil {
		t.Fatal(err)
	}
}

// until polls a condition every few milliseconds.
func (t *tb) until(what string, holds func() bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(3 * time.Minute); !holds(); {
		select {
		case <-t.ctx.Done():
			t.Fatal(t.ctx.Err())
		case <-tick.C:
			if time.Now().After(deadline) {
				t.Fatalf("not in time: %s", what)
			}
		}
	}
}

// run runs a benchmark and its clean-ups.
func (t *tb) run(f func()) (err error) {
	defer func() {
		for _, clean := range slices.Backward(t.cleanups) {
			clean()
		}
	}()
	defer func() {
		if r := recover(); r != nil {
			failed, ours := r.(failure)
			if !ours {
				panic(r)
			}
			err = failed.error
		}
	}()
	f()
	return nil
}
