package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/tenon-ml/tenon/internal/ref"
)

// tempAge is when a temporary file in a log is taken for a dead writer's. One
// lives for milliseconds; removing a live one costs its writer one attempt.
const tempAge = time.Hour

// modelLog is what a Store remembers of one model: the records it has read,
// and the state they fold to. Records never change, so only the ones that
// others appended since have to be read.
type modelLog struct {
	name    string
	writing chan struct{} // holds one token: who has it commits

	mu      sync.Mutex
	records []Record
	state   *State
	folder  bool // the log's folder was made and synced by us
}

func (s *Store) log(name string) *modelLog {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logs[name]
	if l == nil {
		l = &modelLog{name: name, writing: make(chan struct{}, 1)}
		s.logs[name] = l
	}
	return l
}

// <root>/models/<name>/log/00000000000000000007.json
func (s *Store) logDir(name string) string { return s.path("models", name, "log") }

func (s *Store) recordPath(name string, seq int) string {
	return s.path("models", name, "log", fmt.Sprintf("%020d.json", seq))
}

var recordName = regexp.MustCompile(`^([0-9]{20})\.json$`)

// lastRecord is the largest number of a record in a log's folder, 0 where
// there is none.
func lastRecord(dir string) (int, error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	names, err := f.Readdirnames(-1)
	last := 0
	for _, name := range names {
		if m := recordName.FindStringSubmatch(name); m != nil {
			if n, err := strconv.Atoi(m[1]); err == nil {
				last = max(last, n)
			}
		}
	}
	return last, err
}

// State folds the model's log. It is cheap when nothing was appended. Faults:
// invalid-reference, model-not-found, quarantined.
func (s *Store) State(name string) (*State, error) {
	if err := ref.CheckName(name); err != nil {
		return nil, err
	}
	st, err := s.refresh(s.log(name))
	if err == nil && st.Seq == 0 {
		return nil, modelNotFound(name)
	}
	return st, err
}

// Log returns the model's records, oldest first; faults as State's.
func (s *Store) Log(name string) ([]Record, error) {
	if _, err := s.State(name); err != nil {
		return nil, err
	}
	l := s.log(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.records[:len(l.records):len(l.records)], nil
}

// refresh reads the records that are new and folds. A model without records
// has a state with Seq 0. Damage is not remembered: the log is read anew
// until it is whole.
func (s *Store) refresh(l *modelLog) (*State, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	records := l.records
	last, err := 0, error(nil)
	if len(records) == 0 {
		// Listed before it is read: whatever is missing below then is a hole.
		if last, err = lastRecord(s.logDir(l.name)); err != nil {
			return nil, storage(err)
		}
	}
	for {
		r, err := s.readRecord(l.name, len(records)+1)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			l.records, l.state = nil, nil
			return nil, err
		}
		records = append(records, r)
	}
	if len(records) < last {
		return nil, damagedLog(l.name, len(records)+1, errors.New("it is missing"))
	}
	if l.state != nil && len(records) == l.state.Seq {
		return l.state, nil
	}
	st, bad := fold(l.name, records)
	if bad != nil {
		l.records, l.state = nil, nil
		return nil, damagedLog(l.name, bad.seq, bad.why)
	}
	l.records, l.state = records, st
	return st, nil
}

// readRecord returns fs.ErrNotExist, or a fault, or a record that is whole.
func (s *Store) readRecord(name string, seq int) (Record, error) {
	data, err := readSmall(s.recordPath(name, seq), maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, fs.ErrNotExist
	}
	if errors.Is(err, errNotPlain) {
		return Record{}, damagedLog(name, seq, err)
	}
	if err != nil {
		return Record{}, storage(err)
	}
	r, err := unseal(data)
	if err != nil {
		return Record{}, damagedLog(name, seq, err)
	}
	return r, nil
}

var errNotPlain = errors.New("it is not a plain file of the size it should have")

// readSmall reads a plain file of at most limit bytes, never through a link.
func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, errNotPlain
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, errNotPlain
	}
	return io.ReadAll(io.LimitReader(f, limit+1))
}

// decide looks at the state and says what shall be recorded: a record with
// its kind and its kind's member, or nil where nothing is left to do. It is
// called again whenever another writer was faster.
type decide func(*State) (*Record, error)

// commit appends one record. It returns the record, nil when decide had none,
// only once it, or what decide saw, would survive a power cut. A change whose
// key is in the log already is a *Repeated.
func (s *Store) commit(ctx context.Context, name string, by Stamp, next decide) (*Record, error) {
	l := s.log(name)
	select {
	case l.writing <- struct{}{}:
		defer func() { <-l.writing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for ctx.Err() == nil {
		st, err := s.refresh(l)
		if err != nil {
			return nil, err
		}
		if err := s.repeated(l, st, by); err != nil {
			return nil, err
		}
		r, err := next(st)
		if err != nil {
			return nil, err
		}
		if r == nil {
			// Another process may have written what we saw and not synced it yet.
			return nil, storage(s.syncLog(l))
		}
		if err := s.stamp(st, r, by); err != nil {
			return nil, err
		}
		won, err := s.append(l, r)
		if err != nil {
			return nil, err
		}
		if won {
			return r, nil
		}
	}
	return nil, ctx.Err()
}

// stamp fills in what every record carries.
func (s *Store) stamp(st *State, r *Record, by Stamp) (err error) {
	r.Seq, r.Model, r.Prev, r.Time = st.Seq+1, st.Name, st.tip, s.now().UTC()
	r.Actor, r.RequestID = clip(by.Actor), clip(by.RequestID)
	r.Key, r.Request = by.Key, by.Request
	r.Nonce, err = s.random()
	return err
}

// append creates the record's file and reports whether it is ours. What the
// disk answered does not count, only what is there afterwards: a link may
// have worked although an error was reported, and over some file systems even
// "exists" can be the echo of our own success.
func (s *Store) append(l *modelLog, r *Record) (won bool, err error) {
	data, err := seal(r)
	if err != nil {
		return false, err
	}
	if err := s.logFolder(l); err != nil {
		return false, storage(err)
	}
	path := s.recordPath(l.name, r.Seq)
	failed := s.disk.Create(path, data)
	if failed == nil {
		return true, nil
	}
	there, err := readSmall(path, maxRecord)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, storage(failed)
	case err != nil && !errors.Is(err, errNotPlain):
		return false, unclear(errors.Join(failed, err))
	case !bytes.Equal(there, data): // the nonce makes them differ
		return false, nil
	}
	if err := s.syncLog(l); err != nil {
		return false, unclear(errors.Join(failed, err))
	}
	return true, nil
}

// logFolder makes the model's folders, once in the life of a Store, and sweeps
// what dead writers left in the log.
func (s *Store) logFolder(l *modelLog) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.folder {
		return nil
	}
	dir := s.logDir(l.name)
	if err := s.disk.MkdirAll(s.path("models"), dir); err != nil {
		return err
	}
	if err := s.disk.SweepTemps(dir, s.now().Add(-tempAge)); err != nil {
		return err
	}
	l.folder = true
	return nil
}

// syncLog makes what is in the log's folder last, and the folder itself.
func (s *Store) syncLog(l *modelLog) error {
	if err := s.logFolder(l); err != nil {
		return err
	}
	return s.disk.SyncDir(s.logDir(l.name))
}

// Stamp says who asks and by which request; every record carries it.
type Stamp struct {
	Actor, RequestID string
	// Key, where given, makes a change happen once however often it is asked
	// for: the second time is a *Repeated. It is at most 128 printable ASCII
	// characters, and Request a digest of what is asked for.
	Key, Request string
}

// clip bounds text that callers may have from outside. 256 bytes hold any
// sensible name; a record has a limit to keep.
func clip(text string) string {
	const most = 256
	return text[:min(len(text), most)]
}
