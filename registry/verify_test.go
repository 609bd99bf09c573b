package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// golden copies the registry of format 1 to where it can be broken.
func golden(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "v1")
	if err := os.CopyFS(root, os.DirFS(goldenRoot)); err != nil {
		t.Fatal(err)
	}
	return root
}

func verified(t *testing.T, root string) Verified {
	t.Helper()
	v, err := Verify(t.Context(), root, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// filesBelow lists plain files relative to root.
func filesBelow(t *testing.T, root, folder string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(root, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestVerifyOfASoundRegistry(t *testing.T) {
	root := golden(t)
	var steps []Verified
	v, err := Verify(t.Context(), root, func(v Verified) { steps = append(steps, v) })
	if err != nil || len(v.Findings) != 0 {
		t.Fatalf("%+v, %v", v, err)
	}
	v.Findings = nil
	if got, want := fmt.Sprintf("%+v", v), "{Registry:6ae6783f4fbde91b6eb88b73a48ed247 Models:2 Records:12 Versions:3 Blobs:11 Bytes:955 Findings:[]}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if len(steps) != v.Blobs || steps[0].Blobs != 1 {
		t.Errorf("told %d times, first %+v", len(steps), steps[0])
	}
	// Read, not written: no working folder has appeared.
	if names := filesBelow(t, root, "."); len(names) != 1+12+11 {
		t.Errorf("%d files: %v", len(names), names)
	}
	if entries, _ := os.ReadDir(root); len(entries) != 3 {
		t.Errorf("%v", entries)
	}
}

func TestVerifyIgnoresStrayFiles(t *testing.T) {
	root := golden(t)
	for _, name := range []string{
		"notes.txt", "models/readme", "models/.hidden/log/00000000000000000001.json", "models/empty/log/.tmp-1",
		"models/iris/log/.tmp-2", "models/iris/log/12.json", "models/iris/log/00000000000000000003.json.bak",
		"blobs/sha256/readme", "blobs/sha256/de/.tmp-3", "blobs/sha256/00/de68d5aff37ebc8c5256e953eb987c9e40bf48dd2aa1309d90e775c0cbf91781",
		"ingest/0123/lock", "view/x/model.onnx", "changes/1",
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, path, "stray")
	}
	if v := verified(t, root); len(v.Findings) != 0 {
		t.Errorf("%+v", v.Findings)
	}
}

func TestVerifyFindsEveryBit(t *testing.T) {
	root := golden(t)
	for _, folder := range []string{"models", "blobs"} {
		for _, name := range filesBelow(t, root, folder) {
			path := filepath.Join(root, name)
			whole := read(t, path)
			for bit := range len(whole) * 8 {
				if bit%97 != 0 {
					continue
				}
				flip(t, path, bit)
				expectFinding(t, root, name, fmt.Sprintf("bit %d", bit))
				flip(t, path, bit)
			}
			if read(t, path) != whole {
				t.Fatal("the test did not mend what it broke")
			}
		}
	}
	if v := verified(t, root); len(v.Findings) != 0 {
		t.Errorf("mended, and still: %+v", v.Findings)
	}
}

// expectFinding holds that the damage of one file is found and named, in the
// finding or its remedy.
func expectFinding(t *testing.T, root, name, how string) {
	t.Helper()
	v := verified(t, root)
	if len(v.Findings) == 0 {
		t.Errorf("%s, %s: not found", name, how)
	}
	for _, f := range v.Findings {
		if !strings.Contains(f.What+f.Remedy, filepath.ToSlash(name)) || !strings.HasSuffix(f.What, ".") || !strings.HasSuffix(f.Remedy, ".") {
			t.Errorf("%s, %s: found %+v", name, how, f)
		}
	}
}

func TestVerifyFindsWhatIsMissing(t *testing.T) {
	root := golden(t)
	last := map[string]bool{ // nothing says that there was more
		"models/iris/log/00000000000000000011.json":     true,
		"models/wine-2.0/log/00000000000000000001.json": true,
	}
	unneeded := 0
	for _, folder := range []string{"models", "blobs"} {
		for _, name := range filesBelow(t, root, folder) {
			path := filepath.Join(root, name)
			whole := read(t, path)
			remove(t, path)
			switch v := verified(t, root); {
			case len(v.Findings) == 0 && folder == "blobs":
				unneeded++
			case last[name]:
			default:
				expectFinding(t, root, name, "missing")
			}
			write(t, path, whole)
		}
	}
	// The deleted version's manifest and model.
	if unneeded != 2 {
		t.Errorf("%d blobs are not needed", unneeded)
	}
}

// TestVerifyGoesOn: one damage does not hide another, and each version that
// shares a damaged file is named.
func TestVerifyGoesOn(t *testing.T) {
	root := golden(t)
	flip(t, filepath.Join(root, "models/iris/log/00000000000000000003.json"), 40)
	remove(t, filepath.Join(root, "models/iris/log/00000000000000000007.json"))
	rows := hexSum("rows") // a file that all bundles have
	flip(t, filepath.Join(root, "blobs/sha256", rows[:2], rows), 0)
	var got []string
	for _, f := range verified(t, root).Findings {
		got = append(got, fmt.Sprintf("%s/%d %s", f.Model, f.Version, strings.Fields(f.What)[1]))
	}
	want := "[iris/0 3 iris/0 7 iris/1 file iris/2 file wine-2.0/1 file]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

func TestVerifyOfBrokenLogs(t *testing.T) {
	for name, c := range map[string]struct {
		breakIt      func(*testing.T, *Store)
		says, remedy string
	}{
		"records swapped": {func(t *testing.T, s *Store) {
			swap(t, s.recordPath("iris", 2), s.recordPath("iris", 3))
		}, "it says it is record 3", "backup"},
		"another model's record": {func(t *testing.T, s *Store) {
			write(t, s.recordPath("iris", 1), read(t, s.recordPath("wine", 1)))
		}, `"wine"`, "backup"},
		"a record of another history": {func(t *testing.T, s *Store) {
			data, err := sealJSON(`{"seq":2,"kind":"alias","model":"iris","prev":"","alias":{"name":"a","version":1}}`)
			if err != nil {
				t.Fatal(err)
			}
			write(t, s.recordPath("iris", 2), string(data))
		}, "Record 3", "as a whole"},
		"a link": {func(t *testing.T, s *Store) {
			remove(t, s.recordPath("iris", 3))
			if err := os.Symlink(s.recordPath("wine", 1), s.recordPath("iris", 3)); err != nil {
				t.Fatal(err)
			}
		}, "not a plain file", "backup"},
		"huge": {func(t *testing.T, s *Store) {
			write(t, s.recordPath("iris", 4), strings.Repeat(" ", maxRecord+1))
		}, "Record 4", "backup"},
		"unknown kind": {func(t *testing.T, s *Store) {
			data, err := sealJSON(`{"seq":4,"kind":"merged","model":"iris","prev":"` + state(t, s, "iris").tip + `"}`)
			if err != nil {
				t.Fatal(err)
			}
			write(t, s.recordPath("iris", 4), string(data))
		}, `"merged"`, "newer"},
		"nonsense": {func(t *testing.T, s *Store) {
			data, err := sealJSON(`{"seq":4,"kind":"deployment","model":"iris","prev":"` + state(t, s, "iris").tip + `","deployment":{"stable":9}}`)
			if err != nil {
				t.Fatal(err)
			}
			write(t, s.recordPath("iris", 4), string(data))
		}, "version 9, which was never added", "backup"},
	} {
		t.Run(name, func(t *testing.T) {
			root, s := damaged(t)
			c.breakIt(t, s)
			found := false
			for _, f := range verified(t, root).Findings {
				found = found || f.Model == "iris" && f.Version == 0 &&
					strings.Contains(f.What, c.says) && strings.Contains(f.Remedy, c.remedy)
				if f.Model != "iris" {
					t.Errorf("%+v", f)
				}
			}
			if !found {
				t.Errorf("%+v", verified(t, root).Findings)
			}
		})
	}
}

// TestVerifyOfLyingManifests: files that a writer other than ours registered.
func TestVerifyOfLyingManifests(t *testing.T) {
	for name, manifest := range map[string]string{
		"no manifest": "text",
		"sizes differ": `{"files":{"model.onnx":{"size":7,"sha256":"` + hexSum("graph a") + `"},"golden/requests.jsonl.gz":{"size":5,"sha256":"` +
			hexSum("rows") + `"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			root, s := damaged(t)
			digest, err := s.PutBlob(t.Context(), []byte(manifest))
			if err != nil {
				t.Fatal(err)
			}
			data, err := sealJSON(`{"seq":2,"kind":"version-added","model":"wine","prev":"` + state(t, s, "wine").tip +
				`","version":{"version":2,"digest":"` + digest + `"}}`)
			if err != nil {
				t.Fatal(err)
			}
			write(t, s.recordPath("wine", 2), string(data))
			found := verified(t, root).Findings
			if len(found) != 1 || found[0].Model != "wine" || found[0].Version != 2 {
				t.Errorf("%+v", found)
			}
		})
	}
}

func TestVerifyOfWhatIsNoRegistry(t *testing.T) {
	root := t.TempDir()
	if _, err := Verify(t.Context(), root, nil); err == nil || !strings.Contains(err.Error(), "is not a registry") {
		t.Error(err)
	}
	if _, err := Verify(t.Context(), filepath.Join(root, "absent"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	root = golden(t)
	write(t, filepath.Join(root, "format"), "{")
	if _, err := Verify(t.Context(), root, nil); err == nil || !strings.Contains(err.Error(), "restore it from a backup") {
		t.Error(err)
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	v, err := Verify(ctx, golden(t), func(Verified) { cancel() })
	if !errors.Is(err, context.Canceled) || v.Blobs != 1 {
		t.Errorf("%+v, %v", v, err)
	}
}
