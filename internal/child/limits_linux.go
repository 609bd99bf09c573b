package child

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// dataHeadroom is what each run of a child may use beyond what the process
// measures at rest, beside four times the model's size for all. Go and ONNX Runtime reserve
// 1.6 GB of addresses at rest, so a flat limit on addresses would not do.
const dataHeadroom = 512 << 20

// cpuGrace is how long after SIGXCPU a process is killed that SIGXCPU did not end.
const cpuGrace = 5 * time.Second

// LimitSelf bounds this process, in which up to runs go on at once: what a model
// needs beyond this is a finding on the model, and never the server's trouble.
// Without a limit on processor time cpu is 0; at its end the process gets SIGXCPU,
// by which HowItEnded knows it.
func LimitSelf(modelSize int64, runs int, cpu time.Duration) error {
	rest, err := dataAtRest()
	if err != nil {
		return err
	}
	data := uint64(rest + int64(runs)*dataHeadroom + 4*modelSize)
	limits := map[int]syscall.Rlimit{
		syscall.RLIMIT_DATA: {Cur: data, Max: data},
		syscall.RLIMIT_CORE: {},
	}
	if cpu > 0 {
		if err := endBySIGXCPU(); err != nil {
			return err
		}
		seconds := uint64(max(cpu/time.Second, 1))
		limits[syscall.RLIMIT_CPU] = syscall.Rlimit{Cur: seconds, Max: seconds + uint64(cpuGrace/time.Second)}
	}
	for resource, value := range limits {
		if err := syscall.Setrlimit(resource, &value); err != nil {
			return fmt.Errorf("a limit cannot be set: %w", err)
		}
	}
	return nil
}

// endBySIGXCPU gives SIGXCPU its default action, which ends the process. Go's
// runtime takes the signal and does nothing, and os/signal cannot hand it back.
func endBySIGXCPU() error {
	var byDefault struct{ handler, flags, restorer, mask uintptr } // SIG_DFL is 0
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(syscall.SIGXCPU),
		uintptr(unsafe.Pointer(&byDefault)), 0, 8, 0, 0)
	if errno != 0 {
		return fmt.Errorf("a limit cannot be set: %w", errno)
	}
	return nil
}

// dataAtRest reads how much private memory the process has mapped.
func dataAtRest() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmData:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/self/status has no VmData")
}

// Attributes make the kernel end the child when the server dies, however
// that happens; the pipe's end does the same a moment later.
func Attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
