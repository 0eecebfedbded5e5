package rehearse

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/pipeline/rehearsal"
)

// progressEvery is how often a line says how far it is.
const progressEvery = 5 * time.Second

// progress says now and then how far a rehearsal is.
type progress struct {
	out   io.Writer
	p     *pipeline.Pipeline
	clock *rehearsal.Clock

	cancel  context.CancelFunc
	running sync.WaitGroup
}

func (s *progress) start(ctx context.Context) {
	ctx, s.cancel = context.WithCancel(ctx)
	s.running.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		last := ""
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if line := progressLine(s.p.Status(ctx), s.clock.Elapsed()); line != last && ctx.Err() == nil {
					fmt.Fprintln(s.out, line)
					last = line
				}
			}
		}
	})
}

// stop returns when nothing is written any more.
func (s *progress) stop() {
	s.cancel()
	s.running.Wait()
}

func progressLine(s admin.Status, elapsed time.Duration) string {
	var read, applied, waiting, aside int64
	for _, t := range s.Backfill {
		read += t.Rows
	}
	for _, c := range s.Entities.Counts {
		switch c.Status {
		case consumers.Pending, consumers.Deferred:
			waiting += c.Count
		case consumers.Parked, consumers.Blocked, consumers.AwaitingConsent:
			aside += c.Count
		default:
			applied += c.Count
		}
	}
	return fmt.Sprintf("read %d rows; applied %d, waiting %d, set aside %d; %d calls, %.0f/s, which is %s of the real run",
		read, applied, waiting, aside, s.Apply.Calls, s.Apply.CallsPerSecond, elapsed.Round(time.Second))
}
