package registry

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/durable"
	"github.com/tenon-ml/tenon/internal/fault"
)

func TestOpenMakesARegistryOnce(t *testing.T) {
	root := filepath.Join(t.TempDir(), "var", "registry")
	s := open(t, root)
	if again := open(t, root); again.ID() != s.ID() || s.ID() == "" {
		t.Errorf("ids %q and %q", s.ID(), again.ID())
	}
	info, err := os.Stat(root)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the root has mode %v, want 0700", info.Mode())
	}
	want := `{"format":1,"id":"` + s.ID() + "\"}\n"
	if got := read(t, filepath.Join(root, "format")); got != want {
		t.Errorf("format holds %q, want %q", got, want)
	}
	if names, err := s.Models(); err != nil || len(names) != 0 {
		t.Errorf("models %v %v", names, err)
	}
}

func TestOpenAtOnceAgrees(t *testing.T) {
	root := filepath.Join(t.TempDir(), "r")
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			if s, err := Open(root, Options{}); err != nil {
				t.Error(err)
			} else {
				ids[i] = s.ID()
			}
		})
	}
	wg.Wait()
	if slices.Sort(ids); ids[0] != ids[len(ids)-1] {
		t.Errorf("ids %v", ids)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct{ name, file, content, says string }{
		{"a folder of somebody's", "thesis.doc", "", "not a registry"},
		{"a newer format", "format", `{"format":2,"id":"x"}`, "use the release that wrote it"},
		{"a damaged format file", "format", `{"form`, "restore it from a backup"},
		{"a registry without its format file", "models/x", "", "restore that file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			path := filepath.Join(root, c.file)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(root, Options{})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want …%s…", err, c.says)
			}
		})
	}
}

func TestOpenSweepsDeadUploadsOnly(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	live, err := stage(s, bundleOf("a"))
	if err != nil {
		t.Fatal(err)
	}
	dead, err := stage(s, bundleOf("b"))
	if err != nil {
		t.Fatal(err)
	}
	dead.lock.Unlock() // as the kernel does when a process ends
	open(t, root)
	if n := ingests(t, root); n != 1 {
		t.Errorf("%d uploads left, want the live one", n)
	}
	if _, err := s.AddVersion(t.Context(), "iris", live, NewVersion{Parity: ParityProven}, by); err != nil {
		t.Error(err)
	}
	if err := live.Discard(); err != nil {
		t.Error(err)
	}
	if n := ingests(t, root); n != 0 {
		t.Errorf("%d uploads left", n)
	}
}

func TestNamesThatArePathsAreRefused(t *testing.T) {
	s := open(t, t.TempDir())
	for _, name := range []string{"", ".", "..", "../x", "a/b", "/etc", "Iris", "a\x00b", "-a", strings.Repeat("a", 64)} {
		_, err := s.State(name)
		wantFault(t, err, fault.InvalidReference)
		_, err = push(s, name, "x")
		wantFault(t, err, fault.InvalidReference)
		_, err = s.Deploy(t.Context(), name, NewDeployment{Traffic: wire.Stable(1)}, by)
		wantFault(t, err, fault.InvalidReference)
		wantFault(t, s.SetAlias(t.Context(), name, "a", 1, nil, by), fault.InvalidReference)
	}
	for _, digest := range []string{"", "sha256:", "sha256:../../format", "md5:" + strings.Repeat("a", 64)} {
		if _, _, err := s.OpenBlob(digest); err == nil {
			t.Errorf("opened %q", digest)
		}
	}
}

func TestModelsListsWhatHasRecords(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	pushed(t, s, "wine", "a")
	pushed(t, s, "iris", "a")
	// A crash between folder and record leaves this; a person leaves the others.
	for _, dir := range []string{"half/log", "Odd/log", ".hidden"} {
		if err := os.MkdirAll(filepath.Join(root, "models", dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	names, err := s.Models()
	if err != nil || !slices.Equal(names, []string{"iris", "wine"}) {
		t.Errorf("%v %v", names, err)
	}
	_, err = s.State("half")
	wantFault(t, err, fault.ModelNotFound)
}

func TestInspectChangesNothing(t *testing.T) {
	root := t.TempDir()
	if _, err := Inspect(root); err == nil {
		t.Error("an empty folder was taken for a registry")
	}
	s := open(t, root)
	v := pushed(t, s, "iris", "a")
	ro, err := Inspect(root)
	if err != nil {
		t.Fatal(err)
	}
	if st := state(t, ro, "iris"); len(st.Versions) != 1 {
		t.Errorf("%+v", st)
	}
	if err := ro.VerifyBlob(v.Digest); err != nil {
		t.Error(err)
	}
	if _, err := push(ro, "iris", "b"); err == nil {
		t.Error("pushed into a registry that is open for reading")
	}
	if _, err := ro.Deploy(t.Context(), "iris", NewDeployment{Traffic: wire.Stable(1)}, by); err == nil {
		t.Error("deployed in a registry that is open for reading")
	}
}

func TestOpenSaysWhatTheFileSystemLacks(t *testing.T) {
	disk := &durable.Disk{Call: func(op durable.Op, _ string, do func() error) error {
		if op == durable.OpLink {
			return os.ErrPermission
		}
		return do()
	}}
	_, err := Open(t.TempDir(), Options{Disk: disk})
	if err == nil || !strings.Contains(err.Error(), "hard links") {
		t.Errorf("got %v, want a sentence", err)
	}
}
