package durable

import (
	"errors"
	"os"
	"syscall"
)

// ErrLocked says that somebody else holds the lock.
var ErrLocked = errors.New("the lock is held by another owner")

// ErrGone says that the lock's file was removed while it was being taken: a
// sweeper came first. Take another name.
var ErrGone = errors.New("the lock's file was removed while the lock was taken")

// Lock is an exclusive lock on a file (flock). It is held until Unlock or
// until the process ends, in whatever way it ends.
type Lock struct{ f *os.File }

// TryLock takes the lock on the file at path, which it creates, and never
// waits: where another owner holds it the error is ErrLocked. Owners in one
// process exclude each other too.
func (d *Disk) TryLock(path string) (*Lock, error) {
	var lock *Lock
	err := d.call(OpLock, path, func() (err error) {
		lock, err = tryLock(path)
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

func tryLock(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return &Lock{f}, nil
}

// flock locks f and makes sure that path still leads to f: a sweeper may have
// held the lock and removed the file between our open and our lock.
func flock(f *os.File) error {
	err := error(syscall.EINTR)
	for errors.Is(err, syscall.EINTR) {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
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
