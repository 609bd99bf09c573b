//go:build !linux || !(amd64 || arm64)

package child

import "errors"

// ErrUnconfined says that this system has no filters for what a process may
// ask of the kernel.
var ErrUnconfined = errors.New("this system has no seccomp filters, so processes that run models are not confined")

// CanConfine is ErrUnconfined.
func CanConfine() error { return ErrUnconfined }

// Confine does nothing; the error is ErrUnconfined.
func Confine() error { return ErrUnconfined }
