package stytch

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// boundUnsent bounds how long the kernel goes on sending what the other side does
// not acknowledge. Who is killed or stopped cannot take back what it wrote, as Close
// does: where the network lets nothing through, its kernel would try again for up to
// a quarter of an hour, and deliver the call over what a successor has written
// meanwhile (hazard A2).
func boundUnsent(_, _ string, c syscall.RawConn) error {
	var set error
	if err := c.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unsentFor.Milliseconds()))
	}); err != nil {
		return err
	}
	if set != nil {
		return fmt.Errorf("bound how long an unacknowledged request is sent again: %w", set)
	}
	return nil
}
