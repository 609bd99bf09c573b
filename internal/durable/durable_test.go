package durable

import (
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
)

// watched is a disk that notes its calls and makes the n-th fail, before or
// after it was done.
type watched struct {
	ops   []Op
	fail  int // counted from 1
	after bool
	with  error
}

func (w *watched) disk() *Disk {
	return &Disk{Call: func(op Op, path string, do func() error) error {
		w.ops = append(w.ops, op)
		if len(w.ops) != w.fail {
			return do()
		}
		if w.after {
			_ = do()
		}
		return fmt.Errorf("%s %s: %w", op, path, w.with)
	}}
}

func TestCreateKeepsTheOrderOfPromises(t *testing.T) {
	var w watched
	path := filepath.Join(t.TempDir(), "a")
	if err := w.disk().Create(path, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	want := []Op{OpCreate, OpWrite, OpChmod, OpSync, OpClose, OpLink, OpRemove, OpSyncDir}
	if !slices.Equal(w.ops, want) {
		t.Errorf("calls %v, want %v", w.ops, want)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o444 {
		t.Errorf("%v %v, want mode 0444", info.Mode(), err)
	}
	if names := list(t, filepath.Dir(path)); !slices.Equal(names, []string{"a"}) {
		t.Errorf("the folder holds %v", names)
	}
}

func TestCreatePrivateIsItsOwners(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	var d *Disk
	if err := d.CreatePrivate(path, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v, want mode 0600", info.Mode(), err)
	}
	expect(t, path, "hello")
	if err := d.CreatePrivate(path, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v, want fs.ErrExist", err)
	}
}

func TestCreateLoserChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	var d *Disk
	if err := d.Create(path, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := d.Create(path, []byte("second")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v, want fs.ErrExist", err)
	}
	expect(t, path, "first")
	if names := list(t, filepath.Dir(path)); len(names) != 1 {
		t.Errorf("the folder holds %v", names)
	}
}

// Every call fails in turn: an error, or the whole file; never half of it,
// and never success without the file.
func TestCreateWhereACallFails(t *testing.T) {
	for _, with := range []error{syscall.EIO, syscall.ENOSPC} {
		for _, after := range []bool{false, true} {
			for n := 1; ; n++ {
				w := watched{fail: n, after: after, with: with}
				path := filepath.Join(t.TempDir(), "a")
				err := w.disk().Create(path, []byte("hello"))
				if len(w.ops) < n {
					break // fewer calls than n: every one has failed once
				}
				op := w.ops[n-1]
				if err != nil && !errors.Is(err, with) {
					t.Errorf("%s: %v, want %v", op, err, with)
				}
				if err == nil && op != OpRemove {
					t.Errorf("%s failed and was not reported", op)
				}
				if _, serr := os.Stat(path); serr == nil || err == nil {
					expect(t, path, "hello")
				}
			}
		}
	}
}

func TestPlaceNeedsAFreeName(t *testing.T) {
	dir := t.TempDir()
	var d *Disk
	f := sealed(t, d, dir, "content")
	path := filepath.Join(dir, "blob")
	if err := d.Place(f.Name(), path); err != nil {
		t.Fatal(err)
	}
	if err := d.Place(f.Name(), path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v, want fs.ErrExist", err)
	}
	if err := f.Discard(); err != nil {
		t.Error(err)
	}
	expect(t, path, "content")
}

func TestReplaceTakesTheName(t *testing.T) {
	dir := t.TempDir()
	var d *Disk
	path := filepath.Join(dir, "blob")
	if err := d.Create(path, []byte("damaged")); err != nil {
		t.Fatal(err)
	}
	f := sealed(t, d, dir, "right")
	if err := d.Replace(f.Name(), path); err != nil {
		t.Fatal(err)
	}
	expect(t, path, "right")
	if _, err := os.Stat(f.Name()); err != nil {
		t.Error("the sealed file lost its own name")
	}
}

func TestMkdirAllSyncsEveryParentAlsoOfWhatExists(t *testing.T) {
	base := t.TempDir()
	for range 2 {
		var w watched
		if err := w.disk().MkdirAll(base, filepath.Join(base, "a", "b")); err != nil {
			t.Fatal(err)
		}
		if want := []Op{OpMkdir, OpSyncDir, OpMkdir, OpSyncDir}; !slices.Equal(w.ops, want) {
			t.Errorf("calls %v, want %v", w.ops, want)
		}
	}
	if err := (*Disk)(nil).MkdirAll("", filepath.Join(base, "c", "d", "e")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(base, "c", "d", "e"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v, want mode 0700", info, err)
	}
}

func TestMkdirRefusesALink(t *testing.T) {
	base := t.TempDir()
	if err := os.Symlink(t.TempDir(), filepath.Join(base, "a")); err != nil {
		t.Fatal(err)
	}
	err := (*Disk)(nil).MkdirAll(base, filepath.Join(base, "a", "b"))
	if err == nil || !strings.Contains(err.Error(), "not a folder") {
		t.Errorf("%v, want a sentence", err)
	}
}

func TestSweepTempsTakesOldOnesOnly(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	for name, age := range map[string]time.Duration{TempPrefix + "old": 2 * time.Hour, TempPrefix + "new": 0, "kept": 9 * time.Hour} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now, now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := (*Disk)(nil).SweepTemps(dir, now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := list(t, dir); !slices.Equal(got, []string{TempPrefix + "new", "kept"}) {
		t.Errorf("left %v", got)
	}
	if err := (*Disk)(nil).SweepTemps(filepath.Join(dir, "none"), now); err != nil {
		t.Errorf("a missing folder: %v", err)
	}
}

func TestLockHasOneOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var d *Disk
	lock, err := d.TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.TryLock(path); !errors.Is(err, ErrLocked) {
		t.Errorf("%v, want ErrLocked", err)
	}
	lock.Unlock()
	again, err := d.TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	again.Unlock()
}

func TestLockOfARemovedFileIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := flock(f, syscall.LOCK_EX); !errors.Is(err, ErrGone) {
		t.Errorf("%v, want ErrGone", err)
	}
}

func TestProbe(t *testing.T) {
	dir := t.TempDir()
	var w watched
	if err := w.disk().Probe(dir); err != nil {
		t.Fatal(err)
	}
	if names := list(t, dir); len(names) != 0 {
		t.Errorf("left %v", names)
	}
	calls := w.ops
	for n, op := range calls {
		if op == OpRemove || n > slices.Index(calls, OpSyncDir) {
			continue // cleaning up
		}
		w := watched{fail: n + 1, with: syscall.ENOTSUP}
		err := w.disk().Probe(dir)
		if err == nil || !errors.Is(err, syscall.ENOTSUP) && op != OpLink {
			t.Errorf("%s (call %d) failed: %v", op, n+1, err)
		}
	}
}

func TestProbeRefusesLinksThatReplace(t *testing.T) {
	d := &Disk{Call: func(op Op, _ string, do func() error) error {
		if err := do(); op != OpLink {
			return err
		}
		return nil
	}}
	err := d.Probe(t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "ext4") {
		t.Errorf("%v, want a sentence with a remedy", err)
	}
}

func TestProbeNamesAFolderThatCannotBeWritten(t *testing.T) {
	err := (*Disk)(nil).Probe(filepath.Join(t.TempDir(), "none"))
	if err == nil || !strings.Contains(err.Error(), "cannot be written") {
		t.Errorf("%v", err)
	}
}

func sealed(t *testing.T, d *Disk, dir, content string) *File {
	t.Helper()
	f, err := d.Temp(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := f.Seal(); err != nil {
		t.Fatal(err)
	}
	return f
}

func expect(t *testing.T, path, content string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || string(data) != content {
		t.Errorf("%s holds %q (%v), want %q", path, data, err, content)
	}
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Shares go together; the whole lock goes with nothing.
func TestSharedLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var d *Disk
	held := func(want bool) {
		t.Helper()
		if got, err := Locked(path); got != want || err != nil {
			t.Errorf("locked: %v, %v, want %v", got, err, want)
		}
	}
	held(false) // and is not made
	if _, err := os.Lstat(path); err == nil {
		t.Error("a look made the file")
	}
	one, err1 := d.TryShare(path)
	two, err2 := d.TryShare(path)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if _, err := d.TryLock(path); !errors.Is(err, ErrLocked) {
		t.Errorf("%v, want ErrLocked", err)
	}
	one.Unlock()
	two.Unlock()
	whole, err := d.TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	held(true)
	if _, err := d.TryShare(path); !errors.Is(err, ErrLocked) {
		t.Errorf("%v, want ErrLocked", err)
	}
	whole.Unlock()
	held(false)
}
