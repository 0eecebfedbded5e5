package main

import (
	"net/http"
	"slices"
	"syscall"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/integration/harness"
)

// cluster is a pipeline that several processes of the built binary share.
type cluster struct {
	b         *bench
	w         *harness.World
	processes []*harness.Process
}

// cluster starts so many instances, one after the other, and waits until they have
// applied what there is.
func (b *bench) cluster(w *harness.World, instances int) *cluster {
	c := &cluster{b: b, w: w}
	for range instances {
		c.add()
	}
	w.CaughtUp(b, 3*time.Minute)
	return c
}

func (c *cluster) add() { c.processes = append(c.processes, c.up()) }

// up starts an instance and waits until it says that it is ready.
func (c *cluster) up() *harness.Process {
	p := c.w.Run(c.b)
	url := p.AdminURL(c.b) + "/health/ready"
	c.b.until("an instance is ready", func() bool {
		res, err := http.Get(url)
		if err != nil {
			return false
		}
		_ = res.Body.Close() // nothing was read
		return res.StatusCode == http.StatusOK
	})
	return p
}

// owner is who runs a connector, as an index. It waits until the instance has said so,
// and all the others that they stand by.
func (c *cluster) owner(connector string) int {
	owner := -1
	c.b.until("one owner of the "+connector+", and stand-bys", func() bool {
		worker := c.w.Worker(c.b.ctx, connector)
		var running, standing int
		// a dead instance is listed until it has been silent for three seconds
		c.b.ok(c.w.LedgerPool.QueryRow(c.b.ctx, `SELECT count(*) FILTER (WHERE t.state = 'RUNNING' AND instance = $2),
				count(*) FILTER (WHERE t.state = 'UNASSIGNED' AND instance <> $2)
			FROM backstitch.tasks t JOIN backstitch.instances i ON i.id = t.instance
			WHERE connector = $1 AND t.id = 0 AND seen_at > now() - make_interval(secs => $3)`,
			c.w.Prefix+"-"+connector, worker, ledger.AliveFor.Seconds()).Scan(&running, &standing))
		owner = slices.IndexFunc(c.processes, func(p *harness.Process) bool { return p.Is(c.b, worker) })
		return running == 1 && standing == len(c.processes)-1 && owner >= 0
	})
	return owner
}

// fell is how an owner falls silent, and how its place is filled again.
type fell struct {
	name    string
	times   int
	strike  func(*harness.Process)
	restore func(c *cluster, i int)
}

var falls = []fell{
	{"kill -9", 10, func(p *harness.Process) { p.Signal(syscall.SIGKILL) }, func(c *cluster, i int) { c.processes[i] = c.up() }},
	{"SIGSTOP", 5, func(p *harness.Process) { p.Signal(syscall.SIGSTOP) }, func(c *cluster, i int) { c.processes[i].Signal(syscall.SIGCONT) }},
}
