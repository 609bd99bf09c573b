package bundle

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The names of a bundle's files. Other files, such as a model's external data,
// lie beside them under plain names.
const (
	ManifestFile    = "manifest.json"
	ModelFile       = "model.onnx"
	SignatureFile   = "signature.json"
	ProfileFile     = "profile.json"
	EnvironmentFile = "environment.json"
	ReadmeFile      = "README.md"
	RequestsFile    = "golden/requests.jsonl.gz"
	AnswersFile     = "golden/answers.jsonl.gz"
	CoverageFile    = "golden/coverage.json"

	goldenFolder = "golden"
)

// maxFileName is the longest file name in bytes: file systems allow 255, and
// temporary names are built around it.
const maxFileName = 200

// badFileName says what is wrong with a file name of a manifest or a tar, or
// returns "" for a good one. Good are the golden files and plain names: no
// separator, so that no name can lead out of a version's folder.
func badFileName(name string) string {
	switch {
	case name == RequestsFile || name == AnswersFile || name == CoverageFile:
		return ""
	case name == "":
		return "the name is empty"
	case len(name) > maxFileName:
		return "the name is longer than 200 bytes"
	case strings.ContainsAny(name, `/\`):
		return "only plain names are allowed: files lie beside the manifest, never in other folders"
	case name[0] == '.':
		return "names must not start with a dot"
	case strings.EqualFold(name, goldenFolder):
		return `"golden" is the name of a folder`
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return "the name holds control characters or is not UTF-8"
	}
	return ""
}
