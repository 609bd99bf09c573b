package child

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_AARCH64
	// foreignCalls are none that a process of this processor has.
	foreignCalls = 0x40000000
)

// deniedHere are denied calls whose numbers only this processor has.
var deniedHere = []uint32{unix.SYS_RENAMEAT}

// opening are the calls that open files, and which argument has the flags.
var opening = map[uint32]uint32{unix.SYS_OPENAT: 2}
