//go:build linux && (amd64 || arm64)

package child

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// denied are the calls that no running of a model makes, beside those of the
// processor's own list. Whoever has taken the process over by its model reaches
// no network, starts no program, changes no file and looks into no other
// process. io_uring is here because it makes the other calls by another way.
var denied = []uint32{
	unix.SYS_SOCKET, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT, unix.SYS_ACCEPT4,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	unix.SYS_EXECVE, unix.SYS_EXECVEAT,
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_MADVISE, unix.SYS_KCMP,
	unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_GETFD, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_TKILL,
	unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO,
	unix.SYS_TRUNCATE, unix.SYS_FTRUNCATE, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT2, unix.SYS_MKDIRAT, unix.SYS_LINKAT,
	unix.SYS_SYMLINKAT, unix.SYS_MKNODAT, unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2, unix.SYS_FCHOWN,
	unix.SYS_FCHOWNAT, unix.SYS_UTIMENSAT, unix.SYS_SETXATTR, unix.SYS_LSETXATTR, unix.SYS_FSETXATTR,
	unix.SYS_REMOVEXATTR, unix.SYS_LREMOVEXATTR, unix.SYS_FREMOVEXATTR,
	unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT,
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_UNSHARE, unix.SYS_SETNS,
	unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT,
	unix.SYS_MOUNT_SETATTR, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_QUOTACTL, unix.SYS_ACCT,
	unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_REBOOT,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_FANOTIFY_INIT, unix.SYS_SYSLOG,
	unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL,
	unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME,
	unix.SYS_ADJTIMEX, unix.SYS_PERSONALITY, unix.SYS_VHANGUP, unix.SYS_LOOKUP_DCOOKIE,
}

// absent are the calls whose arguments lie in memory, where a filter cannot look.
// Libraries that hear they are not there use the older ones.
var absent = []uint32{unix.SYS_CLONE3, unix.SYS_OPENAT2}

// ErrUnconfined says that this system has no filters for what a process may
// ask of the kernel.
var ErrUnconfined = errors.New("this system has no seccomp filters, so processes that run models are not confined")

// CanConfine is nil where Confine can do its work, and else ErrUnconfined.
func CanConfine() error {
	action := uint32(unix.SECCOMP_RET_ERRNO)
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action)))
	if errno != 0 {
		return ErrUnconfined
	}
	return nil
}

// Confine takes away from this process, all of its threads and for ever, what
// running a model does not need: a refused call fails with EPERM. What is open
// stays open. On a system without filters the error is ErrUnconfined.
func Confine() error {
	if err := CanConfine(); err != nil {
		return err
	}
	filter := program(uint32(os.Getpid()))
	all := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// The promise and the filter are one thread's; the kernel hands both to the others.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("the process cannot give up privileges: %w", err)
	}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&all)))
	if errno != 0 {
		return fmt.Errorf("the process cannot be confined: %w", errno)
	}
	if thread != 0 {
		return fmt.Errorf("the process cannot be confined: thread %d has a filter of its own", thread)
	}
	return nil
}

// Where seccomp_data has what a filter reads; of an argument its low half, as
// both processors are little-endian.
const (
	callOffset = 0
	archOffset = 4
	argsOffset = 16
)

// program is the filter. It answers a call at the first rule that names it, and
// allows what none does.
func program(self uint32) []unix.SockFilter {
	const (
		refuse  = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
		missing = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
		writing = unix.O_ACCMODE | unix.O_CREAT | unix.O_TRUNC
	)
	p := []unix.SockFilter{
		load(archOffset), jump(unix.BPF_JEQ, auditArch, 1, 0), answer(refuse),
		load(callOffset), jump(unix.BPF_JGE, foreignCalls, 0, 1), answer(refuse),
	}
	for _, call := range slices.Concat(denied, deniedHere) {
		p = append(p, jump(unix.BPF_JEQ, call, 0, 1), answer(refuse))
	}
	for _, call := range absent {
		p = append(p, jump(unix.BPF_JEQ, call, 0, 1), answer(missing))
	}
	// A thread is welcome, a process is not.
	p = append(p, argument(unix.SYS_CLONE, 0, jump(unix.BPF_JSET, unix.CLONE_THREAD, 1, 0), answer(refuse))...)
	for call, flags := range opening {
		p = append(p, argument(call, flags, jump(unix.BPF_JSET, writing, 0, 1), answer(refuse))...)
	}
	// Signals and limits are the process's own affair.
	for _, call := range []uint32{unix.SYS_KILL, unix.SYS_TGKILL, unix.SYS_PRLIMIT64} {
		p = append(p, argument(call, 0, jump(unix.BPF_JEQ, 0, 2, 0), jump(unix.BPF_JEQ, self, 1, 0), answer(refuse))...)
	}
	return append(p, answer(unix.SECCOMP_RET_ALLOW))
}

// argument is a rule about an argument of one call: after the last of its
// steps the call is allowed.
func argument(call uint32, number uint32, steps ...unix.SockFilter) []unix.SockFilter {
	body := append([]unix.SockFilter{load(argsOffset + 8*number)}, steps...)
	body = append(body, answer(unix.SECCOMP_RET_ALLOW))
	return append([]unix.SockFilter{jump(unix.BPF_JEQ, call, 0, uint8(len(body)))}, body...)
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

func jump(condition uint16, value uint32, then, otherwise uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_K | condition, K: value, Jt: then, Jf: otherwise}
}

func answer(action uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
}
