package registry

import (
	"context"
	"encoding/json"
	"flag"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
)

// A registry of every released format lies in testdata and is opened by every
// later release. It was written once, by
//
//	go test ./registry -run TestGoldenRegistry -write-golden
//
// and is never written again: a change of format gets a folder of its own.
var writeGolden = flag.Bool("write-golden", false, "write testdata/registry/v1, which must not exist")

const goldenRoot = "../testdata/registry/v1"

func TestGoldenRegistry(t *testing.T) {
	if *writeGolden {
		makeGolden(t)
	}
	root := filepath.Join(t.TempDir(), "v1")
	if err := os.CopyFS(root, os.DirFS(goldenRoot)); err != nil {
		t.Fatal(err)
	}
	s := open(t, root)
	if s.ID() != "6ae6783f4fbde91b6eb88b73a48ed247" {
		t.Errorf("id %s", s.ID())
	}
	if names, err := s.Models(); err != nil || !reflect.DeepEqual(names, []string{"iris", "wine-2.0"}) {
		t.Fatalf("models %v %v", names, err)
	}
	iris := state(t, s, "iris")
	if iris.Seq != 11 || len(iris.Versions) != 3 || len(iris.Deployments) != 2 {
		t.Errorf("iris: %+v", iris)
	}
	if !reflect.DeepEqual(iris.Aliases, map[string]int{"champion": 2}) {
		t.Errorf("aliases %v", iris.Aliases)
	}
	d := iris.Current()
	if d.Number != 4 || d.Stable != 2 || d.Reason != "better on the hold-out set" ||
		string(d.Other["note"]) != `{"kept":true}` {
		t.Errorf("current %+v", d)
	}
	if p := iris.Previous(); p == nil || p.Stable != 1 || !p.Created.Equal(goldenTime(3)) {
		t.Errorf("previous %+v", p)
	}
	for i, want := range []Parity{ParityFailed, ParityProven, ParityNotProven} {
		if v := iris.Versions[i]; v.Parity != want || v.Deleted != (i == 2) || v.Actor != "ada" {
			t.Errorf("version %+v", v)
		}
	}
	checkGoldenFiles(t, s)
}

func checkGoldenFiles(t *testing.T, s *Store) {
	t.Helper()
	for name, seeds := range map[string][]string{"iris": {"a", "b"}, "wine-2.0": {"d"}} {
		st := state(t, s, name)
		for i, seed := range seeds {
			dir, err := s.View(st.Versions[i])
			if err != nil {
				t.Fatal(err)
			}
			for file, content := range bundleOf(seed) {
				if got := read(t, filepath.Join(dir, file)); got != content {
					t.Errorf("%s/%d %s holds %q", name, i+1, file, got)
				}
			}
			if v := st.Versions[i]; v.Report != "" {
				if err := s.VerifyBlob(v.Report); err != nil {
					t.Error(err)
				}
			}
		}
	}
	pushed(t, s, "iris", "e") // and it can be written on
	deployed(t, s, "iris", 4)
}

var rawNote = map[string]json.RawMessage{"note": json.RawMessage(`{"kept":true}`)}

// goldenTime is the time of the n-th record.
func goldenTime(n int) time.Time {
	return time.Date(2026, 1, 2, 3, 4, n, 123456789, time.UTC)
}

func makeGolden(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(goldenRoot); err == nil {
		t.Fatal(goldenRoot + " exists; it is written once")
	}
	clock := 1
	s, err := Open(goldenRoot, Options{
		Now:  func() time.Time { return goldenTime(clock) },
		Rand: rand.NewChaCha8([32]byte{1}),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	add := func(name, seed string, nv NewVersion) {
		in, err := stage(s, bundleOf(seed))
		if err == nil {
			_, err = s.AddVersion(ctx, name, in, nv, by)
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = in.Discard()
		clock++
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
		clock++
	}
	add("iris", "a", NewVersion{Parity: ParityNotProven})
	add("iris", "b", NewVersion{Parity: ParityProven, Report: []byte(`{"rows":1000}`)})
	_, err = s.Deploy(ctx, "iris", NewDeployment{Traffic: wire.Stable(1), Expected: num(0)}, by)
	must(err)
	_, err = s.Deploy(ctx, "iris", NewDeployment{
		Traffic: wire.Stable(2), Reason: "better on the hold-out set", Expected: num(3), Other: rawNote,
	}, by)
	must(err)
	must(s.SetAlias(ctx, "iris", "champion", 1, nil, by))
	must(s.SetAlias(ctx, "iris", "champion", 2, num(1), by))
	must(s.RecordExamined(ctx, "iris", 1, NewVersion{Parity: ParityFailed, Report: []byte(`{"rows":3}`)}, by))
	add("iris", "c", NewVersion{Parity: ParityNotProven})
	must(s.SetAlias(ctx, "iris", "old", 1, nil, by))
	must(s.SetAlias(ctx, "iris", "old", 0, nil, by))
	must(s.DeleteVersion(ctx, "iris", 3, "not needed", by))
	add("wine-2.0", "d", NewVersion{Parity: ParityOverridden})
	dropEmptyFolders(t)
}

// dropEmptyFolders: git keeps none, so the registry has to open without them.
func dropEmptyFolders(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(goldenRoot, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Remove(path) // fails where it is not empty
			if _, gone := os.Stat(path); gone != nil {
				return fs.SkipDir
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
