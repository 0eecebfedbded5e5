package replication

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

// Stream is a started slot. One goroutine calls Next; the other methods are safe
// for any. While nobody calls Next the stream is paused: started, unread, and
// kept alive by status replies.
type Stream struct {
	conn    *Conn
	decoder *decoder

	confirmed   atomic.Uint64
	received    atomic.Uint64 // where the server's log ends, as it said last
	interrupted atomic.Bool
	ask         atomic.Bool // the next status reply asks the server for a sign of life
	woken       bool        // the reader's: why Next returned nil
	kick        chan struct{}
	closing     chan struct{}
	done        chan struct{}
	closeOnce   sync.Once
	failed      atomic.Pointer[error]
}

// Start takes the slot: from here on nobody else can read it. It starts at 0/0,
// the slot's own position, and confirms nothing until Confirm is called, so that
// taking the slot moves nothing (hazard S14). A slot in other hands gives
// producers.ErrStandby. The stream owns the connection.
func Start(ctx context.Context, c *Conn, slot, publication string) (*Stream, error) {
	err := pglogrepl.StartReplication(ctx, c.pg, schemas.QuoteIdent(slot), 0, pglogrepl.StartReplicationOptions{
		PluginArgs: []string{
			"proto_version '1'",
			"publication_names '" + quoteLiteral(schemas.QuoteIdent(publication)) + "'",
			"messages 'true'",
		},
	})
	if redact.SQLState(err) == "55006" { // object_in_use
		return nil, fmt.Errorf("start slot %s: %w", slot, producers.ErrStandby)
	}
	if err != nil {
		return nil, fmt.Errorf("start slot %s: %w", slot, redact.SQLError(err))
	}
	s := &Stream{
		conn: c, decoder: newDecoder(),
		kick: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}),
	}
	go s.writeStatus()
	return s, nil
}

func quoteLiteral(s string) string {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		if s[i] == '\'' {
			out = append(out, '\'')
		}
		out = append(out, s[i])
	}
	return string(out)
}

// PID is the walsender's process id.
func (s *Stream) PID() uint32 { return s.conn.PID() }

// Received is where the server's log ended when it last said so.
func (s *Stream) Received() schemas.LSN { return schemas.LSN(s.received.Load()) }

// Heard is when something was last read from the server. A stream that is read and
// has nothing to say is asked for a sign of life with every status reply.
func (s *Stream) Heard() time.Time { return time.Unix(0, s.conn.socket.heard.Load()) }

// Buffered reports whether Next will return without waiting.
func (s *Stream) Buffered() bool { return s.conn.wire.ready() }

// Drained reports, after Next returned nil, that it waited in vain; otherwise it was
// interrupted, and there may be more to read. For the goroutine that calls Next.
func (s *Stream) Drained() bool { return !s.woken }

// Next returns the next event, or nil when none came within wait or the reader was
// interrupted. The event is valid until the next call.
func (s *Stream) Next(wait time.Duration) (*Event, error) {
	for {
		if !s.conn.wire.ready() {
			if err := s.pgconn().SetReadDeadline(time.Now().Add(wait)); err != nil {
				return nil, s.broken(err)
			}
			if s.interrupted.Swap(false) {
				s.woken = true
				return nil, s.failure()
			}
		}
		kind, body, err := s.conn.wire.next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			s.woken = s.interrupted.Swap(false)
			if time.Since(s.Heard()) > s.conn.status {
				s.ask.Store(true)
			}
			return nil, s.failure()
		}
		if err != nil {
			return nil, s.broken(err)
		}
		e, err := s.message(kind, body)
		if err != nil || e != nil {
			return e, err
		}
	}
}

func (s *Stream) pgconn() deadliner { return s.conn.pg.Conn() }

type deadliner interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

func (s *Stream) broken(err error) error {
	if f := s.failure(); f != nil {
		return f
	}
	return fmt.Errorf("read the stream: %w", err)
}

func (s *Stream) failure() error {
	if p := s.failed.Load(); p != nil {
		return *p
	}
	return nil
}

func (s *Stream) message(kind byte, body []byte) (*Event, error) {
	switch kind {
	case 'd':
		return s.copyData(body)
	case 'E':
		var e pgproto3.ErrorResponse
		if err := e.Decode(body); err != nil {
			return nil, fmt.Errorf("read the stream: %w", err)
		}
		return nil, fmt.Errorf("the server ended the stream: %w", redact.SQLError(pgconn.ErrorResponseToPgError(&e)))
	case 'N', 'S':
		return nil, nil // notices and changed settings
	default:
		return nil, fmt.Errorf("the server ended the stream with message %q", kind)
	}
}

const xlogHeader = 24 // start, end and time

func (s *Stream) copyData(b []byte) (*Event, error) {
	switch {
	case len(b) > xlogHeader && b[0] == 'w':
		s.received.Store(binary.BigEndian.Uint64(b[9:]))
		return s.decoder.decode(schemas.LSN(binary.BigEndian.Uint64(b[1:])), b[1+xlogHeader:])
	case len(b) >= 18 && b[0] == 'k':
		s.received.Store(binary.BigEndian.Uint64(b[1:]))
		if b[17] != 0 {
			s.wake()
		}
		return nil, nil // a keepalive moves nothing
	}
	return nil, fmt.Errorf("read the stream: a copy message of %d bytes that is neither data nor keepalive", len(b))
}

// Interrupt makes a waiting or the next Next return nil. It is how others wake the
// reader; nothing but a deadline ever interrupts it (hazard S26).
func (s *Stream) Interrupt() {
	s.interrupted.Store(true)
	_ = s.pgconn().SetReadDeadline(time.Unix(1, 0)) // fails only on a closed connection, which Next reports
}

// Confirm lets the server forget everything up to lsn. It must be the
// TransactionEndLSN of a transaction whose events and checkpoint are committed in
// Kafka, exactly (invariant 1, hazard S23). It never moves backwards.
func (s *Stream) Confirm(lsn schemas.LSN) {
	for {
		old := s.confirmed.Load()
		if uint64(lsn) <= old {
			return
		}
		if s.confirmed.CompareAndSwap(old, uint64(lsn)) {
			s.wake()
			return
		}
	}
}

// Confirmed is what was confirmed last.
func (s *Stream) Confirmed() schemas.LSN { return schemas.LSN(s.confirmed.Load()) }

func (s *Stream) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

const statusGap = 20 * time.Millisecond

// writeStatus is the one goroutine that writes.
func (s *Stream) writeStatus() {
	defer close(s.done)
	ticker := time.NewTicker(s.conn.status)
	defer ticker.Stop()
	gap := time.NewTimer(statusGap)
	defer gap.Stop()
	for last := false; ; {
		if err := s.sendStatus(); err != nil {
			err = fmt.Errorf("confirm the slot: %w", err)
			s.failed.CompareAndSwap(nil, &err)
			s.Interrupt()
			return
		}
		if last {
			return
		}
		gap.Reset(statusGap)
		select {
		case <-gap.C:
		case <-s.closing:
		}
		select {
		case <-ticker.C:
		case <-s.kick:
		case <-s.closing:
			last = true
		}
	}
}

func (s *Stream) sendStatus() error {
	if err := s.pgconn().SetWriteDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	return pglogrepl.SendStandbyStatusUpdate(context.Background(), s.conn.pg, pglogrepl.StandbyStatusUpdate{
		WALWritePosition: pglogrepl.LSN(s.confirmed.Load()), ReplyRequested: s.ask.Swap(false),
	})
}

// farewell bounds the wait for the server to end the session.
const farewell = time.Second

// Close sends what was confirmed last and gives the slot up: when it returns the
// server has, unless it took longer than a second, released it.
func (s *Stream) Close() error {
	s.closeOnce.Do(func() { close(s.closing) })
	<-s.done
	conn := s.conn.pg.Conn()
	bye, err := (&pgproto3.Terminate{}).Encode(nil)
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(farewell))
	}
	if err == nil {
		_, err = conn.Write(bye)
	}
	if err == nil {
		// The server may be in the middle of sending: what it sends is sent again.
		_, _ = io.Copy(io.Discard, conn)
	}
	// A connection that is broken already has nothing more to say.
	if err := conn.Close(); err != nil {
		return fmt.Errorf("close the stream: %w", err)
	}
	return nil
}
