package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/lifecycle"
)

// badChildren are children that a model has brought down, in every way that
// models do, and one that never came so far.
var badChildren = map[string]func(){
	"child-fpe":    func() { loading(); _ = syscall.Kill(os.Getpid(), syscall.SIGFPE); forever() },
	"child-killed": func() { loading(); _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); forever() },
	"child-memory": func() {
		loading()
		fmt.Fprintln(os.Stderr, "terminate called after throwing an instance of 'std::bad_alloc'")
		_ = syscall.Kill(os.Getpid(), syscall.SIGABRT)
		forever()
	},
	"child-exits":  func() { loading(); os.Exit(7) },
	"child-junk":   func() { loading(); fmt.Print("junk\n{\"phase\":3}\n\x00\xff\n[]\n{\"report\":7}\n") },
	"child-silent": func() {},
	"child-verdict": func() {
		loading()
		fmt.Println(`{"report":{"passed":false,"summary":"2 rows differ.","failed_rows":2}}`)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		forever()
	},
	"child-absent":  func() { fmt.Fprintln(os.Stderr, "tenon: no library"); os.Exit(1) },
	"child-endless": func() { loading(); forever() },
	"child-flood": func() {
		loading()
		for junk := bytes.Repeat([]byte("x"), 1<<20); ; {
			_, _ = os.Stdout.Write(junk)
		}
	},
	"child-chatter": func() {
		loading()
		for {
			fmt.Println("junk")
		}
	},
	"child-stacks": func() {
		loading()
		fmt.Fprintln(os.Stderr, "SIGSEGV: segmentation violation\nPC=0x0", strings.Repeat("stack\n", 1<<18))
		os.Exit(2)
	},
}

func loading() { fmt.Println(`{"phase":"loading"}`) }

func forever() {
	wait := make(chan os.Signal, 1)
	signal.Notify(wait, syscall.SIGUSR2)
	<-wait
}

func path(t testing.TB, name string) string {
	t.Helper()
	found, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func examined(t *testing.T, child string, s lifecycle.Staged, timeout time.Duration) (*wire.Report, []string, error) {
	t.Helper()
	var phases []string
	x := &examiner{executable: path(t, child), threads: 1, timeout: timeout}
	report, err := x.Examine(t.Context(), s, func(phase string, done, total int) {
		phases = append(phases, fmt.Sprintf("%s %d/%d", phase, done, total))
	})
	return report, phases, err
}

func TestChildrenThatMisbehaveAreFindings(t *testing.T) {
	t.Parallel()
	for child, want := range map[string]string{
		"child-fpe":     "ended by SIGFPE (floating-point exception) while loading; the server is unharmed",
		"child-killed":  "ended by signal 9 (killed) while loading",
		"child-memory":  "ended by using up the memory that it may have while loading",
		"child-exits":   "ended by exit code 7 while loading",
		"child-junk":    "ended by leaving without a verdict while loading",
		"child-endless": "it did not end within 2s while loading",
		"child-flood":   "say more than 16777216 bytes at once while loading",
		"child-chatter": "it did not end within 2s while loading",
		"child-stacks":  "ended by SIGSEGV (segmentation violation) while loading",
	} {
		t.Run(child, func(t *testing.T) {
			t.Parallel()
			timeout := time.Minute // a flood ends it before that
			if strings.Contains(want, "within 2s") {
				timeout = 2 * time.Second // with time to start on a busy machine
			}
			_, _, err := examined(t, child, lifecycle.Staged{Model: "demo", Dir: t.TempDir()}, timeout)
			if !fault.Is(err, fault.ModelRefused) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
			if f := fault.As(err); f != nil && !strings.HasPrefix(f.Detail, "The model was refused: ") {
				t.Errorf("%q", f.Detail)
			}
		})
	}
}

// TestAVerdictSurvivesItsChild: what dies while the causes are sought has been
// compared before, and its report is worth more than how it ended.
func TestAVerdictSurvivesItsChild(t *testing.T) {
	report, _, err := examined(t, "child-verdict", lifecycle.Staged{Model: "demo", Dir: t.TempDir()}, time.Minute)
	if err != nil || report == nil || report.Passed || report.FailedRows != 2 {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestChildrenThatDoNotBegin: what ends before the model is touched is not the
// model's fault, and the log says what it was.
func TestChildrenThatDoNotBegin(t *testing.T) {
	for child, want := range map[string]string{"child-absent": "no library", "child-silent": "without a verdict"} {
		_, _, err := examined(t, child, lifecycle.Staged{Model: "demo", Dir: t.TempDir()}, time.Minute)
		if err == nil || fault.As(err) != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", child, err, want)
		}
	}
	x := &examiner{executable: "/nowhere/tenon", timeout: time.Minute}
	if _, err := x.Examine(t.Context(), lifecycle.Staged{}, nil); err == nil || !strings.Contains(err.Error(), "could not be started") {
		t.Errorf("%v", err)
	}
}

func TestExaminationEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	x := &examiner{executable: path(t, "child-endless"), timeout: time.Minute}
	_, err := x.Examine(ctx, lifecycle.Staged{Dir: t.TempDir()}, func(string, int, int) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestExaminationOfABundle goes the whole way, with the fake engine.
func TestExaminationOfABundle(t *testing.T) {
	for name, c := range map[string]struct {
		bundle   testBundle
		rows     int
		failed   int
		progress string
	}{
		"right":          {testBundle{name: "demo"}, 6, 0, "replaying 3/3"},
		"wrong":          {testBundle{name: "demo", wrong: true}, 6, 2, "replaying 3/3"},
		"not to compare": {testBundle{name: "demo", without: true}, 0, 0, "loading 0/0"},
	} {
		report, phases, err := examined(t, "tenon", lifecycle.Staged{Model: "demo", Dir: c.bundle.staged(t)}, time.Minute)
		if err != nil || len(phases) == 0 || phases[len(phases)-1] != c.progress {
			t.Errorf("%s: %v, %v", name, err, phases)
			continue
		}
		if c.rows == 0 {
			if report != nil {
				t.Errorf("%s: %+v", name, report)
			}
			continue
		}
		if report == nil || report.Rows != c.rows || report.FailedRows != c.failed || report.Passed != (c.failed == 0) ||
			report.Engine != "fake" || report.Model != "demo" {
			t.Errorf("%s: %+v", name, report)
		}
	}
	broken := t.TempDir()
	_, _, err := examined(t, "tenon", lifecycle.Staged{Model: "demo", Dir: broken}, time.Minute)
	if fault.As(err) == nil || fault.As(err).Kind != fault.Unprocessable {
		t.Errorf("%v", err)
	}
}

// TestExaminationEndsWithItsServer: however the server ends, its end of the
// pipe is closed.
func TestExaminationEndsWithItsServer(t *testing.T) {
	child := exec.CommandContext(t.Context(), path(t, "tenon"), "examine", testBundle{name: "demo", model: endlessModel()}.staged(t))
	hold, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	child.Stderr = &complaints
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, "loading") {
		t.Errorf("%q, %v", line, err)
	}
	if err := hold.Close(); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(lines)
	if err != nil {
		t.Error(err)
	}
	if err := child.Wait(); child.ProcessState.ExitCode() != exitFailure {
		t.Errorf("%v; it also said %q and %q", err, rest, complaints.String())
	}
}
