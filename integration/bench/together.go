package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
)

// togetherRate is calls per second of a whole cluster, for processes that share the
// machine with everything else.
const togetherRate = 500

// together measures how much of the rate limit one instance uses while there is work,
// and how much three of them use together, which share it, and that nobody is
// throttled.
func together(b *bench) {
	members := b.scaled(10 * togetherRate)
	w := b.world(members, togetherRate)
	c := b.cluster(w, 1)
	c.share("one instance")
	c.add()
	c.add()
	c.share("three instances")
	b.report("cluster/throttled", float64(throttled(w.Simulator)), "answers 429", "wanted", 0)
}

// share changes every member and reports how fast the changes came through.
func (c *cluster) share(who string) {
	c.spread()
	from := c.w.Simulator.Seq()
	c.w.Exec(c.b, "UPDATE users SET name = $1", "changed by "+who)
	c.w.CaughtUp(c.b, 3*time.Minute)
	entries := c.w.Simulator.Journal(after(from))
	begun, ended := span(entries)
	c.b.report("cluster/rate/"+who, rate(len(entries), ended.Sub(begun)), "calls/s", "rate_limit", togetherRate)
}

// spread waits until the instances share the apply partitions.
func (c *cluster) spread() {
	c.b.until("the apply partitions are shared", func() bool {
		var workers int
		c.b.ok(c.w.LedgerPool.QueryRow(c.b.ctx, "SELECT count(DISTINCT owner) FROM backstitch.leases").Scan(&workers))
		return workers == len(c.processes)
	})
}

// rolling measures the longest time in which no change came through while three
// instances are restarted one after the other, under a steady load, and how old the
// oldest change was that did. Beside both stands the same without a restart.
func rolling(b *bench) {
	known := 2000
	w := b.world(known, latencyRate)
	c := b.cluster(w, 3)
	calm := b.steadily(w, "calm", known, func() { c.pause(time.Duration(b.scaled(10)) * time.Second) })
	restarted := b.steadily(w, "restarted", known, func() {
		for range b.rounds() {
			c.restart()
		}
	})
	b.report("cluster/rolling restart/gap", restarted.gap, "ms", "no restart", calm.gap)
	b.report("cluster/rolling restart/freshness p50", quantile(restarted.took, 0.5), "ms", "no restart", quantile(calm.took, 0.5))
	b.report("cluster/rolling restart/freshness max", quantile(restarted.took, 1), "ms", "no restart", quantile(calm.took, 1))
}

// restart restarts every instance, one after the other, as a deployment does: the
// next one when the last one is ready again.
func (c *cluster) restart() {
	for i, p := range c.processes {
		if code := p.Stop(c.b); code != 0 {
			c.b.Fatalf("an instance ends with %d: %s", code, p.Log())
		}
		c.processes[i] = c.up()
	}
}

func (c *cluster) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-c.b.ctx.Done():
	}
}

// flow is how a steady load came through: the longest time without an applied change,
// and the changes' ages, in milliseconds.
type flow struct {
	gap  float64
	took []float64
}

// steadily changes one member after the other while f runs, and waits for the last.
func (b *bench) steadily(w *harness.World, word string, known int, f func()) flow {
	from := w.Simulator.Seq()
	end, ended := make(chan struct{}), make(chan error, 1)
	var n int
	go func() {
		tick := time.NewTicker(time.Second / liveRate)
		defer tick.Stop()
		for ; n < known; n++ { // each once: arrivals knows them by what they are now
			select {
			case <-end:
				ended <- nil
				return
			case <-tick.C:
			}
			if _, err := w.Pool.Exec(b.ctx, "UPDATE users SET name = $2 || ' ' || id WHERE id = $1", n+1, word); err != nil {
				ended <- err
				return
			}
		}
		ended <- fmt.Errorf("the load has no more than %d members", known)
	}()
	stopped := false
	stop := func() error {
		if stopped {
			return nil
		}
		stopped = true
		close(end)
		return <-ended
	}
	b.Cleanup(func() { _ = stop() }) // it was asked already, or the benchmark has failed
	f()
	b.ok(stop())
	var result flow
	b.until("the last change in Stytch", func() bool {
		result.took = b.arrivals(w, from, word)
		return len(result.took) >= n
	})
	var at []time.Time
	for _, e := range w.Simulator.Journal(after(from)) {
		var body struct{ Name string }
		if json.Unmarshal(e.Body, &body) == nil && strings.HasPrefix(body.Name, word+" ") {
			at = append(at, e.End)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	for i := range at[1:] {
		result.gap = max(result.gap, milliseconds(at[i+1].Sub(at[i])))
	}
	return result
}
