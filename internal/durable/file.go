package durable

import "os"

// File is a temporary file that is being written. It is not safe for
// concurrent use.
type File struct {
	disk *Disk
	f    *os.File
	open bool
}

// Temp creates a temporary file in dir. The caller writes it, seals it, gives
// it a name with Place, and discards it in every case.
func (d *Disk) Temp(dir string) (*File, error) {
	file := &File{disk: d, open: true}
	err := d.call(OpCreate, dir, func() (err error) {
		file.f, err = os.CreateTemp(dir, TempPrefix+"*")
		return err
	})
	if err != nil {
		if file.f != nil { // a test let the call happen and then fail
			_ = file.f.Close()
			_ = os.Remove(file.f.Name())
		}
		return nil, err
	}
	return file, nil
}

// Name is the temporary file's path.
func (f *File) Name() string { return f.f.Name() }

// Write appends p.
func (f *File) Write(p []byte) (n int, err error) {
	err = f.disk.call(OpWrite, f.Name(), func() (err error) {
		n, err = f.f.Write(p)
		return err
	})
	return n, err
}

// Seal makes the file read-only, syncs it and closes it. Only a file whose
// Seal returned nil may be given a name.
func (f *File) Seal() error { return f.seal(sealedMode) }

// sealPrivate is Seal of a file that only its owner may read.
func (f *File) sealPrivate() error { return f.seal(privateMode) }

func (f *File) seal(mode os.FileMode) error {
	err := f.disk.call(OpChmod, f.Name(), func() error { return f.f.Chmod(mode) })
	if err == nil {
		err = f.disk.call(OpSync, f.Name(), f.f.Sync)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// Close closes the file without any promise about its content. Closing twice
// is no error.
func (f *File) Close() error {
	if !f.open {
		return nil
	}
	f.open = false
	failed := f.disk.call(OpClose, f.Name(), f.f.Close)
	if failed != nil {
		_ = f.f.Close() // closed for certain, whatever was reported
	}
	return failed
}

// Discard closes the file and removes its temporary name. Names that Place
// gave it stay.
func (f *File) Discard() error {
	cerr := f.Close()
	if err := f.disk.Remove(f.Name()); err != nil {
		return err
	}
	return cerr
}
