package lag

import (
	"context"
	"sync"
	"time"

	"github.com/backstitch/backstitch/internal/stage"
)

// every is the distance of two looks that nobody asks for: they keep the metrics.
const every = 10 * time.Second

// Poller is the one that looks in an instance: its metrics, its status and its page
// show the same look.
type Poller struct {
	looking sync.Mutex // one look at a time
	reader  *Reader    // of who looks; nil after the end

	mu struct { // never held while looking: a scrape waits for nothing
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
	ctx, end := stage.Until(ctx, stopping)
	defer end()
	defer p.close()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		p.Latest(ctx, every/2)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Latest is a look no older than age; many callers share one.
func (p *Poller) Latest(ctx context.Context, age time.Duration) Report {
	p.looking.Lock()
	defer p.looking.Unlock()
	report, at := p.look()
	if p.reader == nil || time.Since(at) <= age {
		return report
	}
	report = p.reader.Read(ctx)
	if ctx.Err() == nil { // else it was cut short and says nothing
		p.mu.Lock()
		p.mu.report, p.mu.at = report, time.Now()
		p.mu.Unlock()
	}
	return report
}

func (p *Poller) look() (Report, time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.report, p.mu.at
}

// last is the look that the metrics show; false when it is too old to be true.
func (p *Poller) last() (Report, bool) {
	report, at := p.look()
	return report, !at.IsZero() && time.Since(at) < 3*every
}

func (p *Poller) close() {
	p.looking.Lock()
	defer p.looking.Unlock()
	p.reader.Close()
	p.reader = nil
}
