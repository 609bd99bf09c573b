package bundle_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/fault"
)

// folder is a sink over a real directory.
type folder string

func (d folder) Create(name string) (io.WriteCloser, error) {
	path := filepath.Join(string(d), filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

const (
	signature = `{"inputs":[{"name":"x","type":"float64","feed":"x"}],"outputs":[{"name":"prediction","kind":"value"}]}`
	requests  = `{"id":"a","why":"hold-out","body":{"instances":[{"x":1}]}}` + "\n" +
		`{"id":2,"why":"boundary","body":{"inputs":{"x":[2]}}}` + "\n"
	answers = `{"id":"a","predictions":[{"prediction":1.5}]}` + "\n" + `{"id":2,"outputs":{"prediction":[2.5]}}` + "\n"
)

// penguins returns the files of a whole bundle, without the manifest.
func penguins(t testing.TB) map[string]string {
	return map[string]string{
		"model.onnx":               "not looked at here",
		"signature.json":           signature,
		"profile.json":             `{"inputs":{"x":{"bins":[1,2]}}}`,
		"environment.json":         `{"python":"3.11"}`,
		"README.md":                "# penguins\n",
		"golden/requests.jsonl.gz": packed(t, requests),
		"golden/answers.jsonl.gz":  packed(t, answers),
	}
}

func packed(t testing.TB, text string) string {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	if _, err := zip.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func digest(data string) string {
	sum := sha256.Sum256([]byte(data))
	return hex.EncodeToString(sum[:])
}

// manifest lists the files as they are.
func manifest(t testing.TB, files map[string]string) string {
	t.Helper()
	list := map[string]any{}
	for name, data := range files {
		list[name] = map[string]any{"size": len(data), "sha256": digest(data)}
	}
	raw, err := json.Marshal(map[string]any{
		"bundle": 1, "name": "penguins", "task": "classification", "tags": map[string]string{"team": "birds"},
		"metrics": map[string]any{"accuracy": 0.98, "rows": 344}, "kit": "tenon-kit 0.1", "created": "2026-01-01T00:00:00Z",
		"files": list, "later": []int{1},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// entry is one header and its data in a tar.
type entry struct {
	header tar.Header
	data   string
}

func file(name, data string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(data)), Mode: 0o644}, data}
}

// entries is the whole bundle in a tar's order: the manifest first.
func entries(t testing.TB, files map[string]string) []entry {
	list := []entry{file("manifest.json", manifest(t, files))}
	for _, name := range []string{
		"model.onnx", "signature.json", "profile.json", "environment.json", "README.md",
		"golden/requests.jsonl.gz", "golden/answers.jsonl.gz",
	} {
		if data, ok := files[name]; ok {
			list = append(list, file(name, data))
		}
	}
	return list
}

func pack(t testing.TB, list ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range list {
		if err := w.WriteHeader(&e.header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// unpack writes files and their manifest into a new folder.
func unpack(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "manifest.json", manifest(t, files))
	for name, data := range files {
		put(t, dir, name, data)
	}
	return dir
}

func put(t testing.TB, dir, name, data string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// refused checks that err is the fault of a broken bundle and says this.
func refused(t testing.TB, err error, says string) {
	t.Helper()
	f := fault.As(err)
	if f == nil || f.Kind != fault.Unprocessable || f.Code != fault.InvalidBundle {
		t.Errorf("got %v, want a fault of code %s", err, fault.InvalidBundle)
		return
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("the fault says\n\t%v\nand not\n\t%s", err, says)
	}
}

var _ bundle.Sink = folder("")
