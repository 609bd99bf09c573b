//go:build !linux

package child

import (
	"syscall"
	"time"
)

// LimitSelf bounds processor time only: other systems do not measure and limit
// private memory as Linux does.
func LimitSelf(_ int64, _ int, cpu time.Duration) error {
	if cpu <= 0 {
		return nil
	}
	seconds := uint64(max(cpu/time.Second, 1))
	return syscall.Setrlimit(syscall.RLIMIT_CPU, &syscall.Rlimit{Cur: seconds, Max: seconds})
}

// Attributes set nothing: the child ends when its pipe closes.
func Attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
