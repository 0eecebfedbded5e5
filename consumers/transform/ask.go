package transform

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/backstitch/backstitch/internal/redact"
)

// ErrStandby is returned by Audit where another instance owns the transform, or
// took it over before the audit ended.
var ErrStandby = errors.New("this instance does not own the transform")

// Audit has the whole mapping recomputed and compared now, beside following, and
// waits until that is done. It begins at the next evaluated position, at most a
// heartbeat of the source away. What it finds is evaluated again at the position
// after; Missed and Suspects tell whether a route misses changes (hazard C16). Its
// error is ErrStandby, ctx's, or what the audit failed with.
func (t *Transform) Audit(ctx context.Context) (PassStatus, error) {
	e := t.evaluating.Load()
	if e == nil {
		return PassStatus{}, ErrStandby
	}
	answer := e.waiters.add()
	e.auditNow()
	select {
	case a := <-answer:
		return a.pass, a.err
	case <-e.waiters.ended:
		return PassStatus{}, ErrStandby
	case <-ctx.Done():
		return PassStatus{}, fmt.Errorf("wait for the audit: %w", ctx.Err())
	}
}

// audited is what came of an audit.
type audited struct {
	pass PassStatus
	err  error
}

// waiters are those who asked for an audit that has not begun.
type waiters struct {
	sync.Mutex
	waiting []chan audited
	ended   chan struct{} // nobody will answer any more
}

func (w *waiters) add() <-chan audited {
	answer := make(chan audited, 1) // who waits may be gone
	w.Lock()
	defer w.Unlock()
	w.waiting = append(w.waiting, answer)
	return answer
}

func (w *waiters) take() (taken []chan audited) {
	w.Lock()
	defer w.Unlock()
	taken, w.waiting = w.waiting, nil
	return taken
}

// answer tells those who asked for this audit what came of it.
func (e *evaluator) answer(ctx context.Context, a *audit, err error) {
	if len(a.asked) == 0 {
		return
	}
	result := audited{err: redact.SQLError(err)}
	if ctx.Err() != nil {
		result.err = ErrStandby
	}
	if err == nil {
		var list []PassStatus
		list, result.err = listPasses(ctx, e.pool, "id = $1", a.pass)
		if len(list) == 1 {
			result.pass = list[0]
		}
	}
	for _, c := range a.asked {
		c <- result
	}
}

// show hands the last passes to the status.
func (e *evaluator) show(ctx context.Context) error {
	list, err := Passes(ctx, e.pool)
	if err == nil {
		e.passed(list)
	}
	return err
}
