package layers

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLicencesAreNoted: a dependency that comes in brings its licence, so that
// somebody has read it before the code is used.
func TestLicencesAreNoted(t *testing.T) {
	page := read(t, "docs", "licences.md")
	if lines := missingLicences(page, read(t, "go.mod"), modules); len(lines) > 0 {
		t.Errorf("docs/licences.md lacks %s of go.mod", strings.Join(lines, ", "))
	}
	locks, err := filepath.Glob(filepath.Join(root, "python", "requirements*.lock"))
	if err != nil {
		t.Fatal(err)
	}
	for _, lock := range locks {
		if lines := missingLicences(page, read(t, "python", filepath.Base(lock)), pins); len(lines) > 0 {
			t.Errorf("docs/licences.md lacks %s of %s", strings.Join(lines, ", "), lock)
		}
	}
}

func TestLicencesCanBeMissing(t *testing.T) {
	const page = "| example.org/noted | MIT |\n| some-package | MIT |\n"
	mod := "module example.org/x\n\nrequire example.org/noted v1.0.0\nrequire (\n\texample.org/other v0.1.0 // indirect\n)\n"
	if got := strings.Join(missingLicences(page, mod, modules), " "); got != "example.org/other" {
		t.Errorf("go.mod: got %q", got)
	}
	lock := "Some_Package==1 \\\n    --hash=sha256:00\n# via x==2\nanother[extra]==2.0 ; python_version < '4'\n"
	if got := strings.Join(missingLicences(page, lock, pins), " "); got != "another" {
		t.Errorf("lock: got %q", got)
	}
}

var (
	modules = regexp.MustCompile(`(?m)^(?:require)?\s+([a-z][^\s]*\.[^\s]+) v\S+`)
	pins    = regexp.MustCompile(`(?m)^([A-Za-z0-9][\w.-]*)(?:\[[^]]*\])?==`)
)

// missingLicences returns the names found in list that have no row in page.
// Python's names are compared in lower case and with hyphens, as PyPI does.
func missingLicences(page, list string, names *regexp.Regexp) []string {
	var missing []string
	for _, m := range names.FindAllStringSubmatch(list, -1) {
		name := m[1]
		if names == pins {
			name = strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
		}
		if !strings.Contains(page, "| "+name+" |") {
			missing = append(missing, name)
		}
	}
	return missing
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
