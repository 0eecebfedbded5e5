// Package stage gives every long-running part the same life: Start, a drain on
// Stop, cancellation when the drain takes too long, and one error at the end.
package stage

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Run is the body of a stage. It returns nil when it has drained after stopping
// was closed; it must return soon once ctx is cancelled. Returning before
// stopping is closed is a failure of the stage, even with a nil error, unless the
// stage says that its work is done by returning ErrDone.
type Run func(ctx context.Context, stopping <-chan struct{}) error

// ErrDone is returned by a stage whose work has an end and has reached it.
var ErrDone = errors.New("done")

// Stage runs one Run. Its methods are safe for concurrent use; Stop may be called
// several times, or before Start.
type Stage struct {
	name string
	run  Run

	mu struct {
		sync.Mutex
		started bool
		cancel  context.CancelFunc
		err     error
	}
	stopOnce sync.Once
	stopping chan struct{}
	done     chan struct{}
}

// New makes a stage that is not started yet.
func New(name string, run Run) *Stage {
	return &Stage{name: name, run: run, stopping: make(chan struct{}), done: make(chan struct{})}
}

// Name is the stage's name in logs and errors.
func (s *Stage) Name() string { return s.name }

// Start runs the stage in a goroutine of its own. The context bounds the whole
// life of the stage.
func (s *Stage) Start(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.started {
		return
	}
	s.mu.started = true
	ctx, s.mu.cancel = context.WithCancel(ctx)
	go func() {
		err := s.run(ctx, s.stopping)
		if err != nil && !errors.Is(err, ErrDone) {
			err = fmt.Errorf("%s: %w", s.name, err)
		}
		s.mu.Lock()
		s.mu.err = err
		s.mu.cancel()
		s.mu.Unlock()
		close(s.done)
	}()
}

// Stop asks the stage to drain and waits. When ctx ends first the stage is
// cancelled, and Stop still waits for it to return.
func (s *Stage) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() { close(s.stopping) })
	s.mu.Lock()
	started := s.mu.started
	s.mu.Unlock()
	if !started {
		return nil
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		s.mu.Lock()
		s.mu.cancel()
		s.mu.Unlock()
		<-s.done
	}
	return s.Err()
}

// Done is closed when the stage has returned.
func (s *Stage) Done() <-chan struct{} { return s.done }

// Err is how the stage ended: nil while it runs, after a clean drain, and after
// ErrDone.
func (s *Stage) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.mu.err, ErrDone) {
		return nil
	}
	return s.mu.err
}

// Until is a context that ends with ctx or when stopping is closed, for a run that has
// nothing to drain. end frees it.
func Until(ctx context.Context, stopping <-chan struct{}) (until context.Context, end context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-stopping:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		cancel()
		watching.Wait()
	}
}
