package publisher

import (
	"context"
	"sync/atomic"

	"github.com/backstitch/backstitch/schemas"
)

// Line commits batches one after another in a goroutine of its own, so that the
// next one is filled meanwhile. At most three batches exist (invariant 9).
type Line struct {
	p         *Publisher
	in        chan *Batch
	free      chan *Batch
	pending   atomic.Int64 // handed over and not finished
	done      chan struct{}
	err       error
	committed func(c *schemas.Checkpoint, records int)
	idle      func()
}

// NewLine starts a line. committed is called after each commit, idle when the line
// can take the next batch at once, or has failed; both from the line's goroutine.
func NewLine(ctx context.Context, p *Publisher, committed func(c *schemas.Checkpoint, records int), idle func()) *Line {
	l := &Line{p: p, in: make(chan *Batch), free: make(chan *Batch, 3), done: make(chan struct{}), committed: committed, idle: idle}
	for range cap(l.free) {
		l.free <- &Batch{}
	}
	go l.run(ctx)
	return l
}

func (l *Line) run(ctx context.Context) {
	defer close(l.done)
	defer l.idle()
	for b := range l.in {
		checkpoint, err := l.p.Commit(ctx, b)
		if err != nil {
			l.err = err
			return
		}
		records := b.records
		b.reset()
		l.free <- b
		l.committed(checkpoint, records)
		if l.p.gap(ctx) != nil {
			l.err = ctx.Err()
			return
		}
		l.pending.Add(-1)
		l.idle()
	}
}

// Batch waits for an empty batch.
func (l *Line) Batch(ctx context.Context) (*Batch, error) {
	select {
	case b := <-l.free:
		return b, nil
	case <-l.done:
		return nil, l.Err()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Idle reports whether Hand would not wait.
func (l *Line) Idle() bool { return l.pending.Load() == 0 }

// Hand gives a batch to the line and waits only while it works on another one.
func (l *Line) Hand(ctx context.Context, b *Batch) error {
	l.pending.Add(1)
	select {
	case l.in <- b:
		return nil
	case <-l.done:
		return l.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Failed is closed when the line has ended.
func (l *Line) Failed() <-chan struct{} { return l.done }

// Close lets the line finish what it has, and returns its error.
func (l *Line) Close() error {
	close(l.in)
	<-l.done
	return l.err
}

// Err is how the line ended; valid once Failed is closed.
func (l *Line) Err() error { return l.err }
