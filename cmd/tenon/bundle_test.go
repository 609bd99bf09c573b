package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/engine/enginetest"
)

// testBundle is a bundle of y = x, rows of two floats, with a golden set.
type testBundle struct {
	name    string
	about   string // makes bundles differ
	model   []byte // nil: the identity
	wrong   bool   // the last two of its golden answers are not x
	without bool   // no golden set
	column  string // its name; "": x
	loose   bool   // held to a tenth
}

// writeBundle is the script command `bundle FILE [wrong] [loose] [endless] [TEXT]`:
// a bundle of the model demo with a right golden set, or with a wrong one; a
// loose one tolerates a tenth, an endless one never answers. Another TEXT is another bundle.
func writeBundle(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: bundle FILE [wrong] [loose] [endless] [TEXT]")
	}
	b := testBundle{name: "demo"}
	for _, word := range args[1:] {
		switch word {
		case "wrong":
			b.wrong = true
		case "loose":
			b.loose = true
		case "endless":
			b.model = endlessModel()
		default:
			if name, ok := strings.CutPrefix(word, "column="); ok {
				b.column = name
			} else {
				b.about = word
			}
		}
	}
	data, err := b.tar()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}

// golden requests: three bodies of two rows each.
const goldenBodies = 3

func (b testBundle) tar() ([]byte, error) {
	column := cmp.Or(b.column, "x")
	files := map[string][]byte{
		"model.onnx": b.model,
		"signature.json": []byte(`{"inputs":[{"name":"` + column + `","type":"float32","shape":[2],"feed":"x0"}],` +
			`"outputs":[{"name":"y","kind":"value","from":"y0","type":"float32","shape":[2]}]}`),
	}
	if b.loose {
		files["signature.json"] = bytes.Replace(files["signature.json"], []byte(`"from":"y0"`), []byte(`"from":"y0","tolerance":{"rel":0.001,"abs":0.1}`), 1)
	}
	if b.model == nil {
		files["model.onnx"] = enginetest.Identity([]tensor.Type{tensor.Float32}, "N", 2).Bytes()
	}
	if !b.without {
		var requests, answers []string
		for i := range goldenBodies {
			right := 4 * i
			if b.wrong && i == goldenBodies-1 {
				right++
			}
			requests = append(requests, fmt.Sprintf(`{"id":"g%d","why":"hold-out","body":{"instances":[{"%s":[%d,1]},{"%s":[%d,2]}]}}`, i, column, 4*i, column, 4*i))
			answers = append(answers, fmt.Sprintf(`{"id":"g%d","predictions":[{"y":[%d,1]},{"y":[%d,2]}]}`, i, right, right))
		}
		files["golden/requests.jsonl.gz"], files["golden/answers.jsonl.gz"] = zipped(requests), zipped(answers)
	}
	return packed(b.name, b.about, files)
}

func zipped(lines []string) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	for _, line := range lines {
		fmt.Fprintln(z, line)
	}
	_ = z.Close() // to memory
	return out.Bytes()
}

// packed adds the manifest and makes a tar.
func packed(name, about string, files map[string][]byte) ([]byte, error) {
	type entry struct {
		Size   int    `json:"size"`
		SHA256 string `json:"sha256"`
	}
	listed := map[string]entry{}
	for file, data := range files {
		sum := sha256.Sum256(data)
		listed[file] = entry{len(data), hex.EncodeToString(sum[:])}
	}
	manifest, err := json.Marshal(map[string]any{"bundle": 1, "name": name, "description": about, "files": listed})
	if err != nil {
		return nil, err
	}
	files["manifest.json"] = manifest
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: file, Size: int64(len(files[file])), Mode: 0o644}); err != nil {
			return nil, err
		}
		if _, err := w.Write(files[file]); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), w.Close()
}

// endlessModel is the identity beside a Loop, which the fake engine takes for
// a model that never ends.
func endlessModel() []byte {
	m := enginetest.Identity([]tensor.Type{tensor.Float32}, "N", 2)
	body := enginetest.Model{
		Inputs:  []engine.Port{enginetest.Port("i", tensor.Int64), enginetest.Port("go_in", tensor.Bool)},
		Outputs: []engine.Port{enginetest.Port("go_out", tensor.Bool)},
		Nodes:   []enginetest.Node{enginetest.Op("Identity", []string{"go_in"}, "go_out")},
	}
	loop := enginetest.Op("Loop", []string{"", "go"})
	loop.Attributes = []enginetest.Attribute{enginetest.Body("body", body)}
	m.Nodes = append(m.Nodes, loop)
	m.Initializers = append(m.Initializers, enginetest.Initializer{Name: "go", Values: tensor.From(tensor.Bool, []bool{true})})
	return m.Bytes()
}

// staged unpacks a bundle as the server stages it.
func (b testBundle) staged(t *testing.T) string {
	t.Helper()
	data, err := b.tar()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/golden", 0o700); err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		header, err := r.Next()
		if err != nil {
			return dir
		}
		var content bytes.Buffer
		if _, err := content.ReadFrom(r); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/"+header.Name, content.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
