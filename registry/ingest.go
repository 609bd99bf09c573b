package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/tenon-ml/tenon/internal/durable"
)

// Ingest is one upload under way: a folder of its own, held by a lock that
// ends with the process, so that nobody sweeps it before. It is safe for
// concurrent use; the files it creates are each for one goroutine.
type Ingest struct {
	store *Store
	dir   string
	lock  *durable.Lock

	mu     sync.Mutex
	files  []StagedFile
	open   map[*ingestFile]struct{}
	labels map[string]bool
	gone   bool
}

// StagedFile is one file of an upload, complete and synced.
type StagedFile struct {
	Label  string // its name in the manifest
	Size   int64  // bytes
	SHA256 string // 64 hex digits

	path string
}

// <root>/ingest/<upload>/lock
const lockName = "lock"

// Ingest begins an upload. The caller discards it in every case; what
// AddVersion took out of it stays.
func (s *Store) Ingest() (*Ingest, error) {
	// A sweeper that finds the folder before it is locked takes it for a dead
	// one, and then another is made. More than a few times is no coincidence.
	var err error
	for range 10 {
		var in *Ingest
		if in, err = s.newIngest(); err == nil {
			return in, nil
		}
		swept := errors.Is(err, durable.ErrGone) || errors.Is(err, durable.ErrLocked) || errors.Is(err, os.ErrNotExist)
		if !swept {
			break
		}
	}
	return nil, storage(err)
}

func (s *Store) newIngest() (*Ingest, error) {
	id, err := s.random()
	if err != nil {
		return nil, err
	}
	dir := s.path("ingest", id)
	if err := s.disk.Mkdir(dir); err != nil {
		return nil, err
	}
	lock, err := s.disk.TryLock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	return &Ingest{
		store: s, dir: dir, lock: lock,
		open: map[*ingestFile]struct{}{}, labels: map[string]bool{},
	}, nil
}

// Create begins a file. The label is the name that the manifest gives it; on
// disk the file has a name of our own. Faults: invalid-bundle for a label
// that is odd or there already, storage-failed, which Write and Close return
// too. Close syncs the file and makes it one of the upload's; after a failed
// Write or Close it is none of them.
func (in *Ingest) Create(label string) (io.WriteCloser, error) {
	if err := checkLabel(label); err != nil {
		return nil, invalidBundle("%v", err)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.gone {
		return nil, errDiscarded
	}
	if in.labels[label] {
		return nil, invalidBundle("the upload holds the file %q twice; send each file once", label)
	}
	f, err := in.store.disk.Temp(in.dir)
	if err != nil {
		return nil, storage(err)
	}
	in.labels[label] = true
	file := &ingestFile{in: in, label: label, file: f, hash: sha256.New()}
	in.open[file] = struct{}{}
	return file, nil
}

var errDiscarded = errors.New("the upload was discarded")

// Files lists the files that are complete, in the order of their closing.
func (in *Ingest) Files() []StagedFile {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.files)
}

// find returns the complete file of that label.
func (in *Ingest) find(label string) (StagedFile, bool) {
	for _, f := range in.Files() {
		if f.Label == label {
			return f, true
		}
	}
	return StagedFile{}, false
}

// Discard ends the upload and removes its folder, with the view of it. It may
// be called twice, and at any time.
func (in *Ingest) Discard() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.gone {
		return nil
	}
	in.gone = true
	for f := range in.open {
		_ = f.file.Close()
	}
	err := in.store.disk.RemoveAll(in.dir)
	in.lock.Unlock() // after the folder is gone, so that no sweeper meets half of it
	return storage(err)
}

// ingestFile is a file of an upload that is being written.
type ingestFile struct {
	in    *Ingest
	label string
	file  *durable.File
	hash  hash.Hash
	size  int64
	err   error
	done  bool
}

// Write appends p to the file and to its hash. The fault is storage-failed.
func (f *ingestFile) Write(p []byte) (int, error) {
	if f.done {
		return 0, fmt.Errorf("the file %q is closed", f.label)
	}
	n, err := f.file.Write(p)
	f.hash.Write(p[:n])
	f.size += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		f.err = storage(err)
	}
	return n, f.err
}

// Close syncs the file and makes it one of the upload's. After a failed Write
// or Close the file is none of the upload's, and the error is that fault.
func (f *ingestFile) Close() error {
	if f.done {
		return f.err
	}
	f.done = true
	in := f.in
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.open, f)
	if in.gone {
		f.err = errDiscarded
		return f.err
	}
	if f.err == nil {
		f.err = storage(f.file.Seal())
	}
	if f.err != nil {
		_ = f.file.Discard()
		delete(in.labels, f.label)
		return f.err
	}
	in.files = append(in.files, StagedFile{f.label, f.size, hex.EncodeToString(f.hash.Sum(nil)), f.file.Name()})
	return nil
}

// sweep removes what dead processes left: uploads, and files under way.
func (s *Store) sweep() error {
	entries, err := os.ReadDir(s.path("ingest"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, err := s.sweepUpload(e.Name()); err != nil {
			return err
		}
	}
	return s.disk.SweepTemps(s.root, s.now().Add(-tempAge))
}

// sweepUpload removes an upload whose owner has died, that is, whose lock is
// free, and reports whether it did.
func (s *Store) sweepUpload(name string) (bool, error) {
	dir := s.path("ingest", name)
	lock, err := s.disk.TryLock(filepath.Join(dir, lockName))
	if err != nil {
		return false, nil //nolint:nilerr // in use, or another sweeper is at it
	}
	defer lock.Unlock()
	return true, s.disk.RemoveAll(dir)
}
