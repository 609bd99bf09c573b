package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// dataHeadroom is what an examination may use beyond what the process measures
// at rest, beside four times the model's size. Go and ONNX Runtime reserve
// 1.6 GB of addresses at rest, so a flat limit on addresses would not do.
const dataHeadroom = 512 << 20

// limitSelf bounds the child: what a model needs beyond this is a finding on
// the model, and never the server's trouble.
func limitSelf(modelSize int64, cpu time.Duration) error {
	rest, err := dataAtRest()
	if err != nil {
		return err
	}
	limits := []struct {
		resource int
		value    uint64
	}{
		{syscall.RLIMIT_DATA, uint64(rest + dataHeadroom + 4*modelSize)},
		{syscall.RLIMIT_CPU, uint64(max(cpu/time.Second, 1))},
		{syscall.RLIMIT_CORE, 0},
	}
	for _, l := range limits {
		if err := syscall.Setrlimit(l.resource, &syscall.Rlimit{Cur: l.value, Max: l.value}); err != nil {
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

// childAttributes make the kernel end the child when the server dies, however
// that happens; the pipe's end does the same a moment later.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
