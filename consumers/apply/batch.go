package apply

import (
	"context"
	"errors"
	"time"
)

const (
	batchSize = 64
	batchWait = 2 * time.Millisecond
)

// errStopped ends a turn that the stage's end interrupts: nothing of it was sent,
// its wake-up stays unacknowledged.
var errStopped = errors.New("apply is stopping")

type job[T, R any] struct {
	in  T
	out chan result[R]
}

type result[R any] struct {
	out R
	err error
}

// batcher turns the single requests of many turns into few statements: while one
// runs, the next batch gathers; a small one waits 2 ms for company.
type batcher[T, R any] struct {
	jobs chan job[T, R]
	run  func(context.Context, []T) ([]R, error)
}

func newBatcher[T, R any](run func(context.Context, []T) ([]R, error)) *batcher[T, R] {
	return &batcher[T, R]{jobs: make(chan job[T, R], batchSize), run: run} // one batch gathers while one runs
}

// do hands a request in and waits for its answer.
func (b *batcher[T, R]) do(ctx context.Context, in T) (R, error) {
	var zero R
	j := job[T, R]{in: in, out: make(chan result[R], 1)}
	select {
	case b.jobs <- j:
	case <-ctx.Done():
		return zero, context.Cause(ctx)
	}
	select {
	case r := <-j.out:
		return r.out, r.err
	case <-ctx.Done():
		return zero, context.Cause(ctx)
	}
}

// loop serves requests until ctx ends.
func (b *batcher[T, R]) loop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-b.jobs:
			b.serve(ctx, b.gather(first))
		}
	}
}

func (b *batcher[T, R]) gather(first job[T, R]) []job[T, R] {
	batch := append(make([]job[T, R], 0, batchSize), first)
	timer := time.NewTimer(batchWait)
	defer timer.Stop()
	for len(batch) < batchSize {
		select {
		case j := <-b.jobs:
			batch = append(batch, j)
		case <-timer.C:
			return batch
		}
	}
	return batch
}

func (b *batcher[T, R]) serve(ctx context.Context, batch []job[T, R]) {
	in := make([]T, len(batch))
	for i, j := range batch {
		in[i] = j.in
	}
	out, err := b.run(ctx, in)
	for i, j := range batch {
		if err != nil {
			j.out <- result[R]{err: err}
			continue
		}
		j.out <- result[R]{out: out[i]}
	}
}
