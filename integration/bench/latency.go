package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
)

const (
	latencyRate = 200 // calls/s
	liveRate    = 20  // changes/s
)

// latency measures from a row's commit in the source to the end of the call that
// brings it to Stytch: with nothing else to do, right behind the transaction that
// fills the backfill lane, and while that lane is minutes long and uses up the rate
// limit.
func latency(b *bench) {
	known := 1000
	w := b.world(known, latencyRate)
	r := b.start(w)
	r.caughtUp()
	seconds := b.scaled(20)
	idle := b.live(w, "idle", known, seconds)
	w.Exec(b, fmt.Sprintf("SELECT add_teams(%d, %d), add_users(%[1]d, %[2]d)", known+1, known+40_000)) // one transaction: the backfill lane
	behind := b.live(w, "behind", known, 1)
	b.until("the backfill lane's wake-ups", func() bool { return count(b, w.LedgerPool, "announced < revision") == 0 })
	queued := b.live(w, "queued", known, seconds)
	waiting := count(b, w.LedgerPool, "status = 'pending' AND lane = 'backfill'")
	b.report("latency/queue", float64(waiting), "entities still queued", "", 0)
	b.report("latency/behind 40,000 new rows/max", quantile(behind, 1), "ms", "idle p99", quantile(idle, 0.99))
	for _, q := range []float64{0.5, 0.99} {
		name := fmt.Sprintf("p%.0f", q*100)
		b.report("latency/idle/"+name, quantile(idle, q), "ms", "", 0)
		b.report("latency/backfill queued/"+name, quantile(queued, q), "ms", "idle", quantile(idle, q))
	}
}

// live changes one member after the other at a steady pace and returns the
// latencies in milliseconds.
func (b *bench) live(w *harness.World, word string, known, seconds int) []float64 {
	from, n := w.Simulator.Seq(), seconds*liveRate
	tick := time.NewTicker(time.Second / liveRate)
	defer tick.Stop()
	for i := range n {
		<-tick.C
		_, err := w.Pool.Exec(b.ctx, "UPDATE users SET name = $2 || ' ' || id WHERE id = $1", i*7%known+1, word)
		b.ok(err)
	}
	var took []float64
	b.until("the last live change in Stytch", func() bool {
		took = b.arrivals(w, from, word)
		return len(took) >= min(n, known)
	})
	return took
}

// arrivals joins the rows' commits with the calls that carried their names.
func (b *bench) arrivals(w *harness.World, from uint64, word string) (milliseconds []float64) {
	commits := map[string]time.Time{}
	rows, err := w.Pool.Query(b.ctx, "SELECT name, pg_xact_commit_timestamp(xmin) FROM users WHERE name LIKE $1", word+" %")
	b.ok(err)
	defer rows.Close()
	for rows.Next() {
		var name string
		var at time.Time
		b.ok(rows.Scan(&name, &at))
		commits[name] = at
	}
	b.ok(rows.Err())
	for _, e := range w.Simulator.Journal() {
		var body struct{ Name string }
		if e.Seq <= from || e.Status != 200 || json.Unmarshal(e.Body, &body) != nil {
			continue
		}
		if at, ok := commits[body.Name]; ok {
			milliseconds = append(milliseconds, float64(e.End.Sub(at).Microseconds())/1000)
			delete(commits, body.Name)
		}
	}
	return milliseconds
}
