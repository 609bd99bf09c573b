package registry

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tenon-ml/tenon/internal/fault"
)

// powerCuts is how often each of the tests below cuts the power.
func powerCuts() int {
	if os.Getenv("TENON_LONG") != "" {
		return 60
	}
	return 10
}

// TestPowerCutsLoseNothing: a file system of its own loses its power, between
// two actions and inside of one. What was acknowledged is there afterwards, and
// nothing is there half.
func TestPowerCutsLoseNothing(t *testing.T) {
	o := cutPowers(t, "syncing")
	if len(o.lost) > 0 {
		t.Errorf("%d of %d cuts lost something: %v", len(o.lost), o.cuts, o.lost)
	}
	if o.inside < o.cuts/5 { // every other one is aimed there
		t.Errorf("only %d of %d cuts fell inside an action", o.inside, o.cuts)
	}
}

// TestPowerCutsTakeNamesThatWereNotSynced is the control: the same without the
// folder's fsync loses, so the cuts are ones.
func TestPowerCutsTakeNamesThatWereNotSynced(t *testing.T) {
	o := cutPowers(t, "not syncing")
	if len(o.lost) < o.cuts/2 { // those between two actions
		t.Errorf("only %d of %d cuts lost something", len(o.lost), o.cuts)
	}
}

// outcome is what came of all cuts of a test.
type outcome struct {
	cuts, inside, acknowledged int
	lost                       []string
}

func cutPowers(t *testing.T, how string) outcome {
	t.Helper()
	o := outcome{cuts: powerCuts()}
	dice := rand.New(rand.NewPCG(1, 2))
	image := filepath.Join(t.TempDir(), "disk")
	for n := range o.cuts {
		d := newDisk(t, image, n == 0)
		acks, inside := cutPower(t, d, how, dice.IntN(3*turns), n%2 == 0, dice)
		d.unmount(t)
		d.mount(t)
		lost := whatIsLost(t, d.root, acks)
		d.unmount(t)
		o.acknowledged += len(acks)
		if inside {
			o.inside++
		}
		if lost != "" {
			o.lost = append(o.lost, fmt.Sprintf("cut %d, after %d acknowledgements: %s", n, len(acks), lost))
		}
	}
	t.Logf("%s: %d power cuts, %d inside an action; %d actions acknowledged; %d cuts lost something",
		how, o.cuts, o.inside, o.acknowledged, len(o.lost))
	return o
}

// cutPower has actions done until the power goes, behind the last one or in the
// middle of one more. It returns what was acknowledged, and whether one was
// under way.
func cutPower(t *testing.T, d *disk, how string, last int, between bool, dice *rand.Rand) (acks []told, inside bool) {
	t.Helper()
	cmd := child(t, "turn", d.root, how)
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(out)
	if line, err := answers.ReadString('\n'); line != "ready\n" {
		t.Fatalf("the child says %q: %v", line, err)
	}
	for range last + 1 {
		acks = append(acks, asked(t, in, answers)...)
	}
	if !between {
		_, _ = fmt.Fprintln(in)
		soon := time.NewTimer(time.Duration(dice.IntN(2000)) * time.Microsecond)
		<-soon.C
	}
	d.cut(t)
	_ = in.Close()
	rest, err := io.ReadAll(answers)
	if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if more := strings.TrimSpace(string(rest)); more != "" {
		acks = append(acks, parsed(t, more))
	} else {
		inside = !between
	}
	return acks, inside
}

// asked has one action done.
func asked(t *testing.T, in io.Writer, answers *bufio.Reader) []told {
	t.Helper()
	_, _ = fmt.Fprintln(in)
	line, err := answers.ReadString('\n')
	if err != nil {
		t.Fatalf("an action failed with the power on: %v", err)
	}
	return []told{parsed(t, line)}
}

func parsed(t *testing.T, line string) (a told) {
	t.Helper()
	if err := json.Unmarshal([]byte(line), &a); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return a
}

// whatIsLost says what of the acknowledged is not there, or is damaged; "":
// nothing.
func whatIsLost(t *testing.T, root string, acks []told) string {
	t.Helper()
	s, err := Open(root, Options{})
	if err != nil {
		return err.Error()
	}
	st, err := s.State("iris")
	if fault.Is(err, fault.ModelNotFound) {
		st, err = &State{}, nil
	}
	if err != nil {
		return err.Error()
	}
	for _, a := range acks {
		if !a.keeps(st) {
			return fmt.Sprintf("%+v", a)
		}
	}
	found, err := Verify(t.Context(), root, nil)
	if err != nil {
		return err.Error()
	}
	for _, f := range found.Findings {
		return f.What
	}
	return ""
}

// disk is a file system in a file. Its journal is written when somebody syncs,
// or after a minute, which is longer than a test takes.
type disk struct{ image, at, root string }

// newDisk makes one and mounts it. Where that is not possible here, the first
// one skips the test with the reason.
func newDisk(t *testing.T, image string, first bool) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a file system is mounted, which only root may")
	}
	d := &disk{image: image, at: t.TempDir()}
	d.root = filepath.Join(d.at, "registry")
	err := os.WriteFile(image, nil, 0o600)
	if err == nil {
		err = os.Truncate(image, 32<<20)
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "mkfs.ext4", "-q", "-F",
		"-E", "lazy_itable_init=0,lazy_journal_init=0", image).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("mkfs.ext4 is not here")
	}
	if err != nil {
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	if out, err := d.mounting(t); err != nil && first {
		t.Skipf("a file cannot be mounted here: %v: %s", err, out)
	} else if err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	return d
}

func (d *disk) mounting(t *testing.T) ([]byte, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "mount", "-o", "loop,commit=60", d.image, d.at).CombinedOutput()
	if err == nil {
		t.Cleanup(func() { _ = syscall.Unmount(d.at, 0) }) // where the test ended early
	}
	return out, err
}

// mount has the kernel replay the journal, as after a start.
func (d *disk) mount(t *testing.T) {
	t.Helper()
	if out, err := d.mounting(t); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
}

func (d *disk) unmount(t *testing.T) {
	t.Helper()
	if err := syscall.Unmount(d.at, 0); err != nil {
		t.Fatal(err)
	}
}

// cut shuts the file system down at once, without flushing its journal: what
// has not reached the device never will, and every later call fails. It is
// what the kernel's own tests of power cuts do.
func (d *disk) cut(t *testing.T) {
	t.Helper()
	const shutdown, withoutFlush = 0x8004587D, 2 // EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
	f, err := os.Open(d.at)
	if err != nil {
		t.Fatal(err)
	}
	err = unix.IoctlSetPointerInt(int(f.Fd()), shutdown, withoutFlush)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatalf("the file system cannot be shut down: %v", err)
	}
}
