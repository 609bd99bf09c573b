//go:build linux && (amd64 || arm64)

package child

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// limitedVar makes the test binary a process that limits itself: runs, and the
// seconds that it may compute.
const limitedVar = "TENON_CHILD_TEST_LIMITED"

func limited(limits string) {
	var runs, seconds int
	_, err := fmt.Sscan(limits, &runs, &seconds)
	if err == nil {
		err = LimitSelf(0, runs, time.Duration(seconds)*time.Second)
	}
	var data unix.Rlimit
	if err == nil {
		err = unix.Getrlimit(unix.RLIMIT_DATA, &data)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(data.Cur)
	for start := time.Now(); seconds > 0 && time.Since(start) < time.Minute; {
	}
}

func limitedChild(t *testing.T, limits string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), limitedVar+"="+limits)
	var said bytes.Buffer
	command.Stdout = &said
	err := command.Run()
	return strings.TrimSpace(said.String()), err
}

// TestTheEndOfProcessorTimeHasItsSignal: Go's runtime would let it pass.
func TestTheEndOfProcessorTimeHasItsSignal(t *testing.T) {
	said, err := limitedChild(t, "1 1")
	if got := HowItEnded(err, ""); got != "using up its processor time" {
		t.Errorf("%s, %v: %s", said, err, got)
	}
}

// TestMemoryGrowsWithRuns by what an examination, with its single run, has.
func TestMemoryGrowsWithRuns(t *testing.T) {
	data := func(runs string) int64 {
		said, err := limitedChild(t, runs+" 0")
		if err != nil {
			t.Fatal(err, said)
		}
		n, err := strconv.ParseInt(said, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	// What is measured at rest differs by a few threads' stacks.
	more := data("5") - data("1")
	if apart := more - 4*dataHeadroom; apart < -dataHeadroom/2 || apart > dataHeadroom/2 {
		t.Errorf("four runs more add %d bytes", more)
	}
}
