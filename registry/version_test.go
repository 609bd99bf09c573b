package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/internal/fault"
)

func TestAddVersion(t *testing.T) {
	root := t.TempDir()
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("x", 3600))
	s, err := Open(root, Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	files := bundleOf("a")
	in, err := stage(s, files)
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.AddVersion(t.Context(), "iris", in, NewVersion{Parity: ParityProven, Report: []byte(`{"rows":1}`)}, by)
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, content := range files {
		size += len(content)
	}
	want := Version{
		Model: "iris", Number: 1, Digest: "sha256:" + hexSum(files[Manifest]), Size: int64(size),
		Parity: ParityProven, Report: "sha256:" + hexSum(`{"rows":1}`),
		Created: now.UTC(), Actor: "ada", RequestID: "req-1",
	}
	if v != want {
		t.Errorf("got  %+v\nwant %+v", v, want)
	}
	for _, store := range []*Store{s, open(t, root)} {
		if got := state(t, store, "iris").Versions[0]; got != want {
			t.Errorf("the state says %+v", got)
		}
	}
	if got, ok, err := s.ByDigest("iris", want.Digest); err != nil || !ok || got != want {
		t.Errorf("by digest: %+v %v %v", got, ok, err)
	}
	if _, ok, err := s.ByDigest("none", want.Digest); err != nil || ok {
		t.Errorf("by digest of no model: %v %v", ok, err)
	}
}

func TestSameBundleIsSameVersion(t *testing.T) {
	s := open(t, t.TempDir())
	first := pushed(t, s, "iris", "a")
	second := pushed(t, s, "iris", "a")
	if !second.Existing || second.Number != 1 || first.Existing {
		t.Errorf("first %+v\nsecond %+v", first, second)
	}
	if other := pushed(t, s, "wine", "a"); other.Existing || other.Number != 1 {
		t.Errorf("another model: %+v", other)
	}
	if v := pushed(t, s, "iris", "b"); v.Number != 2 {
		t.Errorf("another bundle: %+v", v)
	}
	if err := s.DeleteVersion(t.Context(), "iris", 1, "", by); err != nil {
		t.Fatal(err)
	}
	if v := pushed(t, s, "iris", "a"); v.Existing || v.Number != 3 {
		t.Errorf("after deletion: %+v", v)
	}
}

func TestUploadsThatDoNotAddUp(t *testing.T) {
	change := func(edit func(map[string]string)) map[string]string {
		files := maps.Clone(bundleOf("a"))
		edit(files)
		return files
	}
	s := open(t, t.TempDir())
	for name, files := range map[string]map[string]string{
		"no manifest":    change(func(f map[string]string) { delete(f, Manifest) }),
		"no JSON":        change(func(f map[string]string) { f[Manifest] = "{" }),
		"file missing":   change(func(f map[string]string) { delete(f, "model.onnx") }),
		"file too many":  change(func(f map[string]string) { f["more"] = "" }),
		"other content":  change(func(f map[string]string) { f["model.onnx"] = "graph b" }),
		"other size":     change(func(f map[string]string) { f["model.onnx"] = "graph" }),
		"odd digest":     {Manifest: `{"files":{"a":{"size":0,"sha256":"x"}}}`, "a": ""},
		"lists itself":   {Manifest: `{"files":{"manifest.json":{"size":0,"sha256":"` + hexSum("") + `"}}}`},
		"name is a path": {Manifest: `{"files":{"../a":{"size":0,"sha256":"` + hexSum("") + `"}}}`},
		"file as folder": {
			Manifest: `{"files":{"a":{"size":0,"sha256":"` + hexSum("") + `"},"a/b":{"size":0,"sha256":"` + hexSum("") + `"}}}`,
			"a":      "", "a/b": "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := stage(s, files)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.AddVersion(t.Context(), "iris", in, NewVersion{Parity: ParityProven}, by)
			wantFault(t, err, fault.InvalidBundle)
			if err := in.Discard(); err != nil {
				t.Error(err)
			}
		})
	}
	if names, err := s.Models(); err != nil || len(names) != 0 {
		t.Errorf("something was registered: %v %v", names, err)
	}
}

func TestLabels(t *testing.T) {
	s := open(t, t.TempDir())
	in, err := s.Ingest()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Discard() }()
	for _, label := range []string{"", ".", "..", "../a", "/a", "a/", "a//b", "a/./b", ".a", "g/.a", "a\\b", "a\x00", "a\nb", "\xff"} {
		_, err := in.Create(label)
		wantFault(t, err, fault.InvalidBundle)
	}
	for _, label := range []string{"model.onnx", "golden/answers.jsonl.gz", "weights (1) é.bin"} {
		f, err := in.Create(label)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		_, err = in.Create(label)
		wantFault(t, err, fault.InvalidBundle)
	}
}

func TestDiscardEndsAnUploadUnderWay(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	in, err := s.Ingest()
	if err != nil {
		t.Fatal(err)
	}
	f, err := in.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := in.Discard(); err != nil {
			t.Error(err)
		}
	}
	if _, err := f.Write([]byte("x")); err == nil {
		t.Error("wrote to a discarded upload")
	}
	if err := f.Close(); err == nil {
		t.Error("a file of a discarded upload closed without error")
	}
	if _, err := in.Create("b"); err == nil {
		t.Error("created a file in a discarded upload")
	}
	if _, err := in.View(); err == nil {
		t.Error("viewed a discarded upload")
	}
	if n := ingests(t, root); n != 0 {
		t.Errorf("%d uploads left", n)
	}
}

func TestCanceledContextRecordsNothing(t *testing.T) {
	s := open(t, t.TempDir())
	in, err := stage(s, bundleOf("a"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Discard() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.AddVersion(ctx, "iris", in, NewVersion{Parity: ParityProven}, by); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if names, _ := s.Models(); len(names) != 0 {
		t.Errorf("models %v", names)
	}
}

func TestViewsHoldTheManifestsNames(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	files := bundleOf("a")
	in, err := stage(s, files)
	if err != nil {
		t.Fatal(err)
	}
	staged, err := in.View()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.View(); err != nil {
		t.Errorf("the second view: %v", err)
	}
	checkTree(t, staged, files)
	v, err := s.AddVersion(t.Context(), "iris", in, NewVersion{Parity: ParityProven}, by)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Discard(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		dir, err := s.View(v)
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Join(s.root, "view", hexSum(files[Manifest])); dir != want {
			t.Errorf("the view is %s, want %s", dir, want)
		}
		checkTree(t, dir, files)
	}
	if n := ingests(t, root); n != 0 {
		t.Errorf("%d uploads left", n)
	}
	_, err = s.View(Version{Model: "iris", Number: 1, Digest: v.Digest, Deleted: true})
	wantFault(t, err, fault.VersionNotFound)
}

func TestViewIsMadeAnew(t *testing.T) {
	s := open(t, t.TempDir())
	files := bundleOf("a")
	v := pushed(t, s, "iris", "a")
	dir, err := s.View(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "model.onnx")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "model.onnx"), []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if dir, err = s.View(v); err != nil {
		t.Fatal(err)
	}
	checkTree(t, dir, files)
}

func checkTree(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	found := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		found++
		name, err := filepath.Rel(dir, path)
		if got := read(t, path); got != files[filepath.ToSlash(name)] {
			t.Errorf("%s holds %q", name, got)
		}
		if info, _ := d.Info(); info.Mode() != 0o444 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		return err
	})
	if err != nil || found != len(files) {
		t.Errorf("%d files of %d (%v)", found, len(files), err)
	}
}

func TestOpenFile(t *testing.T) {
	s := open(t, t.TempDir())
	v := pushed(t, s, "iris", "a")
	for name, content := range bundleOf("a") {
		f, size, err := s.OpenFile(v, name)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(f)
		if err != nil || string(data) != content || size != int64(len(content)) {
			t.Errorf("%s holds %q, %d bytes (%v)", name, data, size, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := s.OpenFile(v, "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want fs.ErrNotExist", err)
	}
}

func TestPutBlob(t *testing.T) {
	s := open(t, t.TempDir())
	for range 2 {
		digest, err := s.PutBlob(t.Context(), []byte("report"))
		if err != nil || digest != "sha256:"+hexSum("report") {
			t.Fatalf("%q %v", digest, err)
		}
		f, size, err := s.OpenBlob(digest)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(f); err != nil || b.String() != "report" || size != 6 {
			t.Errorf("%q %d %v", b.String(), size, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestWith: what a verdict was found with and held to is recorded with it, and a later
// verdict brings its own.
func TestWith(t *testing.T) {
	s := open(t, t.TempDir())
	in, err := stage(s, bundleOf("a"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddVersion(t.Context(), "iris", in, NewVersion{Parity: ParityProven, With: "one engine", Loosened: "for one engine"}, by); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one engine", "another", ""} {
		if want != "one engine" {
			if err := s.RecordExamined(t.Context(), "iris", 1, NewVersion{Parity: ParityProven, With: want, Loosened: "for " + want}, by); err != nil {
				t.Fatal(err)
			}
		}
		st, err := s.State("iris")
		if v, _ := st.Version(1); err != nil || v.With != want || v.Loosened != "for "+want {
			t.Errorf("%q, %v, want %q", v.With, err, want)
		}
	}
}

func TestRecordExamined(t *testing.T) {
	s := open(t, t.TempDir())
	pushed(t, s, "iris", "a")
	report := NewVersion{Parity: ParityFailed, Report: []byte("why")}
	if err := s.RecordExamined(t.Context(), "iris", 1, report, by); err != nil {
		t.Fatal(err)
	}
	if v := state(t, s, "iris").Versions[0]; v.Parity != ParityFailed || v.Report != "sha256:"+hexSum("why") {
		t.Errorf("%+v", v)
	}
	wantFault(t, s.RecordExamined(t.Context(), "iris", 2, report, by), fault.VersionNotFound)
	if err := s.RecordExamined(t.Context(), "iris", 1, NewVersion{Parity: "good"}, by); err == nil {
		t.Error("an unknown verdict was recorded")
	}
}
