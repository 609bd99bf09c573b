package child

import (
	"os"
	"path/filepath"
	"testing"
)

func TestModelBytesCountsWeightsBesideTheGraph(t *testing.T) {
	folder := t.TempDir()
	for name, size := range map[string]int{"model.onnx": 100, "weights.bin": 1000} {
		if err := os.WriteFile(filepath.Join(folder, name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(folder, "golden", "deeper"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := ModelBytes(folder); got != 1100 {
		t.Errorf("%d bytes", got)
	}
	if got := ModelBytes(filepath.Join(folder, "absent")); got != 0 {
		t.Errorf("%d bytes of no folder", got)
	}
}
