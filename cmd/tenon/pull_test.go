package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPullThrowsAwayWhatIsNotTheBundle: servers that send something else, or
// not all of it.
func TestPullThrowsAwayWhatIsNotTheBundle(t *testing.T) {
	whole, err := testBundle{name: "demo"}.tar()
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[bytes.Index(flipped, []byte("Identity"))] ^= 1
	for name, c := range map[string]struct {
		body []byte
		says string
	}{
		"another bundle": {whole, "and the server says sha256:0"},
		"a flipped bit":  {flipped, "model.onnx"},
		"not all of it":  {whole[:len(whole)/2], "cut off"},
		"no bundle":      {[]byte("hello"), "no tar"},
		"nothing":        {nil, "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("ETag", `"sha256:0"`)
				_, _ = w.Write(c.body)
			}))
			defer server.Close()
			dir := t.TempDir()
			var out, said bytes.Buffer
			code := run(t.Context(), []string{"pull", "demo/1", "--server", server.URL, "-o", filepath.Join(dir, "demo.tenon")},
				streams{strings.NewReader(""), &out, &said}, fakeEngine)
			if code != exitFailure || !strings.Contains(said.String(), "thrown away") || !strings.Contains(said.String(), c.says) {
				t.Errorf("exit code %d, %s", code, &said)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left %v, %v", left, err)
			}
		})
	}
}
