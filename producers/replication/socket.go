package replication

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// The wake-up pattern. The walsender sends message by message, and a fast reader
// that wakes for each of them slows the sender down: while the stream is busy the
// socket wakes us only when a large piece has arrived, or after busyWindow; when
// it is quiet, at once.
const (
	busyWindow = 2 * time.Millisecond
	busyBytes  = 16 << 10 // in one window: more means busy
	lowWater   = 64 << 10
	bufferSize = 256 << 10
	grace      = 200 * time.Microsecond // time to read what is there
)

// socket is the connection with the wake-up pattern. One goroutine reads.
type socket struct {
	net.Conn
	mu       sync.Mutex
	deadline time.Time // the caller's, which the pattern must restore

	busy   bool
	start  time.Time
	window int
	heard  atomic.Int64 // when something was read last, in Unix nanoseconds
}

// SetReadDeadline sets the caller's deadline.
func (s *socket) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	return s.Conn.SetReadDeadline(t)
}

// SetDeadline sets both deadlines.
func (s *socket) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

func (s *socket) Read(p []byte) (int, error) {
	if s.busy {
		if err := s.shorten(); err != nil {
			return 0, err
		}
		n, err := s.Conn.Read(p)
		if !errors.Is(err, os.ErrDeadlineExceeded) || n > 0 {
			s.count(n)
			return n, err
		}
		if err := s.quiet(); err != nil {
			return 0, err
		}
	}
	n, err := s.Conn.Read(p)
	s.count(n)
	return n, err
}

// shorten waits for the low-water mark for one window at the most.
func (s *socket) shorten() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	until := time.Now().Add(busyWindow)
	if !s.deadline.IsZero() && s.deadline.Before(until) {
		until = s.deadline
	}
	return s.Conn.SetReadDeadline(until)
}

// quiet ends the pattern. What has arrived below the mark is there to be read, even
// when the caller's deadline has passed: it must not be taken for a drained stream.
func (s *socket) quiet() error {
	s.busy = false
	if err := setLowWater(s.Conn, 1); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	until := s.deadline
	if soon := time.Now().Add(grace); !until.IsZero() && until.Before(soon) {
		until = soon
	}
	return s.Conn.SetReadDeadline(until)
}

func (s *socket) count(n int) {
	s.window += n
	now := time.Now()
	if n > 0 {
		s.heard.Store(now.UnixNano())
	}
	elapsed := now.Sub(s.start)
	if elapsed < busyWindow {
		return
	}
	busy := s.window >= busyBytes && elapsed < 4*busyWindow
	s.start, s.window = now, 0
	if busy != s.busy {
		mark := 1
		if busy {
			mark = lowWater
		}
		// The mark is only a matter of speed: where it cannot be set we read without it.
		s.busy = setLowWater(s.Conn, mark) == nil && busy
		if !s.busy {
			s.mu.Lock()
			_ = s.Conn.SetReadDeadline(s.deadline) // fails only on a closed connection, which the read reports
			s.mu.Unlock()
		}
	}
}

// wire frames the server's messages. Until the stream starts it hands out one byte
// at a time, so that the driver's own buffer never holds a byte of the stream.
type wire struct {
	r    *bufio.Reader
	skip int    // bytes of the message handed out last
	big  []byte // a message larger than the buffer
	got  int    // of big
}

func newWire(r io.Reader) *wire { return &wire{r: bufio.NewReaderSize(r, bufferSize)} }

// Read serves the driver during the handshake and for commands.
func (w *wire) Read(p []byte) (int, error) {
	if len(p) > 1 {
		p = p[:1]
	}
	return w.r.Read(p)
}

const headerSize = 5 // type and length

// ready reports whether a whole message is buffered.
func (w *wire) ready() bool {
	w.discard()
	if w.got > 0 || w.r.Buffered() < headerSize {
		return false
	}
	head, err := w.r.Peek(headerSize)
	return err == nil && w.r.Buffered() >= 1+int(binary.BigEndian.Uint32(head[1:]))
}

func (w *wire) discard() {
	if w.skip > 0 {
		_, _ = w.r.Discard(w.skip) // all of it is buffered
		w.skip = 0
	}
}

// next returns a message's type and body, valid until the next call. After a
// timeout it goes on where it was.
func (w *wire) next() (byte, []byte, error) {
	w.discard()
	if w.got == 0 {
		head, err := w.r.Peek(headerSize)
		if err != nil {
			return 0, nil, err
		}
		size := 1 + int(binary.BigEndian.Uint32(head[1:]))
		if size < headerSize || size > 2<<30 {
			return 0, nil, fmt.Errorf("read the stream: a message of %d bytes", size)
		}
		if size <= w.r.Size() {
			b, err := w.r.Peek(size)
			if err != nil {
				return 0, nil, err
			}
			w.skip = size
			return b[0], b[headerSize:], nil
		}
		if cap(w.big) < size || cap(w.big) > 4*size {
			w.big = make([]byte, size)
		}
		w.big = w.big[:size]
	}
	for w.got < len(w.big) {
		n, err := w.r.Read(w.big[w.got:])
		w.got += n
		if err != nil {
			return 0, nil, err
		}
	}
	w.got = 0
	return w.big[0], w.big[headerSize:], nil
}
