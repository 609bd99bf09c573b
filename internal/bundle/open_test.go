package bundle_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/fault"
)

func open(t testing.TB, dir string) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Open(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOpen(t *testing.T) {
	files := penguins(t)
	b := open(t, unpack(t, files))
	if b.Manifest.Name != "penguins" || b.Signature.Inputs[0].Name != "x" || b.Digest != bundle.Digest(b.Raw) ||
		string(b.Profile.Raw) != files["profile.json"] || !b.HasGolden() {
		t.Errorf("got %+v", b)
	}
	if text, err := b.Readme(); err != nil || text != files["README.md"] {
		t.Errorf("readme %q, %v", text, err)
	}
	if env, err := b.Environment(); err != nil || string(env) != files["environment.json"] {
		t.Errorf("environment %q, %v", env, err)
	}
	if body, ok, err := b.Example(); err != nil || !ok || string(body) != `{"instances":[{"x":1}]}` {
		t.Errorf("example %q, %v, %v", body, ok, err)
	}
	model, err := b.Model()
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	if info, err := model.Stat(); err != nil || info.Size() != 18 {
		t.Errorf("model: %v, %v", info, err)
	}
}

func TestOpenBareModel(t *testing.T) {
	dir := t.TempDir()
	if _, err := bundle.ReceiveModel(strings.NewReader("model"), folder(dir), bundle.Limits{}); err != nil {
		t.Fatal(err)
	}
	b := open(t, dir)
	if b.Signature != nil || b.Profile != nil || b.HasGolden() {
		t.Errorf("got %+v", b)
	}
	if _, ok, err := b.Example(); ok || err != nil {
		t.Errorf("example: %v, %v", ok, err)
	}
	if env, err := b.Environment(); env != nil || err != nil {
		t.Errorf("environment: %s, %v", env, err)
	}
	if text, err := b.Readme(); text != "" || err != nil {
		t.Errorf("readme: %q, %v", text, err)
	}
	for _, err := range b.Golden() {
		t.Errorf("a golden case: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(dir string)
		says  string
	}{
		"no manifest":    {func(dir string) { remove(t, dir, "manifest.json") }, "lacks manifest.json"},
		"no model":       {func(dir string) { remove(t, dir, "model.onnx") }, "lacks model.onnx"},
		"model cut":      {func(dir string) { put(t, dir, "model.onnx", "short") }, "not the file of 18 bytes"},
		"manifest large": {func(dir string) { put(t, dir, "manifest.json", strings.Repeat(" ", 5<<20)) }, "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := unpack(t, penguins(t))
			c.spoil(dir)
			_, err := bundle.Open(os.DirFS(dir))
			refused(t, err, c.says)
		})
	}
	for name, data := range map[string]string{"signature.json": "{}", "profile.json": "[]"} {
		files := penguins(t)
		files[name] = data
		_, err := bundle.Open(os.DirFS(unpack(t, files)))
		refused(t, err, name)
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// failing is a folder whose disk fails at one file.
type failing struct {
	fs.FS
	name string
}

func (f failing) Open(name string) (fs.File, error) {
	if name == f.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return f.FS.Open(name)
}

func TestDiskErrorsAreNotTheBundles(t *testing.T) {
	files := os.DirFS(unpack(t, penguins(t)))
	for _, name := range []string{"manifest.json", "model.onnx", "signature.json", "profile.json"} {
		_, err := bundle.Open(failing{files, name})
		if !errors.Is(err, fs.ErrPermission) || fault.As(err) != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGolden(t *testing.T) {
	files := penguins(t)
	swapped := strings.Split(strings.TrimSpace(answers), "\n")
	files["golden/answers.jsonl.gz"] = packed(t, swapped[1]+"\n\n"+swapped[0])
	for name, dir := range map[string]string{"one order": unpack(t, penguins(t)), "another order": unpack(t, files)} {
		var got []bundle.Case
		for c, err := range open(t, dir).Golden() {
			if err != nil {
				t.Fatal(name, err)
			}
			got = append(got, c)
		}
		if len(got) != 2 || got[0].ID != bundle.Text("a") || got[0].Why != "hold-out" || got[1].ID != bundle.Number("2") ||
			string(got[0].Answer) != `{"id":"a","predictions":[{"prediction":1.5}]}` ||
			string(got[1].Body) != `{"inputs":{"x":[2]}}` || string(got[1].Answer) != swapped[1] {
			t.Errorf("%s: %s", name, got)
		}
	}
	for _, err := range open(t, unpack(t, files)).Golden() {
		if err != nil {
			t.Error(err)
		}
		break // stopping early is no error
	}
}

func TestGoldenRefuses(t *testing.T) {
	row := `{"id":1,"body":{}}` + "\n"
	said := `{"id":1,"outputs":{}}` + "\n"
	bomb := packed(t, strings.Repeat(" ", 17<<20))
	long := stored(t, strings.Repeat("1", 33<<20))
	for name, c := range map[string]struct{ requests, answers, says string }{
		"no gzip":         {"plain", packed(t, said), "not whole gzip"},
		"cut gzip":        {packed(t, row)[:25], packed(t, said), "not whole gzip"},
		"behind gzip":     {packed(t, row) + "junk", packed(t, said), "not whole gzip"},
		"no JSON":         {packed(t, "row"), packed(t, said), "line 1 of golden/requests.jsonl.gz is not a JSON object"},
		"a list":          {packed(t, "[]"), packed(t, said), "not a JSON object"},
		"no id":           {packed(t, `{"body":{}}`), packed(t, said), "id is not a string or a number"},
		"id an object":    {packed(t, `{"id":{},"body":{}}`), packed(t, said), "id is not"},
		"why a number":    {packed(t, `{"id":1,"why":1,"body":{}}`), packed(t, said), "why is not a string"},
		"no body":         {packed(t, `{"id":1}`), packed(t, said), "body is not an object"},
		"body a list":     {packed(t, `{"id":1,"body":[]}`), packed(t, said), "body is not an object"},
		"no answer":       {packed(t, row), packed(t, ""), "no answer of id"},
		"other answer":    {packed(t, row), packed(t, `{"id":"1","outputs":{}}`), "no answer of id"},
		"answer empty":    {packed(t, row), packed(t, `{"id":1}`), "one of predictions and outputs"},
		"answer both":     {packed(t, row), packed(t, `{"id":1,"outputs":{},"predictions":[]}`), "one of predictions and outputs"},
		"answer too many": {packed(t, row), packed(t, said+`{"id":2,"outputs":{}}`), "which no request has"},
		"answer early":    {packed(t, row), packed(t, `{"id":2,"outputs":{}}`+"\n"+said), "which no request has"},
		"request twice":   {packed(t, row+row), packed(t, said), "two requests have that id"},
		"answer twice":    {packed(t, row), packed(t, said+said), "twice"},
		"bomb":            {bomb, packed(t, said), "unpacks to far more"},
		"long line":       {long, packed(t, said), "is longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			files := penguins(t)
			files["golden/requests.jsonl.gz"], files["golden/answers.jsonl.gz"] = c.requests, c.answers
			var last error
			for _, err := range open(t, unpack(t, files)).Golden() {
				last = err
			}
			refused(t, last, c.says)
		})
	}
}

// stored is gzip that does not shrink, which is quick to make.
func stored(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	zip, err := gzip.NewWriterLevel(&out, gzip.NoCompression)
	if err == nil {
		_, err = io.WriteString(zip, text)
	}
	if err == nil {
		err = zip.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestWriteTarGivesBackTheBundle(t *testing.T) {
	dir := unpack(t, penguins(t))
	var out, again bytes.Buffer
	if err := bundle.WriteTar(&out, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := bundle.WriteTar(&again, os.DirFS(dir)); err != nil || !bytes.Equal(out.Bytes(), again.Bytes()) {
		t.Errorf("the same folder gives other bytes: %v", err)
	}
	back := t.TempDir()
	got, err := bundle.Receive(&out, folder(back), bundle.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if want := open(t, dir).Digest; got.Digest != want || open(t, back).Digest != want {
		t.Errorf("the digest was %s and is %s", want, got.Digest)
	}
}

func TestWriteTarRefuses(t *testing.T) {
	dir := unpack(t, penguins(t))
	put(t, dir, "model.onnx", "short")
	refused(t, bundle.WriteTar(&bytes.Buffer{}, os.DirFS(dir)), "not the file of 18 bytes")
	remove(t, dir, "model.onnx")
	refused(t, bundle.WriteTar(&bytes.Buffer{}, os.DirFS(dir)), "lacks model.onnx")
}
