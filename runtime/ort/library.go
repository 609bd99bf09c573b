package ort

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Release is the ONNX Runtime release that tenon is built against and that the
// kit's environment pins.
const Release = "1.32.0"

// Search says where FindLibrary looks, in its order.
type Search struct {
	Configured string // runtime.library; when set, nothing else is tried
	Executable string // the server's own path
	WorkDir    string // the folder that holds var/
	VirtualEnv string // an activated Python environment, or empty
}

// FindLibrary returns the path of ONNX Runtime's shared library: the
// configured one, else the first of: beside the executable, in var/ beside or
// above it, in the Python environment at hand. The error names the commands
// that put it there.
func FindLibrary(s Search) (string, error) {
	if s.Configured != "" {
		if _, err := os.Stat(s.Configured); err != nil {
			return "", fmt.Errorf("runtime.library is %s, which cannot be opened (%w): "+
				"correct the key, or leave it empty to search", s.Configured, err)
		}
		return s.Configured, nil
	}
	for _, pattern := range s.patterns() {
		found, err := filepath.Glob(pattern)
		if err == nil && len(found) > 0 {
			slices.Sort(found)
			return found[len(found)-1], nil
		}
	}
	return "", fmt.Errorf("ONNX Runtime %s was not found beside the server, in var/ or in a Python environment: "+
		"run `make build`, or `scripts/fetch-onnxruntime`, or set TENON_RUNTIME_LIBRARY (runtime.library in the settings) "+
		"to the path of %s", Release, fileName())
}

// patterns lists the places in order of preference. A library whose version is
// not Release is not taken: answers would be proven on one and served by another.
func (s Search) patterns() []string {
	inPackage := filepath.Join("lib", "python3*", "site-packages", "onnxruntime", "capi", fileName())
	beside := filepath.Dir(s.Executable)
	patterns := []string{filepath.Join(literal(beside), fileName())}
	for _, dir := range []string{literal(s.WorkDir), literal(beside), literal(filepath.Dir(beside))} {
		patterns = append(patterns,
			filepath.Join(dir, "var", fileName()),
			filepath.Join(dir, "var", "lib", fileName()),
			filepath.Join(dir, "var", "venv", inPackage))
	}
	if s.VirtualEnv != "" {
		patterns = append(patterns, filepath.Join(literal(s.VirtualEnv), inPackage))
	}
	return patterns
}

// literal quotes what Glob would take for a pattern in a folder's name.
func literal(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

func fileName() string {
	if runtime.GOOS == "darwin" {
		return "libonnxruntime." + Release + ".dylib"
	}
	return "libonnxruntime.so." + Release
}
