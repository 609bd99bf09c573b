package registry

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// View returns a folder that holds the version's files under the manifest's
// names, to load the model from: ONNX Runtime looks for external data beside
// the model and follows no symbolic links, so these are hard links of the
// blobs. Every blob's hash is found right before. The folder is read-only by
// agreement and stays; it is made anew when something is wrong with it. Faults:
// version-not-found for a deleted version, quarantined, storage-failed.
func (s *Store) View(v Version) (string, error) {
	if v.Deleted {
		return "", versionDeleted(v.Model, v.Number)
	}
	all, err := s.files(v)
	if err != nil {
		return "", err
	}
	for _, e := range all {
		if err := s.checkBlob(e.hex, e.size); err != nil {
			return "", err
		}
	}
	digits, err := hexOf(v.Digest)
	if err != nil {
		return "", err
	}
	dir := s.path("view", digits)
	if s.sameFiles(dir, all) {
		return dir, nil
	}
	return dir, storage(s.makeView(dir, all))
}

// OpenFile opens one file of a version by the name that the manifest gives
// it, after its hash was found right, and returns its size in bytes. The
// caller closes it. A name that the version does not have is fs.ErrNotExist;
// faults: quarantined, storage-failed.
func (s *Store) OpenFile(v Version, name string) (io.ReadSeekCloser, int64, error) {
	all, err := s.files(v)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range all {
		if e.name == name {
			return s.openBlob(e.hex, e.size)
		}
	}
	return nil, 0, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// sameFiles reports whether the folder holds the very blobs.
func (s *Store) sameFiles(dir string, all []entry) bool {
	for _, e := range all {
		here, err1 := os.Lstat(filepath.Join(dir, filepath.FromSlash(e.name)))
		blob, err2 := os.Lstat(s.blobPath(e.hex))
		if err1 != nil || err2 != nil || !os.SameFile(here, blob) {
			return false
		}
	}
	return true
}

// makeView builds the folder inside an upload's, so that a crash leaves it to
// the next sweep, and moves it to its place in one step. Whatever is there and
// is not right is moved away.
func (s *Store) makeView(dir string, all []entry) error {
	in, err := s.Ingest()
	if err != nil {
		return err
	}
	defer func() { _ = in.Discard() }()
	links := map[string]string{}
	for _, e := range all {
		links[e.name] = s.blobPath(e.hex)
	}
	built := filepath.Join(in.dir, "view")
	if err := s.linkAll(built, links); err != nil {
		return err
	}
	err = s.disk.Rename(built, dir)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if s.sameFiles(dir, all) { // somebody else was faster
		return nil
	}
	if err := s.disk.Rename(dir, filepath.Join(in.dir, "old")); err != nil {
		return err
	}
	return s.disk.Rename(built, dir)
}

// linkAll makes a folder of hard links. The names have passed checkLabel.
func (s *Store) linkAll(dir string, links map[string]string) error {
	if err := s.disk.Mkdir(dir); err != nil {
		return err
	}
	made := map[string]bool{dir: true}
	for name, from := range links {
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := s.folders(filepath.Dir(to), made); err != nil {
			return err
		}
		if err := s.disk.Link(from, to); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

func (s *Store) folders(dir string, made map[string]bool) error {
	if made[dir] {
		return nil
	}
	if err := s.folders(filepath.Dir(dir), made); err != nil {
		return err
	}
	made[dir] = true
	return s.disk.Mkdir(dir)
}

// View returns a folder that holds the upload's complete files under their
// labels, to examine the bundle from the same layout that it will be loaded
// from. It goes with the upload; files closed later join it at the next call.
func (in *Ingest) View() (string, error) {
	dir := filepath.Join(in.dir, "view")
	var all []entry
	links := map[string]string{}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.gone {
		return "", errDiscarded
	}
	for _, f := range in.files {
		all = append(all, entry{f.Label, f.SHA256, f.Size})
		links[f.Label] = f.path
	}
	if err := checkFolders(all); err != nil {
		return "", invalidBundle("%v", err)
	}
	return dir, storage(in.store.linkAll(dir, links))
}
