package bundle_test

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/tenon-ml/tenon/internal/bundle"
)

// discard is a sink that keeps nothing.
type discard struct{ io.Writer }

func (d discard) Create(string) (io.WriteCloser, error) { return d, nil }
func (d discard) Close() error                          { return nil }

// TestReceiveHoldsNoFileInMemory passes 256 MB through: what was allocated on
// the way, collected or not, stays far below that.
func TestReceiveHoldsNoFileInMemory(t *testing.T) {
	const size = 256 << 20
	sum := sha256.New()
	if _, err := io.CopyN(sum, &repeat{data: make([]byte, 1<<16)}, size); err != nil {
		t.Fatal(err)
	}
	raw := fmt.Sprintf(`{"bundle":1,"files":{"model.onnx":{"size":%d,"sha256":"%s"}}}`, size, hex.EncodeToString(sum.Sum(nil)))
	r, w := io.Pipe()
	go func() {
		out := tar.NewWriter(w)
		err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "manifest.json", Size: int64(len(raw))})
		if err == nil {
			_, err = io.WriteString(out, raw)
		}
		if err == nil {
			err = out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "model.onnx", Size: size})
		}
		if err == nil {
			_, err = io.CopyN(out, &repeat{data: make([]byte, 1<<16)}, size)
		}
		if err == nil {
			err = out.Close()
		}
		w.CloseWithError(err)
	}()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := bundle.Receive(r, discard{io.Discard}, bundle.Limits{}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Errorf("%d bytes were allocated for a file of %d", grown, size)
	}
}
