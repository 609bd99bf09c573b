package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/durable"
	"github.com/tenon-ml/tenon/internal/fault"
)

// littered makes a registry with something of everything: iris/1 live, iris/2
// gone, iris/3 gone and pushed again as iris/4, wine/1 gone whose files iris/1
// has, two blobs that nobody needs, and an upload whose owner died.
func littered(t *testing.T, opts Options) (*Store, string) {
	t.Helper()
	root := t.TempDir()
	s, err := Open(root, opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, seed := range []string{"a", "b", "c"} {
		in, err := stage(s, bundleOf(seed))
		if err != nil {
			t.Fatal(err)
		}
		nv := NewVersion{Parity: ParityProven, Report: []byte("report " + seed)}
		if _, err := s.AddVersion(t.Context(), "iris", in, nv, by); err != nil {
			t.Fatal(err)
		}
		_ = in.Discard()
	}
	pushed(t, s, "wine", "a")
	deployed(t, s, "iris", 1)
	for _, v := range append(slices.Clone(state(t, s, "iris").Versions), state(t, s, "wine").Versions...) {
		if _, err := s.View(v); err != nil {
			t.Fatal(err)
		}
	}
	gone(t, s, "iris", 2)
	gone(t, s, "iris", 3)
	gone(t, s, "wine", 1)
	pushed(t, s, "iris", "c")
	for _, orphan := range []string{"old", "young"} {
		if _, err := s.PutBlob(t.Context(), []byte(orphan)); err != nil {
			t.Fatal(err)
		}
	}
	dead, err := stage(s, bundleOf("dead"))
	if err != nil {
		t.Fatal(err)
	}
	dead.lock.Unlock()
	age(t, root)
	young := time.Now().Add(-time.Hour)
	if err := os.Chtimes(s.blobPath(hexSum("young")), young, young); err != nil {
		t.Fatal(err)
	}
	return s, root
}

func gone(t *testing.T, s *Store, name string, n int) {
	t.Helper()
	if err := s.DeleteVersion(t.Context(), name, n, "", by); err != nil {
		t.Fatal(err)
	}
}

// age makes every stored file two days old.
func age(t *testing.T, root string) {
	t.Helper()
	then := time.Now().Add(-48 * time.Hour)
	err := filepath.WalkDir(filepath.Join(root, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = os.Chtimes(path, then, then)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func blobOf(content string) string {
	return "blobs/sha256/" + hexSum(content)[:2] + "/" + hexSum(content)
}

// rubbish is what Collect finds in it.
func rubbish() []string {
	return []string{
		"view/" + hexSum(bundleOf("b")[Manifest]),
		blobOf(bundleOf("b")["model.onnx"]), blobOf(bundleOf("b")[Manifest]),
		blobOf("report b"), blobOf("report c"), blobOf("old"),
	}
}

func namesOf(c Collected, uploads *int) (names []string) {
	for _, r := range c.Removed {
		if r.Kind == RemovedUpload {
			*uploads++
			continue
		}
		names = append(names, r.Name)
	}
	return names
}

func sameNames(t *testing.T, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func whole(t *testing.T, root string) Verified {
	t.Helper()
	v, err := Verify(t.Context(), root, nil)
	if err != nil || len(v.Findings) > 0 {
		t.Fatalf("%+v %v", v.Findings, err)
	}
	return v
}

// tree is every path below a folder.
func tree(t *testing.T, root string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			info, err := d.Info()
			if err != nil {
				return err
			}
			all = append(all, path+" "+info.ModTime().String())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestCollect(t *testing.T) {
	s, root := littered(t, Options{})
	before := tree(t, root)
	dry, err := Collect(t.Context(), root, Collection{Grace: 24 * time.Hour, DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(before, tree(t, root)) {
		t.Error("a dry run changed something")
	}
	done, err := Collect(t.Context(), root, Collection{Grace: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []Collected{dry, done} {
		uploads := 0
		sameNames(t, namesOf(c, &uploads), rubbish())
		if uploads != 1 || c.Young != 1 || c.YoungBytes != 5 || c.Bytes < 300 {
			t.Errorf("%d uploads, %+v", uploads, c)
		}
	}
	for _, name := range rubbish() {
		if _, err := os.Lstat(filepath.Join(root, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := ingests(t, root); n != 0 {
		t.Errorf("%d uploads left", n)
	}
	if v := whole(t, root); v.Versions != 2 {
		t.Errorf("%+v", v)
	}
	for _, n := range []int{1, 4} {
		v, _ := state(t, s, "iris").Version(n)
		if _, err := s.View(v); err != nil {
			t.Error(err)
		}
	}
	if again, err := Collect(t.Context(), root, Collection{Grace: 24 * time.Hour}); err != nil || len(again.Removed) > 0 {
		t.Errorf("%+v %v", again, err)
	}
	// What is gone comes back as a new version, with its files.
	if v := pushed(t, s, "iris", "b"); v.Number != 5 || v.Existing {
		t.Errorf("%+v", v)
	}
	whole(t, root)
}

func TestCollectRemovesNothingWhereItCannotKnow(t *testing.T) {
	for _, test := range []struct {
		name, says string
		damage     func(t *testing.T, s *Store)
	}{
		{"log", "the model wine cannot be read", func(t *testing.T, s *Store) {
			t.Helper()
			flip(t, s.recordPath("wine", 1), 100)
		}},
		{"hole", "the model iris cannot be read", func(t *testing.T, s *Store) {
			t.Helper()
			if err := os.Remove(s.recordPath("iris", 2)); err != nil {
				t.Fatal(err)
			}
		}},
		{"manifest", "version 4: the stored file", func(t *testing.T, s *Store) {
			t.Helper()
			flip(t, s.blobPath(hexSum(bundleOf("c")[Manifest])), 9)
		}},
		{"no folder", "models/oak is no folder", func(t *testing.T, s *Store) {
			t.Helper()
			write(t, s.path("models", "oak"), "x")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, root := littered(t, Options{})
			test.damage(t, s)
			before := tree(t, s.path("blobs"))
			views := tree(t, s.path("view"))
			for _, dry := range []bool{true, false} {
				_, err := Collect(t.Context(), root, Collection{DryRun: dry})
				if err == nil || !strings.Contains(err.Error(), "nothing can be collected") || !strings.Contains(err.Error(), test.says) {
					t.Errorf("dry %v: %v", dry, err)
				}
			}
			if !slices.Equal(before, tree(t, s.path("blobs"))) || !slices.Equal(views, tree(t, s.path("view"))) {
				t.Error("something was removed")
			}
		})
	}
	if _, err := Collect(t.Context(), t.TempDir(), Collection{}); err == nil || !strings.Contains(err.Error(), "is not a registry") {
		t.Errorf("a folder that is none: %v", err)
	}
}

// A digest in a member that this release does not know is needed all the same.
func TestCollectKeepsWhatANewerReleaseNames(t *testing.T) {
	s, root := littered(t, Options{})
	digest := digestPrefix + hexSum("old")
	_, err := s.Deploy(t.Context(), "iris", NewDeployment{Traffic: wire.Stable(1), Other: map[string]json.RawMessage{"divergence": json.RawMessage(`"` + digest + `"`)}}, by)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Collect(t.Context(), root, Collection{}); err != nil {
		t.Fatal(err)
	}
	if err := s.VerifyBlob(digest); err != nil {
		t.Error(err)
	}
}

// A version is pushed again, over the blobs that the collection has chosen to
// remove, at the last moment that it can be.
func TestCollectAsksTheLogsAgain(t *testing.T) {
	s, root := littered(t, Options{})
	taken := 0
	disk := &durable.Disk{Call: func(op durable.Op, path string, do func() error) error {
		if op == durable.OpLock && path == s.path(gateFile) {
			if taken++; taken == 2 { // the first is of the opening
				pushed(t, s, "oak", "b")
				age(t, root) // it is the record that counts
			}
		}
		return do()
	}}
	done, err := Collect(t.Context(), root, Collection{Options: Options{Disk: disk}})
	if err != nil || taken < 2 {
		t.Fatal(taken, err)
	}
	uploads := 0
	sameNames(t, namesOf(done, &uploads), []string{blobOf("report b"), blobOf("report c"), blobOf("old"), blobOf("young")})
	if v := whole(t, root); v.Versions != 3 {
		t.Errorf("%+v", v)
	}
}

// Nothing is removed while somebody relies on blobs without a record.
func TestCollectWaitsForWriters(t *testing.T) {
	s, root := littered(t, Options{})
	done, err := s.relying(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	disk := &durable.Disk{Call: func(op durable.Op, path string, do func() error) error {
		err := do()
		if path == s.path(collectLock) && errors.Is(err, durable.ErrLocked) {
			cancel() // it found the writer
		}
		return err
	}}
	out, err := Collect(ctx, root, Collection{Options: Options{Disk: disk}})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	uploads := 0
	sameNames(t, namesOf(out, &uploads), nil)
	done()
	for range 2 { // the locks of the one that gave up are free again
		if _, err := Collect(t.Context(), root, Collection{}); err != nil {
			t.Fatal(err)
		}
	}
}

// Every call of a collection fails in turn, before and after it took effect,
// alone and with all that follow; then the power is cut. What is live is whole.
func TestCollectFailsAnywhere(t *testing.T) {
	_, original := littered(t, Options{})
	for _, r := range []*rehearsal{
		{with: syscall.EIO},
		{with: syscall.EIO, after: true},
		{with: syscall.EIO, dead: true},
		{with: syscall.EIO, dead: true, after: true},
	} {
		t.Run(fmt.Sprintf("after=%v dead=%v", r.after, r.dead), func(t *testing.T) {
			t.Parallel()
			for n := 1; collectFailing(t, original, r, n); n++ {
			}
			if len(r.calls) < 25 {
				t.Errorf("a collection has only %d calls: %v", len(r.calls), r.calls)
			}
		})
	}
}

// collectFailing collects in a copy with call n failing, and reports whether
// there was a call n.
func collectFailing(t *testing.T, original string, r *rehearsal, n int) bool {
	t.Helper()
	root := filepath.Join(t.TempDir(), "copy")
	linked(t, original, root)
	r.unsynced = map[string][]string{}
	r.arm(n)
	_, _ = Collect(t.Context(), root, Collection{Options: Options{Disk: r.disk()}})
	reached := len(r.calls) >= n
	r.cutPower(t)
	if v := whole(t, root); v.Versions != 2 {
		t.Fatalf("call %d of %v: %+v", n, r.calls, v)
	}
	if _, err := Collect(t.Context(), root, Collection{}); err != nil {
		t.Fatalf("call %d: the next one: %v", n, err)
	}
	left, err := Collect(t.Context(), root, Collection{DryRun: true})
	if err != nil || len(left.Removed) > 0 || ingests(t, root) > 0 {
		t.Fatalf("call %d: left %+v %v", n, left, err)
	}
	whole(t, root)
	return reached
}

// linked makes a copy of a folder out of hard links: what is in a registry is
// never changed. Only locks are files of their own, or all copies would be locked
// as one.
func linked(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.Mkdir(target, 0o700)
		}
		if name := d.Name(); name == lockName || name == gateFile || name == collectLock {
			return os.WriteFile(target, nil, 0o600)
		}
		return os.Link(path, target)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The record that gives a version up was written and not synced. After a
// collection a power cut must not bring the version back without its files.
func TestCollectMakesTheLogsLast(t *testing.T) {
	root := t.TempDir()
	r := &rehearsal{unsynced: map[string][]string{}}
	disk := r.disk()
	s, err := Open(root, Options{Disk: &durable.Disk{Call: func(op durable.Op, path string, do func() error) error {
		if op == durable.OpSyncDir && strings.HasSuffix(path, "/log") && r.dead {
			return syscall.EIO
		}
		return disk.Call(op, path, do)
	}}})
	if err != nil {
		t.Fatal(err)
	}
	pushed(t, s, "iris", "a")
	r.dead = true
	wantFault(t, s.DeleteVersion(t.Context(), "iris", 1, "", by), fault.StorageFailed)
	r.dead = false
	out, err := Collect(t.Context(), root, Collection{Options: Options{Disk: disk}})
	if err != nil || len(out.Removed) != 3 {
		t.Fatalf("%+v %v", out, err)
	}
	r.cutPower(t)
	if v := whole(t, root); v.Versions != 0 {
		t.Errorf("%+v", v)
	}
}
