//go:build !linux

package main

import (
	"syscall"
	"time"
)

// limitSelf bounds processor time only: other systems do not measure and limit
// private memory as Linux does.
func limitSelf(_ int64, cpu time.Duration) error {
	seconds := uint64(max(cpu/time.Second, 1))
	return syscall.Setrlimit(syscall.RLIMIT_CPU, &syscall.Rlimit{Cur: seconds, Max: seconds})
}

// childAttributes set nothing: the child ends when its pipe closes.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
