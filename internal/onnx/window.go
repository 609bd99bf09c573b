package onnx

import (
	"fmt"
	"io"
)

// pageSize is what a walk holds of the file at a time. A name that is read in
// one piece fits.
const pageSize = 64 << 10

// span is a range of bytes of the file.
type span struct{ start, end int64 }

func (s span) len() int64 { return s.end - s.start }

// window reads a file through one page. After an error it returns nothing more
// and err says why.
type window struct {
	r    io.ReaderAt
	size int64
	page []byte
	off  int64 // where the page lies in the file
	err  error
}

func newWindow(r io.ReaderAt, size int64) *window {
	return &window{r: r, size: size, page: make([]byte, 0, min(pageSize, max(size, 1)))}
}

// at returns n bytes at off, fewer where the file ends; they are valid until
// the next call. n is at most pageSize.
func (w *window) at(off int64, n int) []byte {
	n = int(min(int64(n), w.size-off))
	if n <= 0 || w.err != nil {
		return nil
	}
	if off < w.off || off+int64(n) > w.off+int64(len(w.page)) {
		w.load(off)
	}
	if w.err != nil {
		return nil
	}
	i := off - w.off
	return w.page[i : i+int64(n)]
}

func (w *window) load(off int64) {
	w.off, w.page = off, w.page[:min(int64(cap(w.page)), w.size-off)]
	if n, err := w.r.ReadAt(w.page, off); n < len(w.page) {
		w.page = w.page[:0]
		w.err = fmt.Errorf("read the model at byte %d: %w", off+int64(n), err)
	}
}
