package capture_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/producers/capture"
)

// cable is a network between a source and its servers that can be cut: bytes stop, no
// connection ends, and what was on its way arrives when it is mended. That is what a
// packet filter does, and it brings a zombie's late writes, which a proxy that drops
// them would hide.
type cable struct {
	mu   sync.Mutex
	cond *sync.Cond
	cut  bool
	end  bool
	all  []io.Closer
}

func newCable(t *testing.T) *cable {
	c := &cable{}
	c.cond = sync.NewCond(&c.mu)
	t.Cleanup(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.end = true
		for _, x := range c.all {
			_ = x.Close()
		}
		c.cond.Broadcast()
	})
	return c
}

func (c *cable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	c.cond.Broadcast()
}

// pass waits until bytes may pass; false at the end.
func (c *cable) pass() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.cut && !c.end {
		c.cond.Wait()
	}
	return !c.end
}

// dial connects through the cable.
func (c *cable) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c.mu.Lock()
	cut := c.cut
	c.mu.Unlock()
	if cut {
		<-ctx.Done() // a SYN that nobody answers
		return nil, ctx.Err()
	}
	far, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, far.Close())
	}
	defer l.Close()
	here, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, errors.Join(err, far.Close())
	}
	near, err := l.Accept()
	if err != nil {
		return nil, errors.Join(err, far.Close(), here.Close())
	}
	c.mu.Lock()
	c.all = append(c.all, far, near)
	c.mu.Unlock()
	go c.carry(far, near)
	go c.carry(near, far)
	return here, nil
}

func (c *cable) carry(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !c.pass() {
			return
		}
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_ = to.Close()
	_ = from.Close()
}

// behind lays the ways of a source through cables.
func behind(postgres, kafka *cable) func(*capture.Config, *capture.Deps) {
	return func(_ *capture.Config, d *capture.Deps) {
		source := d.Source.Copy()
		source.DialFunc = postgres.dial
		d.Source = source
		d.Kafka = append(append([]kgo.Opt{}, d.Kafka...), kgo.Dialer(kafka.dial))
	}
}
