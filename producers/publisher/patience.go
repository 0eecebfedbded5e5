package publisher

import (
	"sync"
	"time"
)

// mostPatience is how many times the least patience a slow Kafka is waited for.
const mostPatience = 4

// Patience is how long a Kafka transaction may take before the slot is given up. It
// is as short as it is told to be, so that an owner that is cut off from Kafka hands
// over soon (hazard S15); a Kafka that is slow for everybody makes it longer, up to
// four times, so that instances do not take the source from each other for ever. It
// outlives publishers. Safe for concurrent use.
type Patience struct {
	mu      sync.Mutex
	least   time.Duration
	slowest time.Duration // of the last transactions, forgotten by and by
}

// NewPatience makes one that is never shorter than least.
func NewPatience(least time.Duration) *Patience { return &Patience{least: least} }

// Limit is how long the next transaction may take: twice what the slowest of the last
// ones took, within [least, 4 x least].
func (p *Patience) Limit() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return min(max(p.least, 2*p.slowest), mostPatience*p.least)
}

// took remembers how long a transaction took, or how long it was waited for in vain.
func (p *Patience) took(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slowest = max(d, p.slowest*9/10)
}
