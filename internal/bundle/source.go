package bundle

import (
	"bytes"
	"errors"
	"io"
)

const (
	// blockSize is tar's unit.
	blockSize = 512
	// maxPadding is what may follow a tar's end mark: GNU tar fills up to its
	// blocking factor, 10 KiB unless told otherwise, 1 MiB for old tapes.
	maxPadding = 1 << 20
)

// rawLimit is how many bytes a tar within the limits can have: headers take up
// to a few KiB a file (long names, PAX records).
func rawLimit(l Limits) int64 {
	return l.Bytes + int64(l.Files+3)*8*blockSize + 2*maxPadding
}

// source reads an upload, keeps its first bytes, the number of them and the
// first error, so that a broken connection is never taken for a broken file.
type source struct {
	r    io.Reader
	left int64 // bytes that may still come
	read int64
	head []byte
	err  error // not io.EOF
}

var errOverLimit = errors.New("over the limit")

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.left <= 0 {
		return 0, errOverLimit
	}
	n, err := s.r.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	s.read += int64(n)
	if len(s.head) < 8 {
		s.head = append(s.head, p[:min(n, 8)]...)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// looksLike names what the upload is instead of a tar, where that is plain.
func (s *source) looksLike() string {
	switch {
	case bytes.HasPrefix(s.head, []byte("\x1f\x8b")):
		return " but gzip, which is named by Content-Encoding and not understood inside"
	case bytes.HasPrefix(s.head, []byte("PK")):
		return " but a zip archive"
	case bytes.HasPrefix(s.head, []byte("\x28\xb5\x2f\xfd")):
		return " but zstd"
	case len(s.head) > 1 && s.head[0] == 0x08 && s.head[1] < 0x20:
		return " but perhaps a bare ONNX model, which is sent as application/octet-stream"
	}
	return ""
}
