package apply

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/consumers/stytch"
)

// network is one instance's way to a server, which a test can cut: what is written is
// swallowed, as a packet filter does, no answer comes, and nobody can be dialled.
type network struct {
	cut  atomic.Bool
	open sync.Map // connections
}

type cable struct {
	net.Conn
	cut *atomic.Bool
}

func (c *cable) Write(b []byte) (int, error) {
	if c.cut.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (n *network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if n.cut.Load() {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	n.open.Store(conn, true)
	return &cable{conn, &n.cut}, nil
}

// mend ends the connections, which have lost bytes, and lets new ones through.
func (n *network) mend() {
	n.open.Range(func(conn, _ any) bool {
		_ = conn.(net.Conn).Close() // closed before, some of them
		return true
	})
	n.cut.Store(false)
}

// through lets an instance reach one of its servers through n alone.
func (w *world) through(n *network, server string) func(*Config, *Deps) {
	w.t.Helper()
	return func(c *Config, d *Deps) {
		c.Owner = "lonely"
		switch server {
		case "ledger":
			config := w.pool.Config()
			config.ConnConfig.DialFunc = n.dial
			pool, err := pgxpool.NewWithConfig(w.t.Context(), config)
			if err != nil {
				w.t.Fatal(err)
			}
			w.t.Cleanup(pool.Close)
			d.Ledger = pool
		case "Kafka":
			d.Kafka = append(d.Kafka[:len(d.Kafka):len(d.Kafka)], kgo.Dialer(n.dial))
		default:
			client := stytch.New(stytch.Options{BaseURL: w.server.URL, ProjectID: testProject, Secret: testSecret, Dial: n.dial})
			w.t.Cleanup(client.Close)
			d.Client = client
		}
	}
}

// pair runs two instances that share the partitions, the first through n.
func (w *world) pair(n *network, server string) (lonely, other *Apply) {
	w.t.Helper()
	lonely = w.start(w.through(n, server))
	other = w.start(func(c *Config, _ *Deps) { c.Owner = "other" })
	w.eventually("both own partitions", func() (bool, string) {
		a, b := lonely.Status().Partitions, other.Status().Partitions
		return len(a) > 0 && len(b) > 0 && len(a)+len(b) == w.cfg.Partitions, fmt.Sprint(a, b)
	})
	return lonely, other
}

// An instance that is cut off from the ledger alone leaves the group, though Kafka
// still hears from it; one that is cut off from Kafka is put out of it. The other one
// goes on with its partitions, and it comes back (invariants 4 and 10).
func TestCutOffGivesPartitionsUp(t *testing.T) {
	t.Parallel()
	for _, server := range []string{"ledger", "Kafka"} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{realKafka: true})
			n := &network{}
			lonely, other := w.pair(n, server)
			w.overtaken = true
			n.cut.Store(true)
			for i := range 8 {
				w.want(org(fmt.Sprint(i)), orgState(fmt.Sprint(i)))
			}
			w.eventually("the other one owns all", func() (bool, string) {
				b := other.Status().Partitions
				return len(b) == w.cfg.Partitions, fmt.Sprint(b)
			})
			w.equal()
			n.mend()
			w.eventually("it comes back", func() (bool, string) {
				a, b := lonely.Status().Partitions, other.Status().Partitions
				return len(a) > 0 && len(a)+len(b) == w.cfg.Partitions, fmt.Sprint(a, b, lonely.Status().State)
			})
			w.want(org("1"), nil)
			w.equal()
		})
	}
}

// An instance that is cut off from Stytch alone parks nothing: what it owns waits
// until Stytch answers again (invariant 6).
func TestCutOffFromStytchWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{realKafka: true})
	n := &network{}
	w.pair(n, "Stytch")
	n.cut.Store(true)
	for i := range 8 {
		w.want(org(fmt.Sprint(i)), orgState(fmt.Sprint(i)))
	}
	waiting := func() int64 { return w.count("SELECT count(*) FROM backstitch.entities WHERE status <> 'current'") }
	w.eventually("calls that failed", func() (bool, string) {
		tried := w.count("SELECT count(*) FROM backstitch.entities WHERE status <> 'current' AND attempts > 0")
		return tried > 0 && tried == waiting(), fmt.Sprint(tried)
	})
	if parked := w.count("SELECT count(*) FROM backstitch.entities WHERE status = 'parked'"); parked != 0 {
		t.Errorf("%d entities are parked for a network", parked)
	}
	n.mend()
	w.equal()
}

// Whom the group has put out stops without an error: what it did not commit is its
// successor's to read again, at no cost (invariant 5).
func TestStopsAfterItWasPutOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{realKafka: true})
	n := &network{}
	lonely, other := w.pair(n, "Kafka")
	w.overtaken = true
	for i := range 8 {
		w.want(org(fmt.Sprint(i)), orgState(fmt.Sprint(i)))
	}
	w.equal()
	n.cut.Store(true) // before the last offsets are committed
	w.eventually("the other one owns all", func() (bool, string) {
		b := other.Status().Partitions
		return len(b) == w.cfg.Partitions, fmt.Sprint(b)
	})
	n.mend()
	if err := w.stop(lonely); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// Who is stopped while Kafka does not answer ends all the same: a commit waits for the
// one before it without a bound of its own.
func TestStopsWhileKafkaIsSilent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{realKafka: true})
	n := &network{}
	lonely, _ := w.pair(n, "Kafka")
	for i := range 8 {
		w.want(org(fmt.Sprint(i)), orgState(fmt.Sprint(i)))
	}
	w.equal()
	n.cut.Store(true)
	ended := make(chan error, 1)
	go func() { ended <- lonely.Stop(t.Context()) }()
	w.eventually("it has ended", func() (bool, string) { return len(ended) == 1, lonely.Status().State })
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
}
