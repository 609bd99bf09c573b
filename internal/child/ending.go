package child

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
)

// goSignal is how the Go runtime reports a fault in C before it exits.
var goSignal = regexp.MustCompile(`(?m)\[signal (SIG\w+): ([^\]]*?) code=|^(SIG\w+): ([a-z -]+)`)

// HowItEnded words an exit for people. The Go runtime catches a fault in C,
// prints its name, and exits with 2. The end of its processor time has a signal
// of its own, see LimitSelf.
func HowItEnded(err error, said string) string {
	if err == nil {
		return "leaving without a verdict"
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return "an unknown cause"
	}
	for _, sign := range []string{"out of memory", "cannot allocate memory", "bad_alloc"} {
		if strings.Contains(said, sign) {
			return "using up the memory that it may have"
		}
	}
	if m := goSignal.FindStringSubmatch(said); m != nil {
		return m[1] + m[3] + " (" + m[2] + m[4] + ")"
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	switch {
	case ok && status.Signaled() && status.Signal() == syscall.SIGXCPU:
		return "using up its processor time"
	case ok && status.Signaled():
		return fmt.Sprintf("signal %d (%s)", status.Signal(), status.Signal())
	default:
		return fmt.Sprintf("exit code %d", exit.ExitCode())
	}
}

// Head keeps the beginning of what a child wrote to standard error, for the
// log: a crash says there what it is, and goes on with stacks.
type Head struct{ kept bytes.Buffer }

// headMost is how much of it is kept.
const headMost = 8 << 10

// Write implements io.Writer; it takes everything.
func (h *Head) Write(p []byte) (int, error) {
	h.kept.Write(p[:min(len(p), headMost-h.kept.Len())])
	return len(p), nil
}

// String is what is kept.
func (h *Head) String() string { return h.kept.String() }
