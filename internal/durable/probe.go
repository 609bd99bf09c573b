package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// Probe tries in dir what the promises of this package need: locks, hard
// links that refuse a taken name, and syncing a folder. Its error is a
// sentence that says what is missing and what to do; it leaves nothing
// behind. The registry calls it at every start.
func (d *Disk) Probe(dir string) error {
	f, err := d.Temp(dir)
	if err != nil {
		return fmt.Errorf("the folder %s cannot be written: %w; give its owner the right to, or free some space",
			dir, err)
	}
	name := f.Name() + ".probe"
	defer func() {
		_ = d.Remove(name)
		_ = f.Discard()
	}()
	if err := d.probe(f, name); err != nil {
		return fmt.Errorf("the file system of %s cannot keep what it acknowledges: %w; "+
			"use a local one such as ext4, xfs or APFS", filepath.Clean(dir), err)
	}
	return nil
}

func (d *Disk) probe(f *File, name string) error {
	lock, err := d.TryLock(f.Name())
	if err != nil {
		return fmt.Errorf("it has no file locks (%w)", err)
	}
	lock.Unlock()
	if err := f.Seal(); err != nil {
		return fmt.Errorf("it cannot sync a file (%w)", err)
	}
	if err := d.Link(f.Name(), name); err != nil {
		return fmt.Errorf("it has no hard links (%w)", err)
	}
	if err := d.Link(f.Name(), name); !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("a second link of one name was not refused (%w)", orNil(err))
	}
	if err := d.SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("it cannot sync a folder (%w)", err)
	}
	return nil
}

func orNil(err error) error {
	if err == nil {
		return errors.New("it reported success")
	}
	return err
}
