package pipeline

import (
	"sync"
	"time"
)

// rateWindow is over how long a rate is taken.
const rateWindow = 5 * time.Second

// rate is the growth of a counter over the last seconds, as it was looked at.
type rate struct {
	mu      sync.Mutex
	samples []sample
}

type sample struct {
	at    time.Time
	count int64
}

// observe adds a reading and returns the rate per second.
func (r *rate) observe(now time.Time, count int64) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.samples = append(r.samples, sample{now, count})
	for len(r.samples) > 2 && now.Sub(r.samples[1].at) >= rateWindow {
		r.samples = r.samples[1:]
	}
	first := r.samples[0]
	if elapsed := now.Sub(first.at).Seconds(); elapsed > 0 {
		return float64(count-first.count) / elapsed
	}
	return 0
}
