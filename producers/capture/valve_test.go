package capture_test

import (
	"context"
	"math"
	"slices"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/producers/capture"
)

// valved is a source that hands Kafka no more records than it is allowed, until it is
// killed: it is killed where a test wants it, however busy the machine is.
type valved struct {
	source *capture.Source
	crash  context.CancelFunc
	end    <-chan struct{}

	taken, limit atomic.Int64
}

// startValved runs a source that is allowed everything, until it is killed or the test ends.
func (r *rig) startValved(change ...func(*capture.Config, *capture.Deps)) *valved {
	r.t.Helper()
	ctx, crash := context.WithCancel(context.Background())
	v := &valved{crash: crash, end: ctx.Done()}
	v.limit.Store(math.MaxInt64)
	v.source = r.source(append(slices.Clone(change), func(_ *capture.Config, d *capture.Deps) {
		d.Kafka = append(slices.Clone(d.Kafka), kgo.WithHooks(v))
	})...)
	v.source.Start(ctx)
	r.t.Cleanup(v.kill)
	return v
}

// allow lets n records through from now on.
func (v *valved) allow(n int64) { v.limit.Store(v.taken.Load() + n) }

func (v *valved) OnProduceRecordBuffered(*kgo.Record) {
	if v.taken.Add(1) > v.limit.Load() {
		<-v.end
	}
}

func (v *valved) kill() {
	v.crash()
	kill(v.source)
}
