package apply

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// cable is a connection to the ledger that a test can cut: what is written is
// swallowed, and no answer comes.
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

// An instance that is cut off from the ledger alone leaves the group, though Kafka
// still hears from it; the other one goes on with its partitions (invariant 10).
func TestCutOffFromTheLedgerGivesPartitionsUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{realKafka: true})
	var cut atomic.Bool
	var cables sync.Map
	config := w.pool.Config()
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if cut.Load() {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		cables.Store(conn, true)
		return &cable{conn, &cut}, nil
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	lonely := w.start(func(c *Config, d *Deps) { c.Owner, d.Ledger = "lonely", pool })
	other := w.start(func(c *Config, _ *Deps) { c.Owner = "other" })
	w.eventually("both own partitions", func() (bool, string) {
		a, b := lonely.Status().Partitions, other.Status().Partitions
		return len(a) > 0 && len(b) > 0 && len(a)+len(b) == w.cfg.Partitions, fmt.Sprint(a, b)
	})
	cut.Store(true)
	for i := range 8 {
		w.want(org(fmt.Sprint(i)), orgState(fmt.Sprint(i)))
	}
	w.eventually("the other one owns all", func() (bool, string) {
		b := other.Status().Partitions
		return len(b) == w.cfg.Partitions, fmt.Sprint(b)
	})
	w.equal()
	cables.Range(func(conn, _ any) bool { // those that were cut never answer again
		_ = conn.(net.Conn).Close() // closed before, some of them
		return true
	})
	cut.Store(false)
	w.eventually("it comes back", func() (bool, string) {
		return len(lonely.Status().Partitions) > 0, lonely.Status().State
	})
}
