package ort_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/runtime/ort"
)

// library is the file's name in the PyPI package, on this system and for a
// release.
func library(release string) string {
	if runtime.GOOS == "darwin" {
		return "libonnxruntime." + release + ".dylib"
	}
	return "libonnxruntime.so." + release
}

func put(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFindLibraryHasAnOrder puts the library into all places and takes away
// the one that was found until none is left.
func TestFindLibraryHasAnOrder(t *testing.T) {
	file := library(ort.Release)
	for name, root := range map[string]string{"plain": t.TempDir(), "signs of a pattern": filepath.Join(t.TempDir(), "a[b]*?")} {
		t.Run(name, func(t *testing.T) {
			work, app, env := filepath.Join(root, "work"), filepath.Join(root, "app"), filepath.Join(root, "env")
			inEnv := filepath.Join("lib", "python3.11", "site-packages", "onnxruntime", "capi", file)
			s := ort.Search{Executable: filepath.Join(app, "bin", "tenon"), WorkDir: work, VirtualEnv: env}
			order := []string{
				filepath.Join(app, "bin", file),
				filepath.Join(work, "var", file),
				filepath.Join(work, "var", "lib", file),
				filepath.Join(work, "var", "venv", inEnv),
				filepath.Join(app, "bin", "var", file),
				filepath.Join(app, "bin", "var", "lib", file),
				filepath.Join(app, "bin", "var", "venv", inEnv),
				filepath.Join(app, "var", file),
				filepath.Join(app, "var", "lib", file),
				filepath.Join(app, "var", "venv", inEnv),
				filepath.Join(env, inEnv),
			}
			for _, path := range order {
				put(t, path)
			}
			for _, want := range order {
				if got, err := ort.FindLibrary(s); err != nil || got != want {
					t.Fatalf("got %q, %v, want %q", got, err, want)
				}
				if err := os.Remove(want); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := ort.FindLibrary(s); err == nil {
				t.Errorf("found %q where there is none", got)
			}
		})
	}
}

func TestFindLibraryTakesNoOtherRelease(t *testing.T) {
	root := t.TempDir()
	for _, release := range []string{"1.31.0", "1.32.1", "1.32.0.1", "1"} {
		put(t, filepath.Join(root, "var", library(release)))
	}
	put(t, filepath.Join(root, "var", "libonnxruntime.so"))
	got, err := ort.FindLibrary(ort.Search{Executable: filepath.Join(root, "bin", "tenon"), WorkDir: root})
	if err == nil {
		t.Fatalf("found %q", got)
	}
	for _, part := range []string{ort.Release, "make build", "scripts/fetch-onnxruntime", "TENON_RUNTIME_LIBRARY", "runtime.library", library(ort.Release)} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %q", err, part)
		}
	}
	if _, err := os.Stat(filepath.Join("..", "..", "scripts", "fetch-onnxruntime")); err != nil {
		t.Errorf("the sentence names a command that is not there: %v", err)
	}
}

func TestFindLibraryKeepsToTheConfigured(t *testing.T) {
	root := t.TempDir()
	put(t, filepath.Join(root, "var", library(ort.Release)))
	other := filepath.Join(root, "other", "lib.so")
	s := ort.Search{Configured: other, WorkDir: root}
	got, err := ort.FindLibrary(s)
	if err == nil || !strings.Contains(err.Error(), other) || !strings.Contains(err.Error(), "runtime.library") {
		t.Errorf("got %q, %v, want an error that names the key and its value", got, err)
	}
	put(t, other)
	if got, err := ort.FindLibrary(s); err != nil || got != other {
		t.Errorf("got %q, %v", got, err)
	}
}
