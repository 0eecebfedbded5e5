package pipeline

import (
	"context"
	"time"

	"github.com/backstitch/backstitch/internal/stage"
)

// dueLook is how often it is asked whether something is due again.
const dueLook = 30 * time.Second

// again looks whether something is due, and does it, until stopping or ctx ends: the
// body of a stage. every is how often it should be done. A failure that repeats is
// said once; failed says of what.
func (p *Pipeline) again(ctx context.Context, stopping <-chan struct{}, every time.Duration, failed string, ifDue func(context.Context) error) error {
	ctx, end := stage.Until(ctx, stopping)
	defer end()
	tick := time.NewTicker(min(dueLook, every))
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := ifDue(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			said = ""
		case err.Error() != said:
			said = err.Error()
			p.log.WarnContext(ctx, failed+"; it is tried again", "error", err)
		}
	}
}
