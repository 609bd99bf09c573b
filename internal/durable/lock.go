package durable

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// ErrLocked says that somebody else holds the lock.
var ErrLocked = errors.New("the lock is held by another owner")

// ErrGone says that the lock's file was removed while it was being taken: a
// sweeper came first. Take another name.
var ErrGone = errors.New("the lock's file was removed while the lock was taken")

// Lock is a lock on a file (flock), a whole one or a share in it. It is held until Unlock or
// until the process ends, in whatever way it ends.
type Lock struct{ f *os.File }

// TryLock takes the lock on the file at path, which it creates, and never
// waits: where another owner holds it the error is ErrLocked. Owners in one
// process exclude each other too.
func (d *Disk) TryLock(path string) (*Lock, error) { return d.lock(path, syscall.LOCK_EX) }

// TryShare takes the same lock together with all others that share it; only
// the owner of the whole lock excludes them, and they exclude that one.
func (d *Disk) TryShare(path string) (*Lock, error) { return d.lock(path, syscall.LOCK_SH) }

// Locked reports whether somebody holds the lock on the file at path. It
// changes nothing: a file that is not there is held by nobody.
func Locked(path string) (bool, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	err = flock(f, syscall.LOCK_SH)
	if errors.Is(err, ErrLocked) {
		return true, nil
	}
	return false, ignore(err, ErrGone)
}

func (d *Disk) lock(path string, how int) (*Lock, error) {
	var lock *Lock
	err := d.call(OpLock, path, func() (err error) {
		lock, err = tryLock(path, how)
		return err
	})
	if err != nil {
		if lock != nil {
			lock.Unlock()
		}
		return nil, err
	}
	return lock, nil
}

func tryLock(path string, how int) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f, how); err != nil {
		_ = f.Close()
		return nil, err
	}
	return &Lock{f}, nil
}

// flock locks f and makes sure that path still leads to f: a sweeper may have
// held the lock and removed the file between our open and our lock.
func flock(f *os.File, how int) error {
	err := error(syscall.EINTR)
	for errors.Is(err, syscall.EINTR) {
		err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	if err != nil {
		return &os.PathError{Op: "flock", Path: f.Name(), Err: err}
	}
	mine, err1 := f.Stat()
	there, err2 := os.Lstat(f.Name())
	if err1 != nil || err2 != nil || !os.SameFile(mine, there) {
		return ErrGone
	}
	return nil
}

// Unlock gives the lock back. The file stays.
func (l *Lock) Unlock() { _ = l.f.Close() }
