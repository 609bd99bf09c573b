package capture

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tenon-ml/tenon/internal/durable"
)

// tempAge is when a temporary file is taken for a dead writer's. One lives for
// milliseconds; removing a live one costs its writer one attempt.
const tempAge = time.Hour

// folder holds the segments of one model: <registry>/captures/<model>/
type folder struct {
	base  string // of all models
	dir   string
	most  int64 // bytes
	disk  *durable.Disk
	clock func() time.Time
}

// folder is that of a model whose name the registry has checked.
func (r *Recorder) folder(model string) folder {
	return folder{r.Dir, filepath.Join(r.Dir, model), r.MaxBytes, r.Disk, r.Now}
}

// write puts a segment on the disk, in the place of what was there of it, and
// makes room for it first.
func (f folder) write(s *segment) error {
	if s.file != "" && !exists(filepath.Join(f.dir, s.file)) {
		s.forget() // erased, or pushed out, by another server
	}
	if s.written == len(s.lines) {
		return nil
	}
	if err := f.make(); err != nil {
		return err
	}
	content, file := s.content(), s.fileName()
	if err := f.room(int64(len(content)), s.name); err != nil {
		return err
	}
	if err := f.disk.CreatePrivate(filepath.Join(f.dir, file), content); err != nil {
		return err
	}
	before := s.file
	s.written, s.file = len(s.lines), file
	if before == "" {
		return nil
	}
	return f.disk.Remove(filepath.Join(f.dir, before))
}

func (f folder) make() error {
	if err := f.disk.MkdirAll("", f.base); err != nil {
		return err
	}
	if err := f.disk.MkdirAll(f.base, f.dir); err != nil {
		return err
	}
	return f.disk.SweepTemps(f.dir, f.clock().Add(-tempAge))
}

// room removes the oldest segments until there is space for so many bytes more.
// Files of the segment that is about to be written again are not among them.
func (f folder) room(bytes int64, own string) error {
	list, superseded, err := f.list()
	if err != nil {
		return err
	}
	list = slices.Concat(superseded, list) // the writers of these died before they removed them
	total := bytes
	for _, s := range list {
		total += s.bytes
	}
	for _, s := range list {
		if total <= f.most {
			return nil
		}
		if s.segment == own {
			continue
		}
		if err := f.disk.Remove(filepath.Join(f.dir, s.file)); err != nil {
			return err
		}
		total -= s.bytes
	}
	return nil
}

// list returns the segments on the disk, the oldest first, and the files that
// hold less of one of them than another does.
func (f folder) list() (list, superseded []stored, err error) {
	entries, err := os.ReadDir(f.dir) // by name, and so by age
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	for _, e := range entries {
		s, ok := parseName(e.Name())
		info, err := e.Info()
		if !ok || err != nil || !info.Mode().IsRegular() {
			continue // not ours, or gone by now
		}
		s.bytes = info.Size()
		if n := len(list); n > 0 && list[n-1].segment == s.segment {
			superseded = append(superseded, list[n-1])
			list = list[:n-1]
		}
		list = append(list, s)
	}
	return list, superseded, nil
}

// remove removes all that is kept.
func (f folder) remove() error {
	if !exists(f.dir) {
		return nil
	}
	if err := f.disk.RemoveAll(f.dir); err != nil {
		return err
	}
	return f.disk.SyncDir(f.base)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
