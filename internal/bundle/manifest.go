package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Version is the version of the bundle format that this package reads.
const Version = 1

// maxFiles bounds how many files a manifest may list.
const maxFiles = 4096

// What people write about a bundle is shown in lists and pages, so it is short:
// bytes of the description and of each other text, and how many tags or metrics.
const (
	maxDescription  = 64 << 10
	maxAboutText    = 4 << 10
	maxAboutEntries = 1000
)

// Manifest lists the files of a bundle and says what the bundle is. Its digest
// is the bundle's.
type Manifest struct {
	Bundle      int               // the format's version, 1
	Name        string            // the model's name, empty where the bundle has none; its grammar is ref's
	Task        string            // what the model does, as the kit says ("classification")
	Description string            // a sentence for people
	Tags        map[string]string // free labels
	Metrics     map[string]Scalar // what the training measured
	Kit         string            // what wrote the bundle
	Created     string            // when, RFC 3339
	Files       map[string]File   // every other file, by name
}

// File is what a manifest says of one file.
type File struct {
	Size   int64  // bytes
	SHA256 string // 64 lower-case hex digits
}

// Has reports whether the manifest lists a file of this name.
func (m *Manifest) Has(name string) bool {
	_, ok := m.Files[name]
	return ok
}

// Bare reports whether the bundle is a model without a signature.
func (m *Manifest) Bare() bool { return !m.Has(SignatureFile) }

// Digest returns "sha256:…" of a manifest's bytes, which is the digest of the
// bundle: the manifest holds the digests of all other files.
func Digest(manifest []byte) string {
	sum := sha256.Sum256(manifest)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// BareManifest returns the manifest of a lone model file. It holds nothing
// else, so the same model is always the same bundle.
func BareManifest(modelSize int64, modelSHA256 string) []byte {
	return fmt.Appendf(nil, `{"bundle":%d,"files":{"%s":{"size":%d,"sha256":"%s"}}}`,
		Version, ModelFile, modelSize, modelSHA256)
}

// ParseManifest reads manifest.json. Members it does not know are ignored;
// those it knows must be right.
func ParseManifest(data []byte) (*Manifest, error) {
	f := &findings{file: ManifestFile, remedy: "export the bundle again with the kit, and do not edit it by hand"}
	root, ok := parseObject(data, f)
	if !ok {
		return nil, f.err()
	}
	version := root.integer("bundle", required)
	if f.fault == nil && version != Version {
		return nil, refuse("manifest.json is of bundle format %d, and this server reads format %d: "+
			"update the server, or export with a kit of its release", version, Version)
	}
	m := &Manifest{
		Bundle:      Version,
		Name:        root.text("name", optional),
		Task:        root.text("task", optional),
		Description: root.text("description", optional),
		Tags:        root.texts("tags"),
		Metrics:     root.scalars("metrics"),
		Kit:         root.text("kit", optional),
		Created:     root.text("created", optional),
		Files:       decodeFiles(root, f),
	}
	if f.fault == nil {
		checkFiles(m, f)
		checkAbout(m, f)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return m, nil
}

func decodeFiles(root node, f *findings) map[string]File {
	list, ok := root.object("files", required)
	if !ok {
		return nil
	}
	if len(list.members) > maxFiles {
		f.add("files", "limit", "%d files are listed, and at most %d are allowed", len(list.members), maxFiles)
		return nil
	}
	files := make(map[string]File, len(list.members))
	for _, name := range list.names() {
		entry, ok := list.object(name, required)
		if !ok {
			continue
		}
		file := File{Size: entry.integer("size", required), SHA256: entry.text("sha256", required)}
		if file.Size < 0 {
			f.add(entry.path+".size", "range", "a size cannot be negative")
		}
		if !hexDigest(file.SHA256) {
			f.add(entry.path+".sha256", "digest", "expected 64 lower-case hex digits, got %s", quote(file.SHA256))
		}
		files[name] = file
	}
	return files
}

// checkFiles holds the names to the rules and the set to what a bundle needs.
func checkFiles(m *Manifest, f *findings) {
	folded := make(map[string]string, len(m.Files))
	for _, name := range sortedKeys(m.Files) {
		place := "files[" + quote(name) + "]"
		if bad := badFileName(name); bad != "" {
			f.add(place, "name", "%s", bad)
		}
		if strings.EqualFold(name, ManifestFile) {
			f.add(place, "name", "the manifest must not list itself")
		}
		fold := strings.ToLower(name)
		if other, taken := folded[fold]; taken {
			f.add(place, "name", "differs from %s only in case, which some file systems do not tell apart", quote(other))
		}
		folded[fold] = name
	}
	if !m.Has(ModelFile) {
		f.add("files", "missing", "%s is not listed: every bundle holds a model", ModelFile)
	}
	if m.Has(RequestsFile) != m.Has(AnswersFile) {
		f.add("files", "missing", "%s and %s come together, and only one is listed", RequestsFile, AnswersFile)
	}
	if m.Has(CoverageFile) && !m.Has(RequestsFile) {
		f.add("files", "missing", "%s tells of a golden set, and %s is not listed", CoverageFile, RequestsFile)
	}
}

// checkAbout holds what the manifest says of the bundle to its bounds.
func checkAbout(m *Manifest, f *findings) {
	if _, err := time.Parse(time.RFC3339, m.Created); m.Created != "" && err != nil {
		f.add("created", "time", "expected a time as in RFC 3339, such as 2026-01-31T12:00:00Z, got %s", quote(m.Created))
	}
	short := func(place, text string, most int) {
		if len(text) > most {
			f.add(place, "limit", "%d bytes are more than the %d that are allowed", len(text), most)
		}
	}
	short("description", m.Description, maxDescription)
	short("task", m.Task, maxAboutText)
	short("kit", m.Kit, maxAboutText)
	for place, count := range map[string]int{"tags": len(m.Tags), "metrics": len(m.Metrics)} {
		if count > maxAboutEntries {
			f.add(place, "limit", "%d are more than the %d that are allowed", count, maxAboutEntries)
		}
	}
	for _, name := range sortedKeys(m.Tags) {
		short("tags["+quote(name)+"]", name+m.Tags[name], maxAboutText)
	}
	for _, name := range sortedKeys(m.Metrics) {
		short("metrics["+quote(name)+"]", name, maxAboutText)
	}
}

func hexDigest(s string) bool {
	if len(s) != 2*sha256.Size {
		return false
	}
	return strings.Trim(s, "0123456789abcdef") == ""
}
