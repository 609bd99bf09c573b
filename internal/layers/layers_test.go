package layers

import (
	_ "embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

//go:embed layers.txt
var table string

// root is the module's, seen from this folder.
var root = filepath.Join("..", "..")

func theHouse(t *testing.T) house {
	t.Helper()
	h, err := readHouse(table)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHouse(t *testing.T) {
	h, g := theHouse(t), load(t, os.DirFS(root))
	for _, r := range rules(standardNames(t)) {
		t.Run(r.name, func(t *testing.T) {
			for _, p := range g.paths() {
				for _, finding := range r.check(h, g, g[p]) {
					t.Error(finding)
				}
			}
		})
	}
}

// TestRulesCanFail breaks each rule in a house of a few lines.
func TestRulesCanFail(t *testing.T) {
	const ours = `import _ "example.org/house/`
	tests := []struct {
		rule, name, file, text string
		want                   string // "" if the rule has nothing to say
	}{
		{"listed", "unknown package", "attic/a.go", "package attic", "attic is not in layers.txt"},
		{"rows", "down", "registry/a.go", "package registry; " + ours + `internal/bundle"`, ""},
		{"rows", "up", "internal/bundle/a.go", "package bundle; " + ours + `registry"`, "internal/bundle (row 2) imports registry (row 3)"},
		{"rows", "sideways", "api/core/a.go", "package core; " + ours + `runtime/ort"`, "imports runtime/ort (row 5)"},
		{"rows", "up in another platform's file", "api/wire/a_plan9.go", "package wire; " + ours + `web"`, "imports web"},
		{"rows", "up in a test", "api/wire/a_test.go", "package wire; " + ours + `web"`, "an external test package, wire_test, may"},
		{"rows", "up in an external test", "api/wire/a_test.go", "package wire_test; " + ours + `web"`, ""},
		{"test support", "in the server", "api/a.go", "package api; " + ours + `internal/testkit"`, "is for test files"},
		{"test support", "in a test", "api/a_test.go", "package api; " + ours + `internal/testkit"`, ""},
		{"only", "cgo", "registry/a.go", "package registry; import \"C\"", `imports "C", which only runtime/ort may`},
		{"only", "cgo in its place", "runtime/ort/a.go", "package ort; import \"C\"", ""},
		{"only", "binding", "api/a.go", `package api; import _ "github.com/yalue/onnxruntime_go"`, "only runtime/ort"},
		{"only", "gin in the core", "api/core/a.go", `package core; import _ "github.com/gin-gonic/gin/binding"`, "only api, api/v1"},
		{"only", "gin in the client", "api/client/a_test.go", `package client; import _ "github.com/gin-gonic/gin"`, "only api, api/v1"},
		{"only", "gin in a dialect", "api/tfs/a.go", `package tfs; import _ "github.com/gin-gonic/gin"`, ""},
		{"only", "viper", "cmd/tenon/a.go", `package main; import _ "github.com/spf13/viper"`, "only internal/config"},
		{"only", "cobra", "api/a.go", `package api; import _ "github.com/spf13/cobra/doc"`, "only cmd/tenon"},
		{"apart", "directly", "registry/a.go", "package registry; " + ours + `runtime/engine"`, "the two do not know each other"},
		{"apart", "directly in a test", "runtime/host/a_test.go", "package host_test; " + ours + `registry"`, "the two do not know each other"},
		{"apart", "through others", "api/v1/a.go", "package v1; " + ours + `shelf"; ` + ours + `engineroom"`, "reaches both registry (api/v1 → shelf → registry)"},
		{"apart", "through lifecycle", "api/v1/a.go", "package v1; " + ours + `internal/lifecycle"; ` + ours + `runtime/host"`, ""},
		{"state", "write", "registry/a.go", `package registry; import "os"; func f() { os.WriteFile("a", nil, 0) }`, "registry/a.go:1: os.WriteFile"},
		{"state", "write under another name", "registry/a.go", `package registry; import sys "os"; var w = sys.Rename`, "os.Rename"},
		{"state", "write without a name", "registry/a.go", `package registry; import . "os"; var w = Rename`, "import os by its name"},
		{"state", "open to write", "registry/a.go", `package registry; import "os"; var f, _ = os.OpenFile("a", os.O_RDONLY|os.O_CREATE, 0)`, "os.OpenFile"},
		{"state", "open by unknown flags", "registry/a.go", `package registry; import "os"; func f(n int) { os.OpenFile("a", n, 0) }`, "os.OpenFile"},
		{"state", "open to read", "registry/a.go", `package registry; import ("os"; "syscall"); var f, _ = os.OpenFile("a", os.O_RDONLY|syscall.O_NOFOLLOW, 0)`, ""},
		{"state", "in a test", "registry/a_test.go", `package registry; import "os"; var w = os.Create`, ""},
		{"state", "in durable", "internal/durable/a.go", `package durable; import "os"; var w = os.Link`, ""},
		{"state", "allowed function", "cmd/tenon/a.go", `package main; import "os"; func createOutput() { os.Create("a") }`, ""},
		{"state", "function beside it", "cmd/tenon/a.go", `package main; import "os"; func other() { os.Create("a") }`, "os.Create"},
		{"names", "of the standard library", "internal/json/a.go", "package json", "named like the standard encoding/json"},
		{"names", "of a version of it", "internal/rand/a.go", "package rand", "named like the standard"},
		{"sleep", "in a test", "web/a_test.go", `package web; import "time"; func f() { time.Sleep(1) }`, "web/a_test.go:1: tests do not sleep"},
		{"sleep", "in test support", "internal/testkit/a.go", `package testkit; import "time"; func f() { time.Sleep(1) }`, "tests do not sleep"},
		{"sleep", "elsewhere", "web/a.go", `package web; import "time"; func f() { time.Sleep(1) }`, ""},
		{"comment", "none", "web/a.go", "// Copyright\n\npackage web", "web has no package comment"},
		{"comment", "of another package", "web/a.go", "// Package site is gone.\npackage web", "web has no package comment"},
		{"comment", "of a command", "cmd/tenon/a.go", "// Command tenon serves.\npackage main", ""},
	}
	h, tried := theHouse(t), map[string]bool{}
	all := map[string]rule{}
	for _, r := range rules(standardNames(t)) {
		all[r.name] = r
	}
	for _, tt := range tests {
		tried[tt.rule] = tried[tt.rule] || tt.want != ""
		t.Run(tt.rule+"/"+tt.name, func(t *testing.T) {
			g := load(t, small(tt.file, tt.text))
			got := strings.Join(all[tt.rule].check(h, g, g[path.Dir(tt.file)]), "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("%s says %q, want %q", tt.rule, got, tt.want)
			}
		})
	}
	for name := range all {
		if !tried[name] {
			t.Errorf("no test shows that the rule %q can fail", name)
		}
	}
}

// small is a module that keeps the rules, with one file more: a lifecycle that
// knows both sides, and two packages that know one each.
func small(name, text string) fs.FS {
	const house = "example.org/house/"
	imports := func(pkg string, paths ...string) *fstest.MapFile {
		src := "package " + pkg + "\n"
		for _, p := range paths {
			src += fmt.Sprintf("import _ %q\n", house+p)
		}
		return &fstest.MapFile{Data: []byte(src)}
	}
	return fstest.MapFS{
		"go.mod":                  {Data: []byte("module example.org/house\n")},
		"registry/r.go":           imports("registry", "internal/bundle"),
		"runtime/host/h.go":       imports("host", "runtime/engine"),
		"internal/lifecycle/l.go": imports("lifecycle", "registry", "runtime/host"),
		"shelf/s.go":              imports("shelf", "registry"),
		"engineroom/e.go":         imports("engineroom", "runtime/host"),
		"tools/go.mod":            {Data: []byte("module example.org/tools\n")},
		"tools/t.go":              {Data: []byte("not Go, and not looked at")},
		name:                      {Data: []byte(text)},
	}
}

func TestTableErrorsNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"row 1 a\nrow 0 a":    "layers.txt:2: a stands in the table twice",
		"# x\n\nrow top a":    `layers.txt:3: row "top" is not a number`,
		"writes cmd/tenon.f":  `layers.txt:1: cannot read "writes"`,
		"apart a b through c": `layers.txt:1: cannot read "apart"`,
		"rows 3 a":            `layers.txt:1: cannot read "rows"`,
	} {
		if _, err := readHouse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("readHouse(%q) = %v, want %q", text, err, want)
		}
	}
}

// standardNames maps the name of each package that the standard library
// exports to its path.
func standardNames(t *testing.T) map[string]string {
	t.Helper()
	out, err := exec.Command("go", "list", "std").Output()
	if err != nil {
		t.Fatalf("go list std: %v", err)
	}
	names := map[string]string{}
	version := regexp.MustCompile(`^v[0-9]+$`)
	for _, p := range strings.Fields(string(out)) {
		if strings.HasPrefix(p, "vendor/") || regexp.MustCompile(`(^|/)internal(/|$)`).MatchString(p) {
			continue
		}
		base := path.Base(p)
		if version.MatchString(base) {
			base = path.Base(path.Dir(p))
		}
		names[base] = p
	}
	return names
}

// TestBindingVersion: the binding's `latest` is an old one, so an upgrade by
// habit would be a downgrade; and 1.36.0 is the one that fits our ONNX Runtime.
func TestBindingVersion(t *testing.T) {
	const binding, want = "github.com/yalue/onnxruntime_go", "v1.36.0"
	lines := regexp.MustCompile(`(?m)^.*`+regexp.QuoteMeta(binding)+`\b.*$`).FindAllString(read(t, "go.mod"), -1)
	if len(lines) != 1 || !strings.Contains(lines[0]+" ", " "+want+" ") {
		t.Errorf("go.mod says %q, want one line with %s %s: go get %s@%s", lines, binding, want, binding, want)
	}
}

// TestOneRuntime: server and kit run the same ONNX Runtime, byte for byte.
func TestOneRuntime(t *testing.T) {
	kit := read(t, "python", "requirements.lock")
	pinned := regexp.MustCompile(`onnxruntime==\S+|sha256:[0-9a-f]{64}`).FindAllString(read(t, "scripts", "onnxruntime.lock"), -1)
	if len(pinned) != 4 {
		t.Errorf("scripts/onnxruntime.lock pins %q, want one version and three wheels", pinned)
	}
	for _, pin := range pinned {
		if !strings.Contains(kit, pin) {
			t.Errorf("scripts/onnxruntime.lock has %s, python/requirements.lock does not", pin)
		}
	}
}
