package lag

import (
	"context"
	"sync"
	"time"
)

// every is the distance of two looks that nobody asks for: they keep the metrics.
const every = 10 * time.Second

// Poller is the one that looks in an instance: its metrics, its status and its page
// show the same look.
type Poller struct {
	reader *Reader

	mu struct {
		sync.Mutex
		report Report
		at     time.Time
	}
}

// NewPoller looks with reader, which is the poller's from here on. It does not keep
// those who ask for a status waiting for a count of many entities.
func NewPoller(reader *Reader) *Poller {
	reader.entities.patience = 2 * time.Second
	return &Poller{reader: reader}
}

// Run looks until stopping is closed or ctx ends: the body of a stage.
func (p *Poller) Run(ctx context.Context, stopping <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	defer p.close()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		p.Latest(ctx, every/2)
		select {
		case <-stopping:
			return nil
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Latest is a look no older than age; many callers share one.
func (p *Poller) Latest(ctx context.Context, age time.Duration) Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reader != nil && time.Since(p.mu.at) > age {
		report := p.reader.Read(ctx)
		if ctx.Err() != nil { // cut short: it says nothing
			return report
		}
		p.mu.report, p.mu.at = report, time.Now()
	}
	return p.mu.report
}

// last is the look that the metrics show; false when it is too old to be true.
func (p *Poller) last() (Report, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.report, !p.mu.at.IsZero() && time.Since(p.mu.at) < 3*every
}

func (p *Poller) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reader.Close()
	p.reader = nil
}
