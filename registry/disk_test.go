package registry

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/durable"
	"github.com/tenon-ml/tenon/internal/fault"
)

// rehearsal is a disk that fails as it is told, and that remembers which names
// were never synced: those a power cut would take.
type rehearsal struct {
	mu       sync.Mutex
	calls    []durable.Op
	fail     int  // this call fails, counted from 1; 0: none
	after    bool // … after it was done
	dead     bool // … and every later one, before it is done
	with     error
	unsynced map[string][]string // names by folder
}

func (r *rehearsal) disk() *durable.Disk { return &durable.Disk{Call: r.call} }

// arm begins a new count.
func (r *rehearsal) arm(fail int) {
	r.calls, r.fail = nil, fail
}

func (r *rehearsal) call(op durable.Op, path string, do func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, op)
	n := len(r.calls)
	failing := r.fail > 0 && (n == r.fail || r.dead && n > r.fail)
	if !failing || r.after && n == r.fail {
		if err := r.do(op, path, do); err != nil {
			return err
		}
	}
	if failing {
		return fmt.Errorf("%s %s: %w", op, path, r.with)
	}
	return nil
}

func (r *rehearsal) do(op durable.Op, path string, do func() error) error {
	_, before := os.Lstat(path)
	err := do()
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	switch op {
	case durable.OpLink, durable.OpRename, durable.OpMkdir:
		if before != nil {
			r.unsynced[dir] = append(r.unsynced[dir], path)
		}
	case durable.OpSyncDir:
		delete(r.unsynced, path)
	}
	return nil
}

// cutPower takes every name that was never synced.
func (r *rehearsal) cutPower(t *testing.T) {
	t.Helper()
	for _, names := range r.unsynced {
		for _, name := range names {
			if err := os.RemoveAll(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.unsynced = map[string][]string{}
}

// The scene that every test below plays: what was acknowledged in it must be
// there afterwards, and nothing may be there half.
type acks struct{ version, deployment int }

func play(s *Store) (acks, error) {
	var a acks
	in, err := stage(s, bundleOf("a"))
	if in != nil {
		defer func() { _ = in.Discard() }()
	}
	if err != nil {
		return a, err
	}
	nv := NewVersion{Parity: ParityProven, Report: []byte("report")}
	v, err := s.AddVersion(context.Background(), "iris", in, nv, by)
	if err != nil {
		return a, err
	}
	a.version = v.Number
	d, err := s.Deploy(context.Background(), "iris", NewDeployment{Traffic: wire.Stable(v.Number)}, by)
	if err != nil {
		return a, err
	}
	a.deployment = d.Number
	// On disk a rollback is one more deployment, with its reason.
	if d, err = s.Deploy(context.Background(), "iris", NewDeployment{Traffic: wire.Stable(v.Number), Reason: "rollback"}, by); err != nil {
		return a, err
	}
	a.deployment = d.Number
	return a, nil
}

// holds checks a registry after the scene, as a new process sees it.
func (a acks) holds(t *testing.T, root string) {
	t.Helper()
	s := open(t, root)
	if n := ingests(t, root); n != 0 {
		t.Errorf("%d uploads left", n)
	}
	st, err := s.State("iris")
	if fault.Is(err, fault.ModelNotFound) && a == (acks{}) {
		return
	}
	if err != nil {
		t.Fatalf("acknowledged %+v: %v", a, err)
	}
	if len(st.Versions) != 1 || len(st.Deployments) > 2 {
		t.Errorf("half-made or twice: %+v", st)
	}
	if d := st.Current(); a.deployment > 0 && (d == nil || d.Number < a.deployment) {
		t.Errorf("deployment %d was acknowledged and is not there", a.deployment)
	}
	for _, v := range st.Versions {
		dir, err := s.View(v)
		if err != nil {
			t.Fatal(err)
		}
		checkTree(t, dir, bundleOf("a"))
		if err := s.VerifyBlob(v.Report); err != nil {
			t.Error(err)
		}
	}
}

// Every system call of an upload, a publication, a deployment and a rollback fails in
// turn, before and after it took effect, alone and with all that follow; then
// the power is cut. What was acknowledged is there.
func TestNoFalseAcknowledgement(t *testing.T) {
	for _, r := range []*rehearsal{
		{with: syscall.EIO},
		{with: syscall.ENOSPC, after: true},
		{with: syscall.EIO, dead: true},
		{with: syscall.EIO, dead: true, after: true},
	} {
		t.Run(fmt.Sprintf("after=%v dead=%v", r.after, r.dead), func(t *testing.T) {
			t.Parallel()
			for n := 1; playFailing(t, r, n); n++ {
			}
			if len(r.calls) < 40 {
				t.Errorf("the scene has only %d calls: %v", len(r.calls), r.calls)
			}
		})
	}
}

// playFailing plays the scene with call n failing, and reports whether there
// was a call n.
func playFailing(t *testing.T, r *rehearsal, n int) bool {
	t.Helper()
	root := t.TempDir()
	r.unsynced = map[string][]string{}
	r.arm(0)
	s, err := Open(root, Options{Disk: r.disk()})
	if err != nil {
		t.Fatal(err)
	}
	r.arm(n)
	a, err := play(s)
	if err != nil && !fault.Is(err, fault.StorageFailed) {
		t.Errorf("call %d: %v, want a fault %s", n, err, fault.StorageFailed)
	}
	reached, calls := len(r.calls) >= n, slices.Clone(r.calls)
	r.cutPower(t)
	a.holds(t, root)
	if t.Failed() {
		t.Fatalf("with call %d of %v failing", n, calls)
	}
	return reached
}

// A process dies at every call in turn; another then pushes the same and relies
// on what the first left, synced or not; then the power is cut.
func TestTheNextProcessCanBeTrusted(t *testing.T) {
	for n := 1; ; n++ {
		root := filepath.Join(t.TempDir(), "registry")
		r := &rehearsal{with: syscall.EIO, dead: true, after: n%2 == 0, unsynced: map[string][]string{}}
		r.arm(n)
		if s, err := Open(root, Options{Disk: r.disk()}); err == nil {
			_, _ = play(s)
		}
		reached := len(r.calls) >= n
		r.arm(0)
		s, err := Open(root, Options{Disk: r.disk()})
		if err != nil {
			t.Fatalf("call %d: %v", n, err)
		}
		if _, err := push(s, "iris", "a"); err != nil {
			t.Fatalf("call %d: the next process: %v", n, err)
		}
		r.cutPower(t)
		s = open(t, root)
		if st, err := s.State("iris"); err != nil || len(st.Versions) != 1 {
			t.Fatalf("call %d: version 1 was acknowledged, found %+v %v", n, st, err)
		}
		if _, err := s.View(state(t, s, "iris").Versions[0]); err != nil {
			t.Fatalf("call %d: %v", n, err)
		}
		if !reached {
			return
		}
	}
}

// The link of the record works, an error is reported, and the log's folder
// cannot be synced either: nobody can know, and the answer says so.
func TestUnclearOutcomeSaysSo(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	pushed(t, s, "iris", "a")
	s.disk = &durable.Disk{Call: func(op durable.Op, path string, do func() error) error {
		if op == durable.OpSyncDir && path == s.logDir("iris") {
			return syscall.EIO
		}
		return do()
	}}
	_, err := s.Deploy(t.Context(), "iris", NewDeployment{Traffic: wire.Stable(1)}, by)
	wantFault(t, err, fault.StorageFailed)
	if f := fault.As(err); f == nil || f.Detail != fault.As(unclear(nil)).Detail {
		t.Errorf("%v does not say that it is unclear", err)
	}
}

// A retried link reports "exists" although it was ours: no second record.
func TestOurOwnRecordIsRecognised(t *testing.T) {
	s := open(t, t.TempDir())
	pushed(t, s, "iris", "a")
	s.disk = &durable.Disk{Call: func(op durable.Op, path string, do func() error) error {
		err := do()
		if op == durable.OpLink && filepath.Dir(path) == s.logDir("iris") {
			return os.ErrExist
		}
		return err
	}}
	if d := deployed(t, s, "iris", 1); d.Number != 2 {
		t.Errorf("%+v", d)
	}
	if st := state(t, s, "iris"); st.Seq != 2 {
		t.Errorf("%d records, want 2", st.Seq)
	}
}

func TestDeadWritersLeftoversAreSwept(t *testing.T) {
	root := t.TempDir()
	pushed(t, open(t, root), "iris", "a")
	s := open(t, root)
	left := filepath.Join(s.logDir("iris"), durable.TempPrefix+"1")
	write(t, left, "half")
	old := s.now().Add(-2 * tempAge)
	if err := os.Chtimes(left, old, old); err != nil {
		t.Fatal(err)
	}
	deployed(t, s, "iris", 1)
	if _, err := os.Stat(left); err == nil {
		t.Error("the file of a dead writer is still there")
	}
}
