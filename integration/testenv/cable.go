package testenv

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// Cable is a network between a part and its servers that can be cut: bytes stop both
// ways, no connection ends, and what was on its way arrives when it is mended. That is
// what a packet filter does, and it brings a zombie's late writes, which a proxy that
// drops them would hide.
type Cable struct {
	mu    sync.Mutex
	cond  *sync.Cond
	cut   bool
	ended bool
	all   []io.Closer
}

// NewCable is a cable that is whole, until the test ends.
func NewCable(t testing.TB) *Cable {
	c := &Cable{}
	c.cond = sync.NewCond(&c.mu)
	t.Cleanup(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ended = true
		for _, x := range c.all {
			_ = x.Close()
		}
		c.cond.Broadcast()
	})
	return c
}

// Cut cuts it, or mends it.
func (c *Cable) Cut(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	c.cond.Broadcast()
}

// Dial connects through the cable, which may take until it is mended: a SYN that
// nobody answers is sent again.
func (c *Cable) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock() // not between a waiter's look and its wait
		defer c.mu.Unlock()
		c.cond.Broadcast()
	})
	defer stop()
	if !c.reach(ctx) {
		return nil, errors.Join(ctx.Err(), net.ErrClosed)
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

// reach waits until it is mended; false when ctx or the test ended.
func (c *Cable) reach(ctx context.Context) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.cut && !c.ended && ctx.Err() == nil {
		c.cond.Wait()
	}
	return !c.ended && ctx.Err() == nil
}

func (c *Cable) carry(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !c.reach(context.Background()) {
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
