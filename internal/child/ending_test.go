package child

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
)

func TestHowItEnded(t *testing.T) {
	ended := func(script string) error { return exec.CommandContext(t.Context(), "sh", "-c", script).Run() }
	for _, c := range []struct {
		err  error
		said string
		want string
	}{
		{nil, "", "leaving without a verdict"},
		{errors.New("read: broken"), "", "an unknown cause"},
		{ended("exit 7"), "", "exit code 7"},
		{ended("kill -TERM $$"), "", "signal 15 (terminated)"},
		{ended("kill -KILL $$"), "", "signal 9 (killed)"},
		{ended("exit 2"), "SIGFPE: floating-point exception\nPC=0x7f m=0 sigcode=1", "SIGFPE (floating-point exception)"},
		{ended("exit 2"), "a warning\nSIGABRT: abort\nPC=0x7f", "SIGABRT (abort)"},
		{
			ended("exit 2"), "fatal error: unexpected signal during runtime execution\n[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x7f]",
			"SIGSEGV (segmentation violation)",
		},
		{ended("exit 2"), "fatal error: runtime: out of memory", "using up the memory that it may have"},
		{ended("kill -ABRT $$"), "terminate called after throwing an instance of 'std::bad_alloc'", "using up the memory that it may have"},
		{ended("exit 1"), "tenon: SIGNATURE: no", "exit code 1"},
	} {
		if got := HowItEnded(c.err, c.said); got != c.want {
			t.Errorf("%v, %q: %s, want %s", c.err, c.said, got, c.want)
		}
	}
	spent := ended("ulimit -St 1; while :; do :; done")
	if got := HowItEnded(spent, ""); got != "using up its processor time" {
		t.Errorf("%v: %s", spent, got)
	}
}

// TestHeadKeepsTheBeginning of what a process writes, which reaches it in
// whatever way os/exec copies.
func TestHeadKeepsTheBeginning(t *testing.T) {
	h := &Head{}
	command := exec.CommandContext(t.Context(), "sh", "-c", "printf begin >&2; head -c 9999 /dev/zero | tr '\\0' x >&2; printf end >&2")
	command.Stderr = h
	if err := command.Run(); err != nil {
		t.Fatal(err)
	}
	if got := h.String(); len(got) != 8<<10 || !strings.HasPrefix(got, "beginx") {
		t.Errorf("%d bytes: %.10s", len(got), got)
	}
}
