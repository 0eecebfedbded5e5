package lag

import (
	"context"
	"errors"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
)

// How the entities are counted, which takes as long as there are many.
const (
	// countTimeout bounds one count.
	countTimeout = 30 * time.Second
	// countShare: no more than this part of the time is spent on counting.
	countShare = 20
)

// counting counts the entities beside the looks: a look shows the last count when
// another one takes longer than patience.
type counting struct {
	patience time.Duration
	last     ledger.Summary // without counts: never counted, or the last count failed
	at       time.Time
	took     time.Duration

	result chan count // of the count that runs; nil: none does
	stop   context.CancelFunc
}

type count struct {
	summary ledger.Summary
	err     error
	took    time.Duration
}

// look begins another count when one is due, and waits for it for a while.
func (c *counting) look(ctx context.Context, deps Deps) error {
	if c.result == nil {
		if c.last.Counts != nil && deps.Now().Sub(c.at) < countShare*c.took {
			return nil
		}
		c.begin(deps)
	}
	patience := time.NewTimer(c.patience)
	defer patience.Stop()
	select {
	case done := <-c.result:
		c.stop()
		c.result, c.last, c.at, c.took = nil, done.summary, deps.Now(), done.took
		return done.err
	case <-ctx.Done():
		return ctx.Err()
	case <-patience.C:
		if c.last.Counts == nil {
			return errors.New("the entities are still being counted")
		}
		return nil
	}
}

func (c *counting) begin(deps Deps) {
	ctx, stop := context.WithTimeout(context.Background(), countTimeout)
	result := make(chan count, 1)
	c.result, c.stop = result, stop
	go func() {
		began := deps.Now()
		summary, err := ledger.Summarize(ctx, deps.Ledger)
		result <- count{summary, err, deps.Now().Sub(began)}
	}()
}

// close ends the count that runs.
func (c *counting) close() {
	if c.result != nil {
		c.stop()
		<-c.result
		c.result = nil
	}
}
