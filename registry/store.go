package registry

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/internal/durable"
	"github.com/tenon-ml/tenon/internal/ref"
)

// Options are what a Store takes from outside. The zero value is right
// outside of tests.
type Options struct {
	Now  func() time.Time // nil: time.Now
	Rand io.Reader        // for ids and nonces; nil: crypto/rand
	Disk *durable.Disk    // nil: the real disk
}

// Store is an open registry. It is safe for concurrent use, and several may
// be open on one folder, in one process or in several. It holds no files open
// and needs no closing.
type Store struct {
	root string
	id   string
	now  func() time.Time
	disk *durable.Disk

	randMu sync.Mutex
	rand   io.Reader

	mu    sync.Mutex
	logs  map[string]*modelLog
	sound map[string]seen // blobs whose hash was found right, by hex digest
}

// Open opens the registry at root, or makes one where there is none. It
// refuses a file system that cannot keep what it acknowledges and a registry
// of a newer format, in a sentence each, and removes what uploads of dead
// processes left behind. cmd calls it once.
func Open(root string, opts Options) (*Store, error) {
	s, err := openUnswept(root, opts)
	if err != nil {
		return nil, err
	}
	return s, s.sweep()
}

func openUnswept(root string, opts Options) (*Store, error) {
	s := newStore(opts)
	var err error
	if s.root, err = s.makeRoot(root); err != nil {
		return nil, err
	}
	if err := s.disk.Probe(s.root); err != nil {
		return nil, err
	}
	if s.id, err = s.readOrWriteFormat(); err != nil {
		return nil, err
	}
	for _, dir := range []string{"blobs/sha256", "models", "view", "ingest"} {
		if err := s.disk.MkdirAll(s.root, s.path(dir)); err != nil {
			return nil, err
		}
	}
	done, err := s.relying(context.Background()) // makes the files of the locks
	if err != nil {
		return nil, err
	}
	done()
	return s, nil
}

// Inspect opens a registry only to read it, whatever state it is in, and
// changes nothing: every method that would write fails. `tenon verify` and
// other commands that work beside a running server call it.
func Inspect(root string) (*Store, error) {
	refuse := func(op durable.Op, path string, _ func() error) error {
		return fmt.Errorf("%s %s: %w", op, path, errReadOnly)
	}
	s := newStore(Options{Disk: &durable.Disk{Call: refuse}})
	var err error
	if s.root, err = filepath.EvalSymlinks(root); err != nil {
		return nil, err
	}
	if s.id, err = s.readFormat(); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the folder %s is not a registry: it holds no file named format", s.root)
	}
	return s, err
}

var errReadOnly = errors.New("the registry is open for reading only")

func newStore(opts Options) *Store {
	s := &Store{
		now: opts.Now, rand: opts.Rand, disk: opts.Disk,
		logs: map[string]*modelLog{}, sound: map[string]seen{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.rand == nil {
		s.rand = rand.Reader
	}
	return s
}

// ID is the registry's own random name, given when it was made.
func (s *Store) ID() string { return s.id }

// Models lists, sorted, the names of the models that have at least one
// record, those in quarantine too.
func (s *Store) Models() ([]string, error) {
	entries, err := os.ReadDir(s.path("models"))
	if err != nil {
		return nil, storage(err)
	}
	var names []string
	for _, e := range entries {
		if !ref.ValidName(e.Name()) || !e.IsDir() {
			continue
		}
		last, err := lastRecord(s.logDir(e.Name()))
		if err != nil {
			return nil, storage(err)
		}
		if last > 0 {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// makeRoot makes the folder where it is missing, for its owner only, and
// returns its absolute path without symbolic links.
func (s *Store) makeRoot(root string) (string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) {
		if err := s.disk.MkdirAll("", root); err != nil {
			return "", err
		}
	}
	return filepath.EvalSymlinks(root)
}

// path is for the fixed names of the layout; whoever joins a name that came
// from outside has checked it before.
func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.root}, elem...)...)
}

// random returns 16 random bytes as 32 hex digits.
func (s *Store) random() (string, error) {
	var b [16]byte
	s.randMu.Lock()
	defer s.randMu.Unlock()
	if _, err := io.ReadFull(s.rand, b[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(b[:]), nil
}
