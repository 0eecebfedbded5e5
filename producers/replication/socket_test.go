package replication

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// hazard S33: what has arrived below the low-water mark is read although the caller's
// deadline has passed; only a wait that found nothing times out.
func TestDataBelowTheMarkIsRead(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	s := &socket{Conn: near}
	for range 20 {
		if err := setLowWater(near, lowWater); err != nil {
			t.Fatal(err)
		}
		s.busy, s.start, s.window = true, time.Now(), 0
		if _, err := far.Write([]byte("a small piece")); err != nil {
			t.Fatal(err)
		}
		if err := s.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Read(make([]byte, 64)); n != 13 || err != nil {
			t.Fatalf("read %d bytes: %v", n, err)
		}
		if err := s.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Read(make([]byte, 64)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("nothing more came, and it read %d bytes: %v", n, err)
		}
	}
}
