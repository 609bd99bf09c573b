package registry

import (
	"context"
	"errors"
	"time"

	"github.com/tenon-ml/tenon/internal/durable"
)

// Between the moment when a writer has its blobs and the moment when its
// record names them, they look like ones that nobody needs. A writer therefore
// holds a share of a lock from before its first blob until its record is
// committed, and a collection removes only while it holds the whole of it:
//
//   - Whatever record a collection does not see is of a writer that begins when
//     the collection has let go. That one finds its blobs gone, and places them.
//   - Whatever record it sees, it has made lasting (syncLog) before it removes
//     what the record gives up, so that no power cut brings a version back
//     without its files.
//
// Writers of earlier releases, and other programs, take no share. For them
// there is the grace period: they touch the blobs that they find.
//
// Shares may overlap for ever, so there is a gate before the lock. Writers pass
// it in a moment; a collection that has closed it has only to wait for those
// that are in. All locks end with their process.
const (
	gateFile    = "collect.gate"
	collectLock = "collect.lock"
)

// relying holds off collections until done is called. It waits for one that is
// at work, a moment, unless ctx ends. Faults: storage-failed.
func (s *Store) relying(ctx context.Context) (done func(), err error) {
	var share *durable.Lock
	err = untilFree(ctx, func() error {
		gate, err := s.disk.TryShare(s.path(gateFile))
		if err != nil {
			return err
		}
		defer gate.Unlock()
		share, err = s.disk.TryShare(s.path(collectLock))
		return err
	})
	if err != nil {
		return nil, err
	}
	return share.Unlock, nil
}

// alone waits until nobody relies on blobs without a record, and keeps it so
// until done is called.
func (s *Store) alone(ctx context.Context) (done func(), err error) {
	var gate, whole *durable.Lock
	err = untilFree(ctx, func() (err error) {
		gate, err = s.disk.TryLock(s.path(gateFile))
		return err
	})
	if err != nil {
		return nil, err
	}
	err = untilFree(ctx, func() (err error) {
		whole, err = s.disk.TryLock(s.path(collectLock))
		return err
	})
	if err != nil {
		gate.Unlock()
		return nil, err
	}
	return func() { whole.Unlock(); gate.Unlock() }, nil
}

// untilFree tries to take a lock until nobody else holds it, or ctx ends.
func untilFree(ctx context.Context, try func() error) error {
	const pause = 2 * time.Millisecond
	for {
		err := try()
		if !errors.Is(err, durable.ErrLocked) {
			return storage(err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
