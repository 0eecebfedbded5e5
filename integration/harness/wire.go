package harness

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// Direction is one of the two ways through a wire.
type Direction int

// Requests go from an instance to a server, Answers back.
const (
	Requests Direction = iota
	Answers
)

// Wire is the way from one instance to one server: a TCP proxy that can be cut as a
// packet filter cuts. Bytes stop, nobody hears of a connection that the other one
// opens or closes meanwhile, and what was on its way arrives when the wire is mended.
// So it brings a zombie's late writes, which a proxy that drops them would hide.
type Wire struct {
	listener net.Listener
	carriers sync.WaitGroup

	mu     sync.Mutex
	change *sync.Cond
	cut    [2]bool // by direction
	ended  bool
	target string
	ends   map[net.Conn]bool
}

// NewWire opens a wire that ends with the test. It leads nowhere before To.
func NewWire(tb testing.TB) *Wire {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	w := &Wire{listener: listener, ends: map[net.Conn]bool{}}
	w.change = sync.NewCond(&w.mu)
	w.carriers.Go(w.accept)
	tb.Cleanup(w.end)
	return w
}

// To lays the wire to an address, host:port.
func (w *Wire) To(address string) {
	w.set(func() { w.target = address })
}

// Addr is where the instance reaches the server, host:port.
func (w *Wire) Addr() string { return w.listener.Addr().String() }

// Cut cuts the wire in these directions; without any, in both.
func (w *Wire) Cut(directions ...Direction) {
	if len(directions) == 0 {
		directions = []Direction{Requests, Answers}
	}
	w.set(func() {
		for _, d := range directions {
			w.cut[d] = true
		}
	})
}

// Mend lets everything through again, first what has waited.
func (w *Wire) Mend() {
	w.set(func() { w.cut = [2]bool{} })
}

// Break ends all connections, as a router that starts again does. New ones pass.
func (w *Wire) Break() { w.set(w.hangUp) }

// hangUp needs mu.
func (w *Wire) hangUp() {
	for c := range w.ends {
		_ = c.Close()
	}
}

func (w *Wire) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
	w.change.Broadcast()
}

func (w *Wire) end() {
	_ = w.listener.Close()
	w.set(func() {
		w.ended = true
		w.hangUp()
	})
	w.carriers.Wait()
}

// pass waits until bytes may pass; false at the end of the test.
func (w *Wire) pass(d Direction) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.cut[d] && !w.ended {
		w.change.Wait()
	}
	return !w.ended
}

func (w *Wire) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.carriers.Go(func() { w.connect(near) })
	}
}

// connect carries one connection until both sides have ended it. A cut wire lets no
// connection through: the server does not know of it before the wire is mended.
func (w *Wire) connect(near net.Conn) {
	defer w.drop(near)
	if !w.keep(near) || !w.pass(Requests) {
		return
	}
	w.mu.Lock()
	target := w.target
	w.mu.Unlock()
	far, err := net.Dial("tcp", target)
	if err != nil {
		return // as a server that refuses
	}
	defer w.drop(far)
	if !w.keep(far) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { w.carry(Requests, far, near) })
	both.Go(func() { w.carry(Answers, near, far) })
	both.Wait()
}

func (w *Wire) keep(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends[c] = true
	return !w.ended
}

func (w *Wire) drop(c net.Conn) {
	_ = c.Close() // a second time, for most
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.ends, c)
}

// carry copies one direction. An end of the stream travels as one; a broken
// connection breaks on the other side too.
func (w *Wire) carry(d Direction, to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !w.pass(d) {
			return
		}
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				_ = from.Close()
				return
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			_ = to.(*net.TCPConn).CloseWrite() // gone already, perhaps
			return
		default:
			_ = to.Close()
			return
		}
	}
}
