package replication

import (
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// setLowWater sets how many bytes must have arrived before a waiting read wakes up.
func setLowWater(c net.Conn, bytes int) error {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return fmt.Errorf("set the low-water mark: %T has no file descriptor", c)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return fmt.Errorf("set the low-water mark: %w", err)
	}
	var set error
	if err := raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, bytes)
	}); err != nil {
		return fmt.Errorf("set the low-water mark: %w", err)
	}
	if set != nil {
		return fmt.Errorf("set the low-water mark: %w", set)
	}
	return nil
}
