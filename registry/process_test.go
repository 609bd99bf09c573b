package registry

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/durable"
	"github.com/tenon-ml/tenon/internal/fault"
)

// The test binary is its own child: with childVar set it is one process of a
// test below and never a test.
const childVar = "TENON_REGISTRY_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childVar) {
	case "":
		os.Exit(m.Run())
	case "killed":
		killedChild(os.Args[1], os.Args[2])
	case "writer":
		writerChild(os.Args[1], os.Args[2])
	case "recycler":
		recyclerChild(os.Args[1], os.Args[2])
	case "collector":
		collectorChild(os.Args[1])
	case "turn":
		turnChild(os.Args[1], os.Args[2] == "syncing")
	}
}

func child(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), childVar+"="+role, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	return cmd
}

// killedChild plays the scene of disk_test.go, kills itself without warning
// at its n-th system call, and says what was acknowledged until then.
func killedChild(root, n string) {
	at, err := strconv.Atoi(n)
	if err != nil {
		panic(err)
	}
	var calls atomic.Int64
	disk := &durable.Disk{Call: func(_ durable.Op, _ string, do func() error) error {
		here := int(calls.Add(1)) == at
		if here && at%2 == 0 {
			_ = do()
		}
		if here {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return do()
	}}
	s, err := Open(root, Options{Disk: disk})
	if err != nil {
		panic(err)
	}
	in, err := stage(s, bundleOf("a"))
	if err != nil {
		panic(err)
	}
	nv := NewVersion{Parity: ParityProven, Report: []byte("report")}
	v, err := s.AddVersion(context.Background(), "iris", in, nv, by)
	if err != nil {
		panic(err)
	}
	fmt.Println("version", v.Number)
	d, err := s.Deploy(context.Background(), "iris", NewDeployment{Traffic: wire.Stable(1)}, by)
	if err != nil {
		panic(err)
	}
	fmt.Println("deployment", d.Number)
	d, err = s.Deploy(context.Background(), "iris", NewDeployment{Traffic: wire.Stable(1), Reason: "rollback"}, by)
	if err != nil {
		panic(err)
	}
	fmt.Println("deployment", d.Number)
	_ = in.Discard()
}

func TestKilledAtEveryCall(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 7
	}
	for n := 1; ; n += step {
		root := t.TempDir()
		cmd := child(t, "killed", root, strconv.Itoa(n))
		out, err := cmd.Output()
		var a acks
		for line := range bytes.Lines(out) {
			_, _ = fmt.Sscanf(string(line), "version %d", &a.version)
			_, _ = fmt.Sscanf(string(line), "deployment %d", &a.deployment)
		}
		a.holds(t, root)
		if t.Failed() {
			t.Fatalf("killed at call %d, acknowledged %+v", n, a)
		}
		if err == nil { // it was done before call n
			if a != (acks{1, 3}) || n < 50 {
				t.Errorf("the scene ended after %d calls with %+v", n, a)
			}
			return
		}
	}
}

const (
	writers = 8  // in each of two processes
	commits = 50 // pushes and deployments of each writer
)

// ack is what a writer was told.
type ack struct {
	Digest   string // of the version it pushed, with the number it got
	Version  int
	Number   int // of the deployment it made …
	Expected int // … in place of this one
}

// writerChild pushes and deploys with several writers at a time and says what
// each was told.
func writerChild(root, process string) {
	s, err := Open(root, Options{})
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	told := make(chan ack, 2*writers*commits)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for c := range commits {
				v, err := push(s, "iris", fmt.Sprint(process, w, c))
				if err != nil {
					panic(err)
				}
				told <- ack{Digest: v.Digest, Version: v.Number}
				if a, ok := deployExpecting(s, v.Number); ok {
					told <- a
				}
			}
		})
	}
	wg.Wait()
	close(told)
	for a := range told {
		_ = json.NewEncoder(os.Stdout).Encode(a)
	}
}

// deployExpecting deploys in place of what is current now, as many times as
// somebody else is faster, up to three.
func deployExpecting(s *Store, version int) (ack, bool) {
	for range 3 {
		st, err := s.State("iris")
		if err != nil {
			panic(err)
		}
		expected := 0
		if d := st.Current(); d != nil {
			expected = d.Number
		}
		d, err := s.Deploy(context.Background(), "iris", NewDeployment{Traffic: wire.Stable(version), Expected: &expected}, by)
		if err == nil {
			return ack{Number: d.Number, Expected: expected}, true
		}
		if !fault.Is(err, fault.StaleExpected) {
			panic(err)
		}
	}
	return ack{}, false
}

func TestSixteenWritersInTwoProcesses(t *testing.T) {
	root := t.TempDir()
	told := compete(t, root)
	s := open(t, root)
	records, err := s.Log("iris")
	if err != nil {
		t.Fatal(err)
	}
	winners := map[string]ack{}
	for _, a := range told {
		key := fmt.Sprint("version ", a.Version)
		if a.Number > 0 {
			key = fmt.Sprint("deployment ", a.Number)
		}
		if _, twice := winners[key]; twice {
			t.Errorf("%s has two winners", key)
		}
		winners[key] = a
	}
	if len(winners) != len(records) {
		t.Errorf("%d acknowledged, %d in the log", len(winners), len(records))
	}
	current := 0
	for _, r := range records {
		switch r.Kind {
		case KindVersionAdded:
			if a := winners[fmt.Sprint("version ", r.Version.Version)]; a.Digest != r.Version.Digest {
				t.Errorf("version %d is %s, and its winner was told %s", r.Version.Version, r.Version.Digest, a.Digest)
			}
		case KindDeployment:
			if a := winners[fmt.Sprint("deployment ", r.Seq)]; a.Expected != current {
				t.Errorf("deployment %d expected %d where %d was current", r.Seq, a.Expected, current)
			}
			current = r.Seq
		}
	}
	if st := state(t, s, "iris"); len(st.Versions) != 2*writers*commits {
		t.Errorf("%d versions, want %d", len(st.Versions), 2*writers*commits)
	}
}

// compete runs two processes of writers, started at one moment.
func compete(t *testing.T, root string) []ack {
	t.Helper()
	var mu sync.Mutex
	var told []ack
	var wg, ready sync.WaitGroup
	ready.Add(2)
	for _, process := range []string{"p", "q"} {
		cmd := child(t, "writer", root, process)
		in, err1 := cmd.StdinPipe()
		out, err2 := cmd.StdoutPipe()
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			lines := bufio.NewScanner(out)
			if lines.Scan(); lines.Text() != "ready" {
				t.Errorf("the child says %q", lines.Text())
			}
			ready.Done()
			ready.Wait()
			_, _ = fmt.Fprintln(in)
			for lines.Scan() {
				var a ack
				if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
					t.Error(err)
				}
				mu.Lock()
				told = append(told, a)
				mu.Unlock()
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return told
}
