//go:build !linux

package stytch

import "syscall"

// boundUnsent is Linux only; elsewhere a request that was written before its process
// was killed or stopped may arrive for as long as the system's TCP tries.
func boundUnsent(string, string, syscall.RawConn) error { return nil }
