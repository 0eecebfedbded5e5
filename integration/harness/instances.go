package harness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/integration/testenv/jvmkafka"
)

// Servers that an instance reaches over a wire each.
const (
	ToSource   = "source"
	ToKafka    = "Kafka"
	ToRegistry = "registry"
	ToLedger   = "ledger"
	ToStytch   = "Stytch"
)

// WiredKafka is a broker of a test's own with a listener for each instance: clients
// connect to what a broker advertises, so each listener advertises its own wire.
type WiredKafka struct {
	// Brokers is the listener without a wire, for the test itself.
	Brokers []string
	wires   []*Wire
}

// NewWiredKafka starts a broker with wires for so many instances.
func NewWiredKafka(tb testing.TB, instances int) *WiredKafka {
	tb.Helper()
	k := &WiredKafka{}
	o := jvmkafka.Options{Listeners: map[string]string{}, Advertised: map[string]string{}}
	for i := range instances {
		wire, name := NewWire(tb), listener(i)
		k.wires = append(k.wires, wire)
		o.Listeners[name], o.Advertised[name] = "PLAINTEXT", wire.Addr()
	}
	broker := OwnKafka(tb, o)
	k.Brokers = []string{broker.Addr()}
	for i, wire := range k.wires {
		wire.To(broker.Listener(listener(i)))
	}
	return k
}

func listener(instance int) string { return fmt.Sprintf("INSTANCE%d", instance) }

// OwnKafka starts a real broker for this test alone.
func OwnKafka(tb testing.TB, o jvmkafka.Options) *jvmkafka.Broker {
	tb.Helper()
	broker, err := jvmkafka.StartWith(context.Background(), o)
	if errors.Is(err, jvmkafka.ErrNoJVM) {
		testenv.Missing(tb, err.Error())
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := broker.Stop(); err != nil {
			tb.Logf("stop the broker: %v", err)
		}
	})
	return broker
}

// Instance is one of several that run the same pipeline, with a wire of its own to
// each server.
type Instance struct {
	*Process
	Name   string
	Wires  map[string]*Wire // by server
	world  *World
	config string
}

// Instances prepares an instance for each of a broker's wires; Up starts one.
func (w *World) Instances(tb testing.TB, kafka *WiredKafka) []*Instance {
	tb.Helper()
	list := make([]*Instance, len(kafka.wires))
	for n := range list {
		i := &Instance{Name: fmt.Sprintf("instance %d", n), world: w, Wires: map[string]*Wire{ToKafka: kafka.wires[n]}}
		lay := func(server, address string) string {
			u, err := url.Parse(address)
			if err != nil {
				tb.Fatal(err)
			}
			i.Wires[server] = NewWire(tb)
			i.Wires[server].To(u.Host)
			u.Host = i.Wires[server].Addr()
			return u.String()
		}
		i.config = w.Variant(tb, strings.ReplaceAll(i.Name, " ", "-"), func(o *Options) {
			o.Brokers = []string{i.Wires[ToKafka].Addr()}
			o.Legacy = lay(ToSource, o.Legacy)
			o.Ledger = lay(ToLedger, o.Ledger)
			o.Registry = lay(ToRegistry, o.Registry)
			o.StytchURL = lay(ToStytch, o.StytchURL)
		})
		list[n] = i
	}
	return list
}

// Up starts the instance's process, and waits until it has an address.
func (i *Instance) Up(tb testing.TB) {
	tb.Helper()
	i.Process = i.world.Start(tb, "run", "-c", i.config)
	i.AdminURL(tb)
}

// Mend mends all of the instance's wires.
func (i *Instance) Mend() {
	for _, wire := range i.Wires {
		wire.Mend()
	}
}

// Break ends all of the instance's connections.
func (i *Instance) Break() {
	for _, wire := range i.Wires {
		wire.Break()
	}
}

// Servers are the names of what the instance reaches, sorted.
func (i *Instance) Servers() []string { return slices.Sorted(maps.Keys(i.Wires)) }

// Worker is the instance that has what a connector (source, transform, apply) works
// with: the slot, the transform's term, the lowest apply partition's lease. "" while
// none has. What instances report of their tasks is up to a second older.
func (w *World) Worker(ctx context.Context, connector string) string {
	pool, sql := w.LedgerPool, "SELECT owner FROM backstitch.leases ORDER BY partition LIMIT 1"
	switch connector {
	case "source":
		pool, sql = w.Pool, `SELECT split_part(application_name, ' ', 3) FROM pg_replication_slots JOIN pg_stat_activity ON pid = active_pid
			WHERE slot_name = 'backstitch_`+w.Prefix+`'`
	case "transform":
		sql = "SELECT owner FROM backstitch.transform"
	}
	var worker string
	_ = pool.QueryRow(ctx, sql).Scan(&worker) // no ledger yet, or nobody: none
	return worker
}

// Is tells whether the process is an instance by that name, host:port.
func (p *Process) Is(tb testing.TB, worker string) bool {
	tb.Helper()
	_, port, ok := strings.Cut(worker, ":")
	return ok && strings.HasSuffix(p.AdminURL(tb), ":"+port)
}
