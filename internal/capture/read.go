package capture

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
)

// Captures says how much of a model is kept.
func (r *Recorder) Captures(model string) (wire.Captures, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.captures(model)
}

func (r *Recorder) captures(model string) (wire.Captures, error) {
	out := wire.Captures{Skipped: r.skipped.Load()}
	list, open, err := r.segments(model)
	if err != nil {
		return out, err
	}
	for _, s := range list {
		out.Requests += s.count
		out.Bytes += s.bytes
		out.Since = earlier(out.Since, s)
	}
	if open != nil && len(open.lines) > 0 {
		s, _ := parseName(open.fileName())
		out.Requests += len(open.lines)
		out.Bytes += open.bytes
		out.Since = earlier(out.Since, s)
	}
	return out, nil
}

// segments lists what is on the disk, without the segment that grows here, and
// that one; r.mu is held.
func (r *Recorder) segments(model string) ([]stored, *segment, error) {
	open := r.open[model]
	list, _, err := r.folder(model).list()
	if open == nil {
		return list, nil, err
	}
	return slices.DeleteFunc(list, func(s stored) bool { return s.segment == open.name }), open, err
}

// Requests returns at most so many of a model's requests, the latest ones, the
// oldest of them first.
func (r *Recorder) Requests(model string, most int) ([]Request, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list, open, err := r.segments(model)
	if err != nil {
		return nil, err
	}
	var all []Request
	if open != nil {
		all = parse(open.content())
	}
	for _, s := range slices.Backward(list) {
		if len(all) >= most {
			break
		}
		data, err := os.ReadFile(filepath.Join(r.Dir, model, s.file))
		if errors.Is(err, fs.ErrNotExist) {
			continue // another server has removed it
		}
		if err != nil {
			return nil, err
		}
		all = append(all, parse(data)...)
	}
	slices.SortStableFunc(all, func(a, b Request) int { return a.Time.Compare(b.Time) })
	return all[max(0, len(all)-most):], nil
}

// parse reads the lines of a segment. One that is damaged is as good as one
// that was never kept.
func parse(data []byte) (list []Request) {
	for line := range bytes.Lines(data) {
		var one Request
		if json.Unmarshal(line, &one) == nil && len(one.Body) > 0 {
			list = append(list, one)
		}
	}
	return list
}

// Erase removes all that is kept of a model and returns how much that was.
// What another server has not written yet, it writes afterwards.
func (r *Recorder) Erase(model string) (wire.Captures, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out, err := r.captures(model)
	if err != nil {
		return out, err
	}
	delete(r.open, model)
	r.erased[model] = r.Now()
	return out, r.folder(model).remove()
}

// earlier is the time of the first request of all.
func earlier(since *time.Time, s stored) *time.Time {
	if since == nil || s.since.Before(*since) {
		return &s.since
	}
	return since
}
