package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"
)

// Manifest is the label of the file whose digest is the version's, and which
// lists all others.
const Manifest = "manifest.json"

// maxManifest bounds what is read into memory: 16 MiB list some 100,000 files.
const maxManifest = 16 << 20

// maxName is the longest file name, in bytes, of every file system we run on.
const maxName = 255

// listed is what the registry reads of a manifest; what the rest of it means
// is the bundle's business.
type listed struct {
	Files map[string]struct {
		Size   int64  `json:"size"`
		SHA256 string `json:"sha256"`
	} `json:"files"`
}

// entry is one file of a version.
type entry struct {
	name string
	hex  string
	size int64
}

// entries lists a version's files, sorted by name, the manifest itself among
// them.
func entries(manifest []byte, hexDigest string) ([]entry, error) {
	var l listed
	if err := json.Unmarshal(manifest, &l); err != nil {
		return nil, fmt.Errorf("%s is not a manifest: %w", Manifest, err)
	}
	all := []entry{{Manifest, hexDigest, int64(len(manifest))}}
	for name, f := range l.Files {
		if err := checkLabel(name); err != nil {
			return nil, err
		}
		if name == Manifest {
			return nil, fmt.Errorf("%s lists itself", Manifest)
		}
		if !validHex(f.SHA256) || f.Size < 0 {
			return nil, fmt.Errorf("%s gives %q no size and SHA-256 in 64 small hex digits", Manifest, name)
		}
		all = append(all, entry{name, f.SHA256, f.Size})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].name < all[j].name })
	return all, checkFolders(all)
}

// checkLabel accepts what can be a file of a version: a relative path with
// slashes, without anything hidden, odd or pointing elsewhere. It becomes a
// path only inside a view.
func checkLabel(name string) error {
	odd := !fs.ValidPath(name) || name == "." || path.Clean(name) != name ||
		strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' || r == '\ufffd' })
	for _, part := range strings.Split(name, "/") {
		odd = odd || strings.HasPrefix(part, ".") || len(part) > maxName
	}
	if odd || len(name) > 4*maxName {
		return fmt.Errorf("%.80q cannot be a file of a version: "+
			"use a plain relative name such as model.onnx or golden/answers.jsonl.gz", name)
	}
	return nil
}

// checkFolders refuses a name that is a file and a folder at once.
func checkFolders(sorted []entry) error {
	files := map[string]bool{}
	for _, e := range sorted {
		files[e.name] = true
	}
	for _, e := range sorted {
		for dir := path.Dir(e.name); dir != "."; dir = path.Dir(dir) {
			if files[dir] {
				return fmt.Errorf("%q is both a file and the folder of %q", dir, e.name)
			}
		}
	}
	return nil
}

// files reads a version's manifest out of its blob.
func (s *Store) files(v Version) ([]entry, error) {
	digits, err := hexOf(v.Digest)
	if err != nil {
		return nil, err
	}
	f, size, err := s.openBlob(digits, -1)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if size > maxManifest {
		return nil, damagedBlob(digits, errNotPlain)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, storage(err)
	}
	if digestOf(data) != v.Digest {
		return nil, damagedBlob(digits, errors.New("it changed while it was read"))
	}
	all, err := entries(data, digits)
	if err != nil {
		return nil, damagedBlob(digits, err)
	}
	return all, nil
}
