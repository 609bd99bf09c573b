package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Op names a system call that changes the disk, for Disk.Call.
type Op string

// The calls that a Disk makes.
const (
	OpMkdir   Op = "mkdir"
	OpCreate  Op = "create"
	OpWrite   Op = "write"
	OpChmod   Op = "chmod"
	OpSync    Op = "sync"
	OpClose   Op = "close"
	OpLink    Op = "link"
	OpRename  Op = "rename"
	OpRemove  Op = "remove"
	OpTouch   Op = "touch"
	OpSyncDir Op = "syncdir"
	OpLock    Op = "lock"
)

// TempPrefix begins the name of every temporary file. Readers of a folder
// skip such names; SweepTemps removes the ones a dead process left behind.
const TempPrefix = ".tmp-"

// The modes of what we make: folders and files under way are the owner's
// alone, a finished file is read-only because nothing may change it.
const (
	dirMode     = 0o700
	sealedMode  = 0o444
	privateMode = 0o600
)

// Disk makes the system calls. A nil *Disk is the real disk; it is safe for
// concurrent use.
type Disk struct {
	// Call, where set, stands around every call that changes the disk and
	// runs do, or fails instead of it, or after it. Only tests set it.
	Call func(op Op, path string, do func() error) error
}

func (d *Disk) call(op Op, path string, do func() error) error {
	if d == nil || d.Call == nil {
		return do()
	}
	return d.Call(op, path, do)
}

// Create writes a whole small file under a name that must be free, and
// returns once file and name would survive a power cut. Where the name is
// taken the error is fs.ErrExist and nothing has changed.
func (d *Disk) Create(path string, data []byte) error { return d.create(path, data, (*File).Seal) }

// CreatePrivate is Create of a file that only its owner may read.
func (d *Disk) CreatePrivate(path string, data []byte) error {
	return d.create(path, data, (*File).sealPrivate)
}

func (d *Disk) create(path string, data []byte, seal func(*File) error) error {
	f, err := d.Temp(filepath.Dir(path))
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = seal(f)
	}
	if err == nil {
		err = d.Link(f.Name(), path)
	}
	_ = f.Discard() // a name left behind is swept later; it hurts nobody
	if err != nil {
		return err
	}
	return d.SyncDir(filepath.Dir(path))
}

// Place gives a sealed file a second, lasting name that must be free. Where
// it is taken the error is fs.ErrExist; the holder of that name may not have
// synced it yet, so call SyncDir before relying on it.
func (d *Disk) Place(sealed, path string) error {
	if err := d.Link(sealed, path); err != nil {
		return err
	}
	return d.SyncDir(filepath.Dir(path))
}

// Replace gives a sealed file a lasting name, taking it from the file that
// has it now. It is for one thing only: putting the right content in the
// place of a damaged file.
func (d *Disk) Replace(sealed, path string) error {
	temp := filepath.Join(filepath.Dir(path), TempPrefix+filepath.Base(sealed))
	if err := d.Link(sealed, temp); err != nil {
		return err
	}
	if err := d.Rename(temp, path); err != nil {
		_ = d.Remove(temp)
		return err
	}
	return d.SyncDir(filepath.Dir(path))
}

// Link gives a file a second name, without a promise that it lasts. It is for
// folders that can be made again, and a building block of Create and Place.
func (d *Disk) Link(from, to string) error {
	return d.call(OpLink, to, func() error { return os.Link(from, to) })
}

// Rename moves a file or folder, without a promise that the move lasts. A
// folder never replaces another: the error is then fs.ErrExist.
func (d *Disk) Rename(from, to string) error {
	return d.call(OpRename, to, func() error { return os.Rename(from, to) })
}

// Remove removes a file or an empty folder; what is gone already is no error.
func (d *Disk) Remove(path string) error {
	return d.call(OpRemove, path, func() error { return ignore(os.Remove(path), fs.ErrNotExist) })
}

// RemoveAll removes a folder and all that is in it.
func (d *Disk) RemoveAll(path string) error {
	return d.call(OpRemove, path, func() error { return os.RemoveAll(path) })
}

// Touch sets the file's times, so that a collector sees that it is in use.
func (d *Disk) Touch(path string, at time.Time) error {
	return d.call(OpTouch, path, func() error { return os.Chtimes(path, at, at) })
}

// Private makes a folder the owner's alone.
func (d *Disk) Private(dir string) error {
	return d.call(OpChmod, dir, func() error { return os.Chmod(dir, dirMode) })
}

// SyncDir returns once the names in a folder would survive a power cut.
func (d *Disk) SyncDir(dir string) error {
	return d.call(OpSyncDir, dir, func() error {
		f, err := os.Open(dir)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

// Mkdir makes one folder, without a promise that it lasts. Where a folder of
// that name is there already it does nothing; anything else in its place is
// an error, a symbolic link too.
func (d *Disk) Mkdir(path string) error {
	return d.call(OpMkdir, path, func() error {
		err := os.Mkdir(path, dirMode)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		info, err := os.Lstat(path)
		if err == nil && !info.IsDir() {
			err = fmt.Errorf("%s is in the way: it is not a folder; move it away", path)
		}
		return err
	})
}

// MkdirAll makes path and every folder between it and base, which exists, and
// syncs the parent of each. It syncs them also where they exist, because the
// process that made them may have died before it did. An empty base stands
// for the nearest folder above path that exists.
func (d *Disk) MkdirAll(base, path string) error {
	if base == "" {
		base = nearest(path)
	}
	rel, err := filepath.Rel(base, path)
	if err != nil || rel == "." {
		return err
	}
	for _, name := range strings.Split(rel, string(filepath.Separator)) {
		dir := filepath.Join(base, name)
		if err := d.Mkdir(dir); err != nil {
			return err
		}
		if err := d.SyncDir(base); err != nil {
			return err
		}
		base = dir
	}
	return nil
}

// nearest is the lowest folder above path that exists.
func nearest(path string) string {
	dir := filepath.Dir(path)
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// SweepTemps removes temporary files of a folder that are older than before.
// Removing one that is still in use is harmless: its owner's link fails, and
// with it the commit, cleanly.
func (d *Disk) SweepTemps(dir string, before time.Time) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ignore(err, fs.ErrNotExist)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !strings.HasPrefix(e.Name(), TempPrefix) || !info.ModTime().Before(before) {
			continue
		}
		if err := d.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func ignore(err, harmless error) error {
	if errors.Is(err, harmless) {
		return nil
	}
	return err
}
