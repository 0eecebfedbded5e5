//go:build !linux

package process

import "syscall"

// dieWithParent has no equivalent here: a child outlives a killed parent.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}
