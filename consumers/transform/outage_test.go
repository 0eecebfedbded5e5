package transform

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"github.com/backstitch/backstitch/schemas/registry"
	"github.com/twmb/franz-go/pkg/kgo"
)

// outage is a network that can be cut.
type outage struct {
	mu      sync.Mutex
	down    bool
	refused int // attempts while it was cut
	open    []net.Conn
}

func (o *outage) dial(ctx context.Context, network, host string) (net.Conn, error) {
	if o.refuses() {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, host)
	if err == nil {
		o.mu.Lock()
		o.open = append(o.open, conn)
		o.mu.Unlock()
	}
	return conn, err
}

func (o *outage) refuses() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down {
		o.refused++
	}
	return o.down
}

func (o *outage) cut(down bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.down, o.refused = down, 0
	for _, conn := range o.open {
		_ = conn.Close() // the other side is the point
	}
	o.open = nil
}

func (o *outage) attempts() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.refused
}

// alive fails when the transform has ended.
func (f *feeder) alive(tr *Transform) {
	f.t.Helper()
	select {
	case <-tr.Done():
		f.t.Fatalf("the transform ended: %v", tr.Err())
	default:
	}
}

// Brokers that cannot be reached for a while are waited for, and following goes on
// by itself.
func TestKafkaIsAwayForAWhile(t *testing.T) {
	t.Parallel()
	f := docsFeeder(t)
	network := new(outage)
	tr := f.start(func(tr *Transform) { tr.deps.Kafka = append(tr.deps.Kafka, kgo.Dialer(network.dial)) })
	f.reading().insert("docs", 1, "a", "BIG", nil, nil).end()
	f.loaded()
	f.evaluated(tr)
	for range 2 {
		network.cut(true)
		f.begin().update("docs", 1, f.commit, toasted{}, nil, nil).end()
		f.until("the brokers were called in vain", func() bool { f.alive(tr); return network.attempts() >= 8 })
		if s := tr.Status(); s.Evaluated.CommitLSN >= f.last.Version.Commit {
			t.Fatal("the brokers were there all the time")
		}
		network.cut(false)
		f.evaluated(tr)
		f.same()
		f.until("everything is announced", func() bool {
			return f.number("SELECT count(*) FROM backstitch.entities WHERE announced < revision") == 0
		})
	}
}

// So is a registry, when a record needs a schema that was not asked for before.
func TestTheRegistryIsAwayForAWhile(t *testing.T) {
	t.Parallel()
	f := docsFeeder(t)
	target, err := url.Parse(f.registryURL)
	f.check(err)
	network, proxy := new(outage), httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if network.refuses() {
			panic(http.ErrAbortHandler) // the connection ends without an answer
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	behind, err := registry.New(server.URL)
	f.check(err)
	tr := f.start(func(tr *Transform) { tr.deps.Registry = behind })
	f.reading().insert("docs", 1, "a", "BIG", nil, nil).end()
	f.loaded()
	f.evaluated(tr)
	network.cut(true)
	f.sql("ALTER TABLE docs ADD COLUMN later int")
	captured, err := describeSource(f.ctx, f.legacy, f.cfg.Tables)
	f.check(err)
	f.describe(captured[0].Relation)
	f.begin().update("docs", 1, "b", toasted{}, nil, nil, nil).end()
	f.until("the registry was asked in vain", func() bool { f.alive(tr); return network.attempts() >= 3 })
	network.cut(false)
	f.evaluated(tr)
	f.same()
}
