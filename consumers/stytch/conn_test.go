package stytch

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// clock is a wall clock that a test moves.
type clock struct {
	mu     sync.Mutex
	time   time.Time
	stopIn int // readings until the process is stopped for a minute; 0: never
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.time
	if c.stopIn > 0 {
		if c.stopIn--; c.stopIn == 0 {
			c.time = c.time.Add(time.Minute)
		}
	}
	return t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
}

func (c *clock) stopAfter(readings int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopIn = readings
}

func newClock() *clock { return &clock{time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

// sleeper is a connection whose process is stopped just before it writes.
type sleeper struct {
	net.Conn
	before func()
}

func (s *sleeper) Write(b []byte) (int, error) {
	s.before()
	return s.Conn.Write(b)
}

// TestWriteDeadline: hazard A2. The process is stopped after the connection was
// chosen and wakes up past the deadline: nothing may reach the server, on a fresh
// connection as on a reused one, over TLS too.
func TestWriteDeadline(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		tls, reused bool
	}{{"fresh", false, false}, {"reused", false, true}, {"fresh TLS", true, false}, {"reused TLS", true, true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var served atomic.Int64
			h := func(w http.ResponseWriter, r *http.Request) {
				served.Add(1)
				answer(200, deletedAnswer)(w, r)
			}
			server, config := start(t, tt.tls, h)
			clock := newClock()
			c := New(Options{BaseURL: server, ProjectID: "p", TLS: config, Now: clock.now})
			defer c.Close()
			ctx := context.Background()
			if tt.reused {
				if err := c.DeleteMember(WithWriteDeadline(ctx, clock.now()), "o", "m"); err != nil {
					t.Fatalf("a write at its deadline is allowed: %v", err)
				}
			}
			before := served.Load()
			// The call reads the clock when it starts and when it checks the deadline;
			// the stop falls between that check and the connection's own.
			deadline := clock.now().Add(time.Second)
			clock.stopAfter(2)
			err := c.DeleteMember(WithWriteDeadline(ctx, deadline), "o", "m")
			if !errors.Is(err, ErrWriteDeadline) {
				t.Fatalf("got %v, want ErrWriteDeadline", err)
			}
			if MaybeSent(err) {
				t.Error("nothing was written, but the call counts as maybe sent")
			}
			if served.Load() != before {
				t.Error("the server got the request")
			}
			if err := c.DeleteMember(WithWriteDeadline(ctx, deadline), "o", "m"); !errors.Is(err, ErrWriteDeadline) || MaybeSent(err) {
				t.Errorf("a call after its deadline: got %v", err)
			}
			if err := c.DeleteMember(ctx, "o", "m"); err != nil {
				t.Errorf("a call without a deadline after one that was refused: %v", err)
			}
		})
	}
}

func start(t *testing.T, secure bool, h http.HandlerFunc) (string, *tls.Config) {
	server := httptest.NewUnstartedServer(h)
	t.Cleanup(server.Close)
	if !secure {
		server.Start()
		return server.URL, nil
	}
	server.StartTLS()
	return server.URL, server.Client().Transport.(*http.Transport).TLSClientConfig
}

// TestDeadlineBetweenWrites: the head has left when the process is stopped; the
// rest does not follow, and the call counts as maybe sent.
func TestDeadlineBetweenWrites(t *testing.T) {
	t.Parallel()
	clock := newClock()
	var served atomic.Int64
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 1<<20)
		for {
			if _, err := r.Body.Read(buf); err != nil {
				if err.Error() == "EOF" {
					served.Add(1)
				}
				break
			}
		}
		answer(200, memberAnswer)(w, r)
	}, func(o *Options) {
		o.Now = clock.now
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			raw, err := (&net.Dialer{}).DialContext(ctx, network, address)
			return &sleeper{Conn: raw, before: func() { clock.add(time.Minute) }}, err
		}
	})
	ctx := WithWriteDeadline(context.Background(), clock.now().Add(time.Second))
	_, err := c.CreateMember(ctx, "o", Fields{"untrusted_metadata": map[string]any{"k": string(make([]byte, 1<<16))}})
	if !errors.Is(err, ErrWriteDeadline) || !MaybeSent(err) {
		t.Fatalf("got %v (maybe sent %v), want ErrWriteDeadline, maybe sent", err, MaybeSent(err))
	}
	if served.Load() != 0 {
		t.Error("the server got a whole request")
	}
}

func TestNotSent(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	refused := New(Options{BaseURL: "http://127.0.0.1:1", ProjectID: "p"})
	defer refused.Close()
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	for name, err := range map[string]error{
		"connection refused": refused.DeleteMember(ctx, "o", "m"),
		"cancelled before":   refused.DeleteMember(cancelled, "o", "m"),
		"empty id":           refused.DeleteMember(ctx, "o", ""),
		"dots":               refused.DeleteMember(ctx, "..", "m"),
		"not JSON":           second(refused.UpdateMember(ctx, "o", "m", Fields{"name": make(chan int)})),
	} {
		if err == nil || MaybeSent(err) {
			t.Errorf("%s: got %v, maybe sent %v", name, err, MaybeSent(err))
		}
	}
}

// TestSentOnce: a server that closes the connection instead of answering sees the
// request once, whatever its method and on a reused connection too (invariant 4).
func TestSentOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, call := range map[string]func(*Client) error{
		"GET":    func(c *Client) error { return second(c.GetMember(ctx, "o", "m")) },
		"PUT":    func(c *Client) error { return second(c.UpdateMember(ctx, "o", "m", Fields{"name": "x"})) },
		"POST":   func(c *Client) error { return second(c.CreateMember(ctx, "o", Fields{"name": "x"})) },
		"DELETE": func(c *Client) error { return c.DeleteMember(ctx, "o", "m") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var served atomic.Int64
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if served.Add(1) == 1 {
					answer(200, memberAnswer)(w, r)
					return
				}
				conn, _, err := w.(http.Hijacker).Hijack()
				if err == nil {
					_ = conn.Close()
				}
			})
			if err := call(c); err != nil {
				t.Fatal(err)
			}
			err := call(c)
			if err == nil || !MaybeSent(err) {
				t.Errorf("got %v, maybe sent %v", err, MaybeSent(err))
			}
			if n := served.Load(); n != 2 {
				t.Errorf("the server saw %d requests, want 2", n)
			}
		})
	}
}

// TestTimeout: an answer that does not come in time is a call that may have been sent.
func TestTimeout(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	c := serve(t, func(http.ResponseWriter, *http.Request) { <-release }, func(o *Options) { o.Timeout = 50 * time.Millisecond })
	defer close(release)
	err := c.DeleteMember(context.Background(), "o", "m")
	if !errors.Is(err, context.DeadlineExceeded) || !MaybeSent(err) {
		t.Fatalf("got %v, maybe sent %v", err, MaybeSent(err))
	}
}

// TestCancelRace: whatever a cancellation interrupts, "not sent" is never said of
// a request that the server gets.
func TestCancelRace(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]bool{}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen[r.URL.Path] = true
		mu.Unlock()
		answer(200, deletedAnswer)(w, r)
	}, func(o *Options) { o.MaxConns = 4 })
	unsent := map[string]bool{}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 200 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*5*time.Microsecond)
				id := string(rune('a'+worker)) + time.Duration(i).String()
				err := c.DeleteMember(ctx, "o", id)
				cancel()
				if err != nil && !MaybeSent(err) {
					mu.Lock()
					unsent["/v1/b2b/organizations/o/members/"+id] = true
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	for path := range unsent {
		if seen[path] {
			t.Errorf("%s: reported as not sent, and it arrived", path)
		}
	}
	if len(seen) == 0 || len(unsent) == 0 {
		t.Errorf("%d arrived, %d never left: the cancellations met no race", len(seen), len(unsent))
	}
}

// TestConcurrentCalls: connections are kept and reused, and each carries one request at a time.
func TestConcurrentCalls(t *testing.T) {
	t.Parallel()
	var opened, active, most atomic.Int64
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := active.Add(1)
		defer active.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		answer(200, memberAnswer)(w, r)
	}, func(o *Options) {
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			opened.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
	})
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 20 {
				if _, err := c.GetMember(context.Background(), "o", "m"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if opened.Load() > 64 || most.Load() > 64 {
		t.Errorf("%d connections opened, %d calls at once: want 64 at most", opened.Load(), most.Load())
	}
}

// TestAbandoned: once a call was reported as not sent, a write that net/http still
// has under way is refused; a connection that went on to another call is not.
func TestAbandoned(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	go func() { _, _ = io.Copy(io.Discard, far) }()
	c := &conn{Conn: near, now: time.Now}
	first, second := &exchange{conn: c}, &exchange{conn: c}
	c.begin(first)
	first.finish()
	c.begin(second)
	if !first.abandon() {
		t.Error("an exchange that was answered counts as not sent")
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Errorf("the next exchange cannot write: %v", err)
	}
	if !second.abandon() {
		t.Error("an exchange that wrote counts as not sent")
	}
	third := &exchange{conn: &conn{Conn: near, now: time.Now}}
	third.conn.begin(third)
	if third.abandon() {
		t.Error("an exchange that wrote nothing counts as sent")
	}
	if _, err := third.conn.Write([]byte("x")); !errors.Is(err, errAbandoned) {
		t.Errorf("a write after abandon: %v", err)
	}
}

// TestAbandonedBytesStayHere: hazard A3. A whole request stands in the socket's
// buffer because the other side does not read; when the call is given up the
// kernel must not go on sending it.
func TestAbandonedBytesStayHere(t *testing.T) {
	t.Parallel()
	small := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if cerr := raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) }); cerr != nil {
			return cerr
		}
		return err
	}}
	listener, err := small.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	written := make(chan int, 64)
	c := New(Options{BaseURL: "http://" + listener.Addr().String(), ProjectID: "p", Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		raw, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		_ = raw.(*net.TCPConn).SetWriteBuffer(200_000)
		return &lingering{raw.(*net.TCPConn), written}, nil
	}})
	defer c.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	const size = 120_000
	go func() {
		_, err := c.CreateMember(ctx, "o", Fields{"name": string(bytes.Repeat([]byte("x"), size))})
		done <- err
	}()
	peer, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	for sent := 0; sent < size; { // all of it has left the process, little has reached the peer
		select {
		case n := <-written:
			sent += n
		case <-time.After(10 * time.Second):
			t.Fatalf("only %d bytes fit into the buffers", sent)
		}
	}
	cancel()
	if err := <-done; err == nil || !MaybeSent(err) {
		t.Errorf("got %v", err)
	}
	if err := peer.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, peer)
	if n >= size || err == nil {
		t.Errorf("the peer still got %d bytes, and %v", n, err)
	}
}

// lingering reports what the kernel has taken.
type lingering struct {
	*net.TCPConn
	written chan int
}

func (l *lingering) Write(b []byte) (int, error) {
	n, err := l.TCPConn.Write(b)
	l.written <- n
	return n, err
}
