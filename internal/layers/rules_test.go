package layers

import (
	"fmt"
	"go/ast"
	"go/token"
	"strings"
)

// A rule looks at one package and returns what is wrong with it, one sentence
// a finding, beginning with the place.
type rule struct {
	name  string
	check func(h house, g graph, p *pkg) []string
}

// rules is everything that is held; TestRulesCanFail shows that each can fail.
func rules(std map[string]string) []rule {
	return []rule{
		{"listed", listed},
		{"rows", rows},
		{"test support", testSupport},
		{"only", onlyThere},
		{"apart", keptApart},
		{"state", stateFiles},
		{"names", ownName(std)},
		{"sleep", noSleep},
		{"comment", packageComment},
	}
}

func listed(h house, _ graph, p *pkg) []string {
	if _, ok := h.row[p.path]; ok || h.support[p.path] {
		return nil
	}
	return []string{p.path + " is not in layers.txt: give it a row"}
}

// rows: every import of the module's own points down.
func rows(h house, _ graph, p *pkg) []string {
	var wrong []string
	if h.support[p.path] {
		return nil
	}
	for _, f := range p.files {
		for _, to := range f.local {
			if f.external || h.support[to] || to == p.path || h.row[to] < h.row[p.path] {
				continue
			}
			hint := ""
			if f.test {
				hint = fmt.Sprintf("; an external test package, %s_test, may", p.name())
			}
			wrong = append(wrong, fmt.Sprintf("%s: %s (row %d) imports %s (row %d): imports point to lower rows only%s",
				f.path, p.path, h.row[p.path], to, h.row[to], hint))
		}
	}
	return wrong
}

// testSupport: what exists for tests is imported by tests.
func testSupport(h house, _ graph, p *pkg) []string {
	var wrong []string
	for _, f := range p.files {
		for _, to := range f.local {
			if h.support[to] && !f.test && !h.support[p.path] {
				wrong = append(wrong, fmt.Sprintf("%s imports %s, which is for test files", f.path, to))
			}
		}
	}
	return wrong
}

// onlyThere: a library has the doors that the table names, in tests too.
func onlyThere(h house, _ graph, p *pkg) []string {
	var wrong []string
	for _, f := range p.files {
		for _, to := range f.foreign {
			for library, doors := range h.only {
				below := to == library || strings.HasPrefix(to, library+"/")
				if below && !set(doors)[p.path] {
					wrong = append(wrong, fmt.Sprintf("%s imports %q, which only %s may", f.path, to, strings.Join(doors, ", ")))
				}
			}
		}
	}
	return wrong
}

// keptApart: no package reaches both sides, unless through one that may.
// External tests may wire both, but neither side imports the other even there.
func keptApart(h house, g graph, p *pkg) []string {
	var wrong []string
	for _, a := range h.apart {
		isA := func(q string) bool { return covers(a.a, q) }
		isB := func(q string) bool { return covers(a.b, q) }
		for _, f := range p.files {
			for _, to := range f.local {
				if isA(p.path) && isB(to) || isB(p.path) && isA(to) {
					wrong = append(wrong, fmt.Sprintf("%s: %s imports %s: the two do not know each other", f.path, p.path, to))
				}
			}
		}
		if a.by[p.path] || h.support[p.path] || len(wrong) > 0 {
			continue
		}
		toA, toB := g.reaches(p.path, isA, a.by), g.reaches(p.path, isB, a.by)
		if toA != nil && toB != nil {
			wrong = append(wrong, fmt.Sprintf("%s reaches both %s (%s) and %s (%s)",
				p.path, a.a, strings.Join(toA, " → "), a.b, strings.Join(toB, " → ")))
		}
	}
	return wrong
}

// creating are the functions of os that make or move files. Removing is not
// among them: what durable has written, its owner may sweep.
var creating = set(strings.Fields(
	"WriteFile Create CreateTemp OpenFile OpenRoot Rename Link Symlink Mkdir MkdirAll MkdirTemp Truncate CopyFS"))

// reading are the flags that os.OpenFile may be given anywhere.
var reading = set(strings.Fields("O_RDONLY O_NOFOLLOW O_CLOEXEC O_NONBLOCK O_DIRECTORY"))

// stateFiles: only internal/durable and the table's "writes" make files.
func stateFiles(h house, _ graph, p *pkg) []string {
	var wrong []string
	if p.path == "internal/durable" || h.support[p.path] {
		return nil
	}
	for _, f := range p.files {
		if f.test {
			continue
		}
		if f.importedAs("os") == "." {
			wrong = append(wrong, f.path+": import os by its name, so that writes can be seen")
		}
		f.uses("os", func(name string, at token.Pos, around []ast.Node) {
			if !creating[name] || name == "OpenFile" && opensToRead(around) || h.writes[p.path+"."+function(around)] != "" {
				return
			}
			wrong = append(wrong, fmt.Sprintf("%s: os.%s: state is written through internal/durable; "+
				"a file that is not state needs a writes line in layers.txt", f.at(at), name))
		})
	}
	return wrong
}

// opensToRead reports whether the innermost node is a call whose second
// argument holds reading flags only.
func opensToRead(around []ast.Node) bool {
	call, ok := around[len(around)-1].(*ast.CallExpr)
	if !ok || len(call.Args) != 3 {
		return false
	}
	harmless := true
	ast.Inspect(call.Args[1], func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			harmless = harmless && reading[n.Sel.Name]
			return false
		case *ast.Ident, *ast.CallExpr:
			harmless = false
		case *ast.BasicLit:
			harmless = harmless && n.Value == "0"
		}
		return true
	})
	return harmless
}

// function is the name of the declared function around a node.
func function(around []ast.Node) string {
	for _, n := range around {
		if decl, ok := n.(*ast.FuncDecl); ok {
			return decl.Name.Name
		}
	}
	return ""
}

// ownName: a package named like one of the standard library's makes every
// import of that one a puzzle.
func ownName(std map[string]string) func(house, graph, *pkg) []string {
	return func(_ house, _ graph, p *pkg) []string {
		if theirs, ok := std[p.name()]; ok {
			return []string{fmt.Sprintf("%s is named like the standard %s: choose another name", p.path, theirs)}
		}
		return nil
	}
}

// noSleep: a test waits for what happens, or runs in a testing/synctest bubble.
func noSleep(h house, _ graph, p *pkg) []string {
	var wrong []string
	for _, f := range p.files {
		if !f.test && !h.support[p.path] {
			continue
		}
		f.uses("time", func(name string, at token.Pos, _ []ast.Node) {
			if name == "Sleep" {
				wrong = append(wrong, f.at(at)+": tests do not sleep: wait for the event, or use testing/synctest")
			}
		})
	}
	return wrong
}

// packageComment: each package says in one place what it is for.
func packageComment(_ house, _ graph, p *pkg) []string {
	for _, f := range p.files {
		if f.ast.Doc == nil {
			continue
		}
		text := f.ast.Doc.Text()
		if strings.HasPrefix(text, "Package "+p.name()+" ") || p.name() == "main" && strings.HasPrefix(text, "Command ") {
			return nil
		}
	}
	return []string{p.path + ` has no package comment ("Package ` + p.name() + ` …", for a command "Command …"): what is it for, who may call it?`}
}
