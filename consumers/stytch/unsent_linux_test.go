package stytch

import (
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The kernel of a process that was killed or stopped does not deliver a request long
// after its settle time, when the network lets something through again (hazard A2).
func TestKernelGivesUnsentRequestsUp(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := New(Options{BaseURL: "http://" + l.Addr().String()})
	wrapped, err := c.dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer wrapped.Close()
	raw, err := wrapped.(*conn).Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var milliseconds int
	if err := raw.Control(func(fd uintptr) {
		milliseconds, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	}); err != nil {
		t.Fatal(err)
	}
	if err != nil || milliseconds != int(unsentFor.Milliseconds()) {
		t.Errorf("unacknowledged requests are sent for %d ms, want %s: %v", milliseconds, unsentFor, err)
	}
}
