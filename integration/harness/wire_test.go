package harness

import (
	"bufio"
	"net"
	"testing"
	"time"
)

// echo answers each line with itself and tells what it heard: "open", lines, "closed".
func echo(t *testing.T) (address string, heard <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	told := make(chan string, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			told <- "open"
			go func() {
				defer c.Close()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					told <- lines.Text()
					if _, err := c.Write([]byte(lines.Text() + "\n")); err != nil {
						break
					}
				}
				told <- "closed"
			}()
		}
	}()
	return l.Addr().String(), told
}

func dial(t *testing.T, w *Wire) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", w.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func say(t *testing.T, c net.Conn, line string) {
	t.Helper()
	if _, err := c.Write([]byte(line + "\n")); err != nil {
		t.Fatal(err)
	}
}

func hears(t *testing.T, heard <-chan string, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-heard:
			if got != w {
				t.Fatalf("the server hears %q, want %q", got, w)
			}
		case <-time.After(time.Minute):
			t.Fatalf("the server does not hear %q", w)
		}
	}
}

func silent(t *testing.T, heard <-chan string) {
	t.Helper()
	select {
	case got := <-heard:
		t.Fatalf("the server hears %q over a wire that is cut", got)
	case <-time.After(50 * time.Millisecond): // that nothing comes can only be waited for
	}
}

// A wire that is cut is a network that lets nothing through: no byte, no end and no
// new connection. Mended, it delivers everything, in order.
func TestWire(t *testing.T) {
	t.Parallel()
	address, heard := echo(t)
	w := NewWire(t)
	w.To(address)
	c := dial(t, w)
	say(t, c, "one")
	hears(t, heard, "open", "one")
	w.Cut()
	say(t, c, "late")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	silent(t, heard)
	w.Mend()
	hears(t, heard, "late", "closed")

	w.Cut()
	second := dial(t, w)
	say(t, second, "two")
	silent(t, heard)
	w.Mend()
	hears(t, heard, "open", "two")
	answer := bufio.NewReader(second)
	if line, err := answer.ReadString('\n'); err != nil || line != "two\n" {
		t.Fatalf("answered %q: %v", line, err)
	}

	w.Cut(Answers)
	say(t, second, "three")
	hears(t, heard, "three")
	if err := second.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if line, err := answer.ReadString('\n'); err == nil {
		t.Fatalf("answered %q over a wire that is cut", line)
	}
	if err := second.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	w.Mend()
	if line, err := answer.ReadString('\n'); err != nil || line != "three\n" {
		t.Fatalf("answered %q after the wire was mended: %v", line, err)
	}

	w.Break()
	hears(t, heard, "closed")
	if _, err := answer.ReadString('\n'); err == nil {
		t.Fatal("a broken connection answers")
	}
	say(t, dial(t, w), "four")
	hears(t, heard, "open", "four")
}
