//go:build linux && (amd64 || arm64)

package child

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// confinedVar makes the test binary the process that confines itself.
const confinedVar = "TENON_CHILD_TEST_CONFINED"

func TestMain(m *testing.M) {
	if file := os.Getenv(confinedVar); file != "" {
		confined(file)
		return
	}
	if limits := os.Getenv(limitedVar); limits != "" {
		limited(limits)
		return
	}
	os.Exit(m.Run())
}

// attempts are what a confined process tries, by whether it may.
func attempts(file string) map[string]func() error {
	number := func(call uintptr, args ...uintptr) func() error {
		return func() error {
			args := append(args, 0, 0, 0)
			if _, _, errno := syscall.RawSyscall(call, args[0], args[1], args[2]); errno != 0 {
				return errno
			}
			return nil
		}
	}
	open := func(flags int) func() error {
		return func() error {
			fd, err := unix.Open(file, flags, 0o600)
			if err == nil {
				err = unix.Close(fd)
			}
			return err
		}
	}
	return map[string]func() error{
		"no socket":         number(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM),
		"no unix socket":    number(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM),
		"no program":        func() error { return syscall.Exec("/bin/true", []string{"true"}, nil) },
		"no child":          func() error { return exec.Command("/bin/true").Run() },
		"no ptrace":         number(unix.SYS_PTRACE, unix.PTRACE_TRACEME),
		"no io_uring":       number(unix.SYS_IO_URING_SETUP, 1),
		"no namespace":      number(unix.SYS_UNSHARE, unix.CLONE_NEWUSER),
		"no signal":         func() error { return syscall.Kill(os.Getppid(), 0) },
		"no others' limits": func() error { return unix.Prlimit(os.Getppid(), unix.RLIMIT_CORE, nil, &unix.Rlimit{}) },
		"no writing":        open(unix.O_WRONLY),
		"no creating":       open(unix.O_RDONLY | unix.O_CREAT),
		"no removing":       func() error { return os.Remove(file) },
		"reading":           open(unix.O_RDONLY),
		"a pair of sockets": func() error { _, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); return err },
		"its own signals":   func() error { return syscall.Kill(os.Getpid(), 0) },
		"its own limits":    func() error { return unix.Getrlimit(unix.RLIMIT_DATA, &unix.Rlimit{}) },
		"memory": func() error {
			_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ, unix.MAP_ANON|unix.MAP_PRIVATE)
			return err
		},
	}
}

// confined tries everything on threads that were there before the filter, and
// on new ones, and says what came of it.
func confined(file string) {
	var ready, all sync.WaitGroup
	start := make(chan struct{})
	try := func(when string) {
		defer all.Done()
		runtime.LockOSThread() // and never unlocked, so that every attempt has a thread of its own
		if ready.Done(); when == "before" {
			<-start
		}
		for name, attempt := range attempts(file) {
			err := attempt()
			switch may := !strings.HasPrefix(name, "no "); {
			case may && err != nil, !may && !errors.Is(err, unix.EPERM):
				fmt.Printf("on a thread from %s: %s: %v\n", when, name, err)
			}
		}
	}
	const threads = 4
	for _, when := range []string{"before", "after"} {
		ready.Add(threads)
		all.Add(threads)
		for range threads {
			go try(when)
		}
		ready.Wait()
		if when == "before" {
			if err := Confine(); err != nil {
				fmt.Println(err)
			}
			close(start)
		}
	}
	all.Wait()
	fmt.Println("done")
}

// TestConfine: what a model does not need is refused on every thread, and the
// rest goes on.
func TestConfine(t *testing.T) {
	if err := CanConfine(); err != nil {
		t.Skip(err)
	}
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), confinedVar+"="+file)
	said, err := command.CombinedOutput()
	if err != nil || string(said) != "done\n" {
		t.Errorf("%v\n%s", err, said)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	// Without the filter the same attempts succeed, or fail for another reason.
	for _, name := range []string{"no socket", "no child", "no writing", "no signal", "no others' limits"} {
		if err := attempts(file)[name](); err != nil {
			t.Errorf("unconfined: %s: %v", name, err)
		}
	}
}
