package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Limits of the files that are read whole. A signature of 65,536 columns takes
// about 10 MB, a profile ten times that.
const (
	maxSignature = 32 << 20
	maxProfile   = 128 << 20
	maxCoverage  = 1 << 20
	maxText      = 4 << 20
)

// Bundle is a version's folder, opened for reading. It holds no file open.
type Bundle struct {
	Manifest  *Manifest
	Raw       []byte     // the manifest's bytes
	Digest    string     // "sha256:…"
	Signature *Signature // nil for a bare model
	Profile   *Profile   // nil where the bundle has none
	// Coverage is golden/coverage.json in compact form, nil where the bundle has none.
	Coverage json.RawMessage

	files fs.FS
}

// Open reads manifest, signature, profile and coverage of the folder, and checks that
// the listed files are there in their sizes. Digests are the registry's to check.
func Open(files fs.FS) (*Bundle, error) {
	raw, err := readAll(files, ManifestFile, DefaultManifest)
	if err != nil {
		return nil, err
	}
	m, err := ParseManifest(raw)
	if err != nil {
		return nil, err
	}
	b := &Bundle{Manifest: m, Raw: raw, Digest: Digest(raw), files: files}
	for _, name := range sortedKeys(m.Files) {
		info, err := fs.Stat(files, name)
		if err != nil {
			return nil, unreadable(name, err)
		}
		if !info.Mode().IsRegular() || info.Size() != m.Files[name].Size {
			return nil, refuse("%s is not the file of %d bytes that the manifest lists", name, m.Files[name].Size)
		}
	}
	if err := b.readSignature(); err != nil {
		return nil, err
	}
	if err := b.readProfile(); err != nil {
		return nil, err
	}
	return b, b.readCoverage()
}

func (b *Bundle) readSignature() error {
	if b.Manifest.Bare() {
		return nil
	}
	data, err := readAll(b.files, SignatureFile, maxSignature)
	if err != nil {
		return err
	}
	b.Signature, err = ParseSignature(data)
	return err
}

func (b *Bundle) readProfile() error {
	if !b.Manifest.Has(ProfileFile) {
		return nil
	}
	data, err := readAll(b.files, ProfileFile, maxProfile)
	if err != nil {
		return err
	}
	b.Profile, err = ParseProfile(data, b.Signature)
	return err
}

func (b *Bundle) readCoverage() error {
	if !b.Manifest.Has(CoverageFile) {
		return nil
	}
	data, err := readAll(b.files, CoverageFile, maxCoverage)
	if err != nil {
		return err
	}
	size := int64(0)
	for _, f := range b.Manifest.Files {
		size += f.Size
	}
	b.Coverage, err = ParseCoverage(data, b.Signature, size)
	return err
}

// Model opens the model file; the caller closes it.
func (b *Bundle) Model() (fs.File, error) { return b.files.Open(ModelFile) }

// Readme returns the model card, or "" where the bundle has none.
func (b *Bundle) Readme() (string, error) {
	if !b.Manifest.Has(ReadmeFile) {
		return "", nil
	}
	text, err := readAll(b.files, ReadmeFile, maxText)
	return string(text), err
}

// Environment returns environment.json as it is, or nil where the bundle has none.
func (b *Bundle) Environment() (json.RawMessage, error) {
	if !b.Manifest.Has(EnvironmentFile) {
		return nil, nil
	}
	data, err := readAll(b.files, EnvironmentFile, maxText)
	if err == nil && !json.Valid(data) {
		return nil, refuse("%s is not JSON: export the bundle again with the kit", EnvironmentFile)
	}
	return data, err
}

// readAll reads a file of at most limit bytes.
func readAll(files fs.FS, name string, limit int64) ([]byte, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, unreadable(name, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, unreadable(name, err)
	}
	if int64(len(data)) > limit {
		return nil, refuse("%s is larger than %d bytes, which is the limit for it", name, limit)
	}
	return data, nil
}

// unreadable tells a file that is not there, which is the bundle's fault, from
// a disk that fails.
func unreadable(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return refuse("the bundle lacks %s: it is incomplete, so export or copy it again", name).Because(err)
	}
	return fmt.Errorf("read %s: %w", name, err)
}
