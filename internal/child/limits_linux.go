package child

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// dataHeadroom is what a child may use beyond what the process measures
// at rest, beside four times the model's size. Go and ONNX Runtime reserve
// 1.6 GB of addresses at rest, so a flat limit on addresses would not do.
const dataHeadroom = 512 << 20

// LimitSelf bounds this process: what a model needs beyond this is a finding on
// the model, and never the server's trouble. Without a limit on processor time
// cpu is 0.
func LimitSelf(modelSize int64, cpu time.Duration) error {
	rest, err := dataAtRest()
	if err != nil {
		return err
	}
	limits := map[int]uint64{
		syscall.RLIMIT_DATA: uint64(rest + dataHeadroom + 4*modelSize),
		syscall.RLIMIT_CORE: 0,
	}
	if cpu > 0 {
		limits[syscall.RLIMIT_CPU] = uint64(max(cpu/time.Second, 1))
	}
	for resource, value := range limits {
		if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: value, Max: value}); err != nil {
			return fmt.Errorf("a limit cannot be set: %w", err)
		}
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
