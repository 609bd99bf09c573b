package registry

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
)

// damaged makes a registry with two models, iris with a version, a deployment
// and another version, and wine, which must go on whatever happens to iris.
func damaged(t *testing.T) (root string, s *Store) {
	t.Helper()
	root = t.TempDir()
	s = open(t, root)
	pushed(t, s, "iris", "a")
	deployed(t, s, "iris", 1)
	pushed(t, s, "iris", "b")
	pushed(t, s, "wine", "c")
	return root, s
}

func TestEveryRecordsDamageQuarantinesItsModel(t *testing.T) {
	root, s := damaged(t)
	for seq := 1; seq <= 3; seq++ {
		path := s.recordPath("iris", seq)
		whole := read(t, path)
		for bit := 0; bit < len(whole)*8; bit += 97 {
			flip(t, path, bit)
			expectQuarantine(t, root, "")
			flip(t, path, bit)
		}
		if read(t, path) != whole {
			t.Fatal("the test did not mend what it broke")
		}
	}
	if _, err := open(t, root).State("iris"); err != nil {
		t.Errorf("mended, and still: %v", err)
	}
}

func TestBrokenLogsAreQuarantined(t *testing.T) {
	for name, c := range map[string]struct {
		breakIt func(*testing.T, *Store)
		says    string
	}{
		"record missing": {func(t *testing.T, s *Store) { remove(t, s.recordPath("iris", 2)) }, "record 2"},
		"first missing":  {func(t *testing.T, s *Store) { remove(t, s.recordPath("iris", 1)) }, "record 1"},
		"records swapped": {func(t *testing.T, s *Store) {
			swap(t, s.recordPath("iris", 2), s.recordPath("iris", 3))
		}, "record 2"},
		"another model's record": {func(t *testing.T, s *Store) {
			write(t, s.recordPath("iris", 1), read(t, s.recordPath("wine", 1)))
		}, `"wine"`},
		"empty": {func(t *testing.T, s *Store) { write(t, s.recordPath("iris", 3), "") }, "record 3"},
		"a link": {func(t *testing.T, s *Store) {
			remove(t, s.recordPath("iris", 3))
			if err := os.Symlink(s.recordPath("wine", 1), s.recordPath("iris", 3)); err != nil {
				t.Fatal(err)
			}
		}, "record 3"},
		"a folder": {func(t *testing.T, s *Store) {
			if err := os.Mkdir(s.recordPath("iris", 4), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "record 4"},
		"huge": {func(t *testing.T, s *Store) {
			write(t, s.recordPath("iris", 4), strings.Repeat(" ", maxRecord+1))
		}, "record 4"},
		"unknown kind": {func(t *testing.T, s *Store) {
			data, err := sealJSON(`{"seq":4,"kind":"merged","model":"iris","prev":"` + state(t, s, "iris").tip + `"}`)
			if err != nil {
				t.Fatal(err)
			}
			write(t, s.recordPath("iris", 4), string(data))
		}, "newer tenon"},
	} {
		t.Run(name, func(t *testing.T) {
			root, s := damaged(t)
			c.breakIt(t, s)
			expectQuarantine(t, root, c.says)
		})
	}
}

// expectQuarantine makes sure that iris is quarantined for reading and for
// writing, and wine is not.
func expectQuarantine(t *testing.T, root, says string) {
	t.Helper()
	s := open(t, root)
	_, err := s.State("iris")
	wantFault(t, err, fault.Quarantined)
	if !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "tenon verify") {
		t.Errorf("%v does not say %q and what to do", err, says)
	}
	_, err = s.Deploy(t.Context(), "iris", NewDeployment{Traffic: wire.Stable(1)}, by)
	wantFault(t, err, fault.Quarantined)
	_, _, err = s.ByDigest("iris", "sha256:x")
	wantFault(t, err, fault.Quarantined)
	state(t, s, "wine")
	if names, err := s.Models(); err != nil || len(names) != 2 {
		t.Errorf("models %v %v", names, err)
	}
}

func TestEveryBlobsDamageIsRefused(t *testing.T) {
	root, s := damaged(t)
	v := state(t, s, "iris").Versions[0]
	dir, err := s.View(v)
	if err != nil {
		t.Fatal(err)
	}
	files, err := s.files(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range files {
		path := s.blobPath(e.hex)
		for name, store := range map[string]*Store{"same process": s, "after a restart": open(t, root)} {
			flip(t, path, 11)
			_, err := store.View(v)
			wantFault(t, err, fault.Quarantined)
			wantFault(t, store.VerifyBlob(digestPrefix+e.hex), fault.Quarantined)
			_, _, err = store.OpenFile(v, e.name)
			wantFault(t, err, fault.Quarantined)
			flip(t, path, 11)
			if err := store.VerifyBlob(digestPrefix + e.hex); err != nil {
				t.Errorf("%s: mended, and still: %v", name, err)
			}
		}
	}
	if again, err := s.View(v); err != nil || again != dir {
		t.Errorf("mended, and still: %v", err)
	}
	if st := state(t, s, "iris"); len(st.Versions) != 2 {
		t.Errorf("a blob's damage reached the state: %+v", st)
	}
}

func TestMissingAndTruncatedBlobsAreRefused(t *testing.T) {
	_, s := damaged(t)
	st := state(t, s, "iris")
	remove(t, s.blobPath(hexSum("graph a")))
	_, err := s.View(st.Versions[0])
	wantFault(t, err, fault.Quarantined)
	write(t, s.blobPath(hexSum("graph b")), "graph")
	_, err = s.View(st.Versions[1])
	wantFault(t, err, fault.Quarantined)
}

func TestPushingAgainMends(t *testing.T) {
	root, s := damaged(t)
	v := state(t, s, "iris").Versions[0]
	if _, err := s.View(v); err != nil {
		t.Fatal(err)
	}
	flip(t, s.blobPath(hexSum("graph a")), 3)
	flip(t, s.blobPath(strings.TrimPrefix(v.Digest, digestPrefix)), 3)
	if again := pushed(t, s, "iris", "a"); !again.Existing {
		t.Errorf("%+v", again)
	}
	for _, store := range []*Store{s, open(t, root)} {
		dir, err := store.View(v)
		if err != nil {
			t.Fatal(err)
		}
		checkTree(t, dir, bundleOf("a"))
	}
	err := filepath.WalkDir(filepath.Join(root, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !validHex(d.Name()) {
			t.Errorf("left %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	_ = os.Remove(path)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func swap(t *testing.T, a, b string) {
	t.Helper()
	x, y := read(t, a), read(t, b)
	write(t, a, y)
	write(t, b, x)
}
