package bundle

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"slices"
)

// WriteTar writes the folder as the tar that Receive reads: the manifest
// first, then the model and the signature, then the rest by name. The manifest
// goes as it is, so the bundle that comes out has the digest of the one that
// went in; the same folder gives the same bytes every time.
func WriteTar(w io.Writer, files fs.FS) error {
	raw, err := readAll(files, ManifestFile, DefaultManifest)
	if err != nil {
		return err
	}
	m, err := ParseManifest(raw)
	if err != nil {
		return err
	}
	out := tar.NewWriter(w)
	if err := out.WriteHeader(header(ManifestFile, int64(len(raw)))); err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	if _, err := out.Write(raw); err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	buffer := make([]byte, bufferSize)
	for _, name := range tarOrder(m) {
		if err := writeFile(out, files, name, m.Files[name].Size, buffer); err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	return nil
}

func writeFile(out *tar.Writer, files fs.FS, name string, size int64, buffer []byte) error {
	file, err := files.Open(name)
	if err != nil {
		return unreadable(name, err)
	}
	defer file.Close()
	if err := out.WriteHeader(header(name, size)); err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{file}, buffer)
	if err != nil {
		return fmt.Errorf("write %s into the bundle: %w", name, err)
	}
	if n != size {
		return refuse("%s is not the file of %d bytes that the manifest lists", name, size)
	}
	return nil
}

// header holds nothing but name and size: no time, no owner.
func header(name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644}
}

// tarOrder puts what a receiver wants to see early in front.
func tarOrder(m *Manifest) []string {
	var first []string
	for _, name := range []string{ModelFile, SignatureFile} {
		if m.Has(name) {
			first = append(first, name)
		}
	}
	rest := slices.DeleteFunc(sortedKeys(m.Files), func(name string) bool { return slices.Contains(first, name) })
	return append(first, rest...)
}
