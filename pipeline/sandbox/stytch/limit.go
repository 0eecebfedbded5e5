package stytch

import (
	"sync"
	"time"
)

// limiter counts each endpoint's requests in fixed windows that begin with the
// clock's second or minute, as Stytch's do: they do not roll.
type limiter struct {
	perSecond, searchPerMinute int

	mu struct {
		sync.Mutex
		windows map[Endpoint]*window
	}
}

type window struct {
	start time.Time
	count int
}

func newLimiter(perSecond, searchPerMinute int) *limiter {
	l := &limiter{perSecond: perSecond, searchPerMinute: searchPerMinute}
	l.mu.windows = map[Endpoint]*window{}
	return l
}

// take counts a request; refused ones do not count. It returns how long the window
// still lasts when the request is over the limit.
func (l *limiter) take(e Endpoint, now time.Time) (rest time.Duration, ok bool) {
	limit, length := l.perSecond, time.Second
	if e.search() {
		limit, length = l.searchPerMinute, time.Minute
	}
	if limit <= 0 {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.mu.windows[e]
	if w == nil {
		w = &window{}
		l.mu.windows[e] = w
	}
	if start := now.Truncate(length); !w.start.Equal(start) {
		w.start, w.count = start, 0
	}
	if w.count >= limit {
		return w.start.Add(length).Sub(now), false
	}
	w.count++
	return 0, true
}
