package stytch

import (
	"context"
	"errors"
	"net"
	"net/http/httptrace"
	"sync"
	"time"
)

// ErrWriteDeadline is the error of a call whose write deadline had passed before
// it was written.
var ErrWriteDeadline = errors.New("the write deadline has passed: nothing more is written")

var errAbandoned = errors.New("the call was given up: nothing more is written")

type writeDeadlineKey struct{}

// WithWriteDeadline makes the connections of calls under ctx refuse to write once
// the wall clock is past t. The comparison is part of Write itself: a process that
// was stopped and wakes up late finds it, where a timer could fire after the write
// (hazard A2). It is no time-out: waiting for the answer goes on.
func WithWriteDeadline(ctx context.Context, t time.Time) context.Context {
	return context.WithValue(ctx, writeDeadlineKey{}, t.Round(0))
}

func writeDeadline(ctx context.Context) time.Time {
	t, _ := ctx.Value(writeDeadlineKey{}).(time.Time)
	return t
}

// exchange is one request's hold on a connection: from GotConn until its answer
// was read or it was given up.
type exchange struct {
	deadline time.Time // zero: none
	conn     *conn     // nil until a connection was given
	unknown  bool      // a connection was given that is not one of ours
}

// expired compares wall clocks only: Round(0) strips the monotonic reading, which
// stands still while a machine sleeps.
func (x *exchange) expired(now time.Time) bool {
	return !x.deadline.IsZero() && now.Round(0).After(x.deadline)
}

// gotConn takes the connection before anything of the request is written to it.
func (x *exchange) gotConn(info httptrace.GotConnInfo) {
	raw := info.Conn
	for {
		if c, ok := raw.(*conn); ok {
			x.conn = c
			c.begin(x)
			return
		}
		wrapped, ok := raw.(interface{ NetConn() net.Conn })
		if !ok {
			x.unknown = true // what it may have written cannot be known
			return
		}
		raw = wrapped.NetConn()
	}
}

// finish gives the connection back after the whole answer was read.
func (x *exchange) finish() {
	if x.conn != nil {
		x.conn.end(x)
	}
}

// abandon forbids every further write for this request, and reports whether any
// of it may have left this process. Without it a write that is still under way in
// net/http could follow the answer "not sent".
func (x *exchange) abandon() (maybeSent bool) {
	return x.unknown || x.conn != nil && x.conn.seal(x)
}

// conn is a connection that checks the write deadline of the request it carries.
type conn struct {
	net.Conn
	now func() time.Time

	mu struct {
		sync.Mutex
		current *exchange // nil: idle, or still in its TLS handshake
		wrote   bool      // bytes of current may have left
		sealed  bool
	}
}

func (c *conn) begin(x *exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.current, c.mu.wrote = x, false
}

func (c *conn) end(x *exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.current == x {
		c.mu.current = nil
	}
}

// seal ends x's writes for good. A connection that already carries another
// request is left alone: x was answered then.
func (c *conn) seal(x *exchange) (wrote bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.current != x {
		return true
	}
	c.mu.sealed = true
	return c.mu.wrote
}

// Write refuses after the deadline of the request on this connection (hazard A2).
func (c *conn) Write(b []byte) (int, error) {
	if err := c.mayWrite(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *conn) mayWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.sealed {
		return errAbandoned
	}
	if c.mu.current != nil {
		if c.mu.current.expired(c.now()) {
			return ErrWriteDeadline
		}
		c.mu.wrote = true
	}
	return nil
}

// Close discards what a given-up request still has in the socket's buffer: the
// kernel would go on sending it for minutes, long after its settle time (hazard A3).
func (c *conn) Close() error {
	c.mu.Lock()
	busy := c.mu.current != nil
	c.mu.Unlock()
	if tcp, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok && busy {
		_ = tcp.SetLinger(0) // best effort: a closed socket refuses it
	}
	return c.Conn.Close()
}
