package layers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// A pkg is one folder of Go files. Its path is relative to the module's root,
// as in the table.
type pkg struct {
	path  string
	files []file
}

// A file is one Go file, whatever its build tags. Imports inside the module
// are in local (relative, as in the table), all others in foreign.
type file struct {
	path     string
	ast      *ast.File
	fset     *token.FileSet
	test     bool // its name ends in _test.go
	external bool // its package clause does: package x_test
	local    []string
	foreign  []string
}

// A graph is the module by path of the package.
type graph map[string]*pkg

// notOurs are folders without Go code of this module; node_modules and Python
// environments hold some of their own.
var notOurs = map[string]bool{"testdata": true, "var": true, "bin": true, "node_modules": true}

// load parses the module whose go.mod is at the root of fsys. It reads text
// and not `go list`, because that sees only the files of one platform.
func load(t *testing.T, fsys fs.FS) graph {
	t.Helper()
	module := moduleName(t, fsys)
	g := graph{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && skipped(fsys, name):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		f, err := parse(fsys, module, name)
		if err != nil {
			return err
		}
		dir := path.Dir(name)
		if g[dir] == nil {
			g[dir] = &pkg{path: dir}
		}
		g[dir].files = append(g[dir].files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func skipped(fsys fs.FS, dir string) bool {
	base := path.Base(dir)
	if base[0] == '.' || base[0] == '_' || notOurs[base] {
		return true
	}
	_, err := fs.Stat(fsys, path.Join(dir, "go.mod")) // a module of its own, as tools/
	return err == nil
}

func moduleName(t *testing.T, fsys fs.FS) string {
	t.Helper()
	text, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^module\s+(\S+)`).FindSubmatch(text)
	if m == nil {
		t.Fatal("go.mod names no module")
	}
	return string(m[1])
}

func parse(fsys fs.FS, module, name string) (file, error) {
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return file{}, err
	}
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return file{}, err
	}
	f := file{path: name, ast: tree, fset: fset, test: strings.HasSuffix(name, "_test.go")}
	f.external = f.test && strings.HasSuffix(tree.Name.Name, "_test")
	for _, spec := range tree.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return file{}, err
		}
		if p == module {
			f.local = append(f.local, ".")
		} else if rest, ok := strings.CutPrefix(p, module+"/"); ok {
			f.local = append(f.local, rest)
		} else {
			f.foreign = append(f.foreign, p)
		}
	}
	return f, nil
}

// paths returns the packages in a stable order.
func (g graph) paths() []string {
	var all []string
	for p := range g {
		all = append(all, p)
	}
	sort.Strings(all)
	return all
}

// reaches returns the shortest chain of imports from one package to any that
// matches, not walking through the packages in without; nil if there is none.
// Only what is built counts, test files do not.
func (g graph) reaches(from string, matches func(string) bool, without map[string]bool) []string {
	type step struct {
		at    string
		chain []string
	}
	seen := map[string]bool{from: true}
	queue := []step{{from, []string{from}}}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		if matches(s.at) {
			return s.chain
		}
		if g[s.at] == nil || without[s.at] {
			continue
		}
		for _, f := range g[s.at].files {
			for _, next := range f.local {
				if !f.test && !seen[next] {
					seen[next] = true
					queue = append(queue, step{next, append(s.chain[:len(s.chain):len(s.chain)], next)})
				}
			}
		}
	}
	return nil
}

// name is the package's name as its files declare it.
func (p *pkg) name() string {
	return strings.TrimSuffix(p.files[0].ast.Name.Name, "_test")
}

// uses calls visit with each selector pkg.Name of the file, for the package
// imported as importPath under whatever name, and with the expressions around
// it, innermost last.
func (f file) uses(importPath string, visit func(name string, at token.Pos, around []ast.Node)) {
	local := f.importedAs(importPath)
	if local == "" {
		return
	}
	var around []ast.Node
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if n == nil {
			around = around[:len(around)-1]
			return true
		}
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == local {
				visit(sel.Sel.Name, sel.Pos(), around)
			}
		}
		around = append(around, n)
		return true
	})
}

// importedAs returns the name that the file knows a package by: "" if it does
// not import it, "." if its names are in the file's own scope.
func (f file) importedAs(importPath string) string {
	for _, spec := range f.ast.Imports {
		if spec.Path.Value != strconv.Quote(importPath) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// at is the place of a position: file.go:12.
func (f file) at(p token.Pos) string {
	pos := f.fset.Position(p)
	return pos.Filename + ":" + strconv.Itoa(pos.Line)
}
