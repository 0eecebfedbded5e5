//go:build !linux

package replication

import (
	"errors"
	"net"
)

// setLowWater is Linux only; elsewhere the stream is read without the pattern.
func setLowWater(net.Conn, int) error { return errors.ErrUnsupported }
