package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
)

var by = Stamp{Actor: "ada", RequestID: "req-1"}

func open(t testing.TB, root string) *Store {
	t.Helper()
	s, err := Open(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// bundleOf returns a small bundle: two files and the manifest that lists them.
// Bundles of different seeds differ in everything but the golden file.
func bundleOf(seed string) map[string]string {
	files := map[string]string{"model.onnx": "graph " + seed, "golden/requests.jsonl.gz": "rows"}
	manifest := listed{Files: map[string]struct {
		Size   int64  `json:"size"`
		SHA256 string `json:"sha256"`
	}{}}
	for name, content := range files {
		f := manifest.Files[name]
		f.Size, f.SHA256 = int64(len(content)), hexSum(content)
		manifest.Files[name] = f
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		panic(err)
	}
	files[Manifest] = string(text)
	return files
}

func hexSum(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// stage puts files into a new upload.
func stage(s *Store, files map[string]string) (*Ingest, error) {
	in, err := s.Ingest()
	if err != nil {
		return nil, err
	}
	for label, content := range files {
		f, err := in.Create(label)
		if err == nil {
			_, err = io.WriteString(f, content)
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			return in, err
		}
	}
	return in, nil
}

// push is a whole upload of one bundle, as lifecycle does it.
func push(s *Store, name, seed string) (Version, error) {
	in, err := stage(s, bundleOf(seed))
	if in != nil {
		defer func() { _ = in.Discard() }()
	}
	if err != nil {
		return Version{}, err
	}
	return s.AddVersion(context.Background(), name, in, NewVersion{Parity: ParityNotProven}, by)
}

func pushed(t testing.TB, s *Store, name, seed string) Version {
	t.Helper()
	v, err := push(s, name, seed)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func deployed(t testing.TB, s *Store, name string, stable int) Deployment {
	t.Helper()
	d, err := s.Deploy(context.Background(), name, NewDeployment{Traffic: wire.Stable(stable)}, by)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func state(t testing.TB, s *Store, name string) *State {
	t.Helper()
	st, err := s.State(name)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func wantFault(t testing.TB, err error, code fault.Code) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("got %v, want a fault %s", err, code)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// flip turns one bit of a file around, keeping mode and everything else.
func flip(t testing.TB, path string, bit int) {
	t.Helper()
	data := []byte(read(t, path))
	data[bit/8%len(data)] ^= 1 << (bit % 8)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// ingests counts the uploads on disk.
func ingests(t testing.TB, root string) int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, "ingest"))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
