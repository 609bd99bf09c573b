package api_test

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/config"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
)

// section returns what docs/api.md says under a heading.
func section(t testing.TB, heading string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/api.md")
	must(t, err)
	_, after, found := strings.Cut(string(page), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("docs/api.md has no section %q", heading)
	}
	text, _, _ := strings.Cut(after, "\n## ")
	return text
}

// table returns the cells of the rows whose first cell is code, by that code.
func table(t testing.TB, text string) map[string][]string {
	t.Helper()
	rows := map[string][]string{}
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		key := strings.TrimSpace(cells[0])
		if !strings.HasPrefix(line, "| `") || strings.Count(key, "`") != 2 {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		key = strings.Trim(key, "`")
		if rows[key] != nil {
			t.Errorf("docs/api.md has two rows %s", key)
		}
		rows[key] = cells[1:]
	}
	return rows
}

// same holds two sets of names together.
func same(t *testing.T, what string, documented, real map[string]bool) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(documented)) {
		if !real[name] {
			t.Errorf("docs/api.md has the %s %s, and the server does not", what, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(real)) {
		if !documented[name] {
			t.Errorf("the server has the %s %s, and docs/api.md does not", what, name)
		}
	}
}

func names[V any](m map[string]V) map[string]bool {
	set := map[string]bool{}
	for name := range m {
		set[name] = true
	}
	return set
}

func TestRoutesAreDocumented(t *testing.T) {
	documented := map[string]bool{}
	places := strings.NewReplacer("{ref}", ":ref", "{name}", ":ref", "{n}", ":number", "{alias}", ":alias", "{id}", ":id")
	for route := range table(t, section(t, "Routes")) {
		documented[places.Replace(route)] = true
	}
	mounted := map[string]bool{}
	for _, route := range serve(t).handler.(*gin.Engine).Routes() {
		mounted[route.Method+" "+route.Path] = true
	}
	for route := range mounted { // HEAD is said once for all of them
		method, path, _ := strings.Cut(route, " ")
		if head := "HEAD " + path; method == "GET" && !mounted[head] {
			t.Errorf("%s has no HEAD", route)
		} else if method == "GET" {
			delete(mounted, head)
		}
	}
	same(t, "route", documented, mounted)
}

// constants returns the string constants of a Go file whose names begin so.
func constants(t *testing.T, path, prefix, typed string) map[string]bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	must(t, err)
	found := map[string]bool{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, prefix) {
			return true
		}
		kind, _ := spec.Type.(*ast.Ident)
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if ok && literal.Kind == token.STRING && (typed == "" || kind != nil && kind.Name == typed) {
			text, err := strconv.Unquote(literal.Value)
			must(t, err)
			found[text] = true
		}
		return true
	})
	if len(found) == 0 {
		t.Fatalf("%s has no constants %s…", path, prefix)
	}
	return found
}

func TestCodesAreDocumented(t *testing.T) {
	documented := table(t, section(t, "Errors"))
	for _, member := range []string{"type", "code", "detail", "request_id", "errors", "report"} {
		delete(documented, member)
	}
	for code, cells := range documented {
		if status, err := strconv.Atoi(cells[0]); err != nil || status < 400 || status > 599 || len(cells) != 3 || cells[1] == "" {
			t.Errorf("the row of %s is %q", code, cells)
		}
	}
	same(t, "code", names(documented), constants(t, "../internal/fault/codes.go", "", "Code"))
}

// TestStatusesAreDocumented compares the status of every code that the server
// gives out with the page's.
func TestStatusesAreDocumented(t *testing.T) {
	documented := table(t, section(t, "Errors"))
	status := map[string]string{
		"Invalid": "400", "Unauthorized": "401", "Forbidden": "403", "NotFound": "404", "NotAllowed": "405", "Slow": "408", "Conflict": "409",
		"TooLarge": "413", "Unsupported": "415", "Unprocessable": "422", "Canceled": "499", "Internal": "500", "Unavailable": "503", "Timeout": "504",
	}
	codes := map[string]string{} // by the name of the constant
	page, err := os.ReadFile("../internal/fault/codes.go")
	must(t, err)
	for _, m := range regexp.MustCompile(`(?m)^\t(\w+) +Code = "([a-z-]+)"`).FindAllStringSubmatch(string(page), -1) {
		codes[m[1]] = m[2]
	}
	made := regexp.MustCompile(`fault\.New\(fault\.(\w+), fault\.(\w+),`)
	uses := 0
	for _, path := range sources(t, "..") {
		text, err := os.ReadFile(path)
		must(t, err)
		for _, m := range made.FindAllStringSubmatch(string(text), -1) {
			uses++
			code := codes[m[2]]
			if documented[code] == nil || documented[code][0] != status[m[1]] {
				t.Errorf("%s gives %s the status %s, and docs/api.md says %v", path, code, status[m[1]], documented[code])
			}
		}
	}
	if uses < 30 {
		t.Errorf("only %d faults were found", uses)
	}
}

// sources lists the Go files below root that are no tests.
func sources(t *testing.T, root string) (paths []string) {
	t.Helper()
	must(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && slices.Contains([]string{"var", "python", "tools", "bin", "testdata", ".git"}, d.Name()) {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			paths = append(paths, path)
		}
		return err
	}))
	return paths
}

// TestFindingsAreDocumented collects the codes of findings from where they are
// made: the decoder, the walk of a model, the files of a bundle, the comparison of
// two versions' signatures, v1 itself.
func TestFindingsAreDocumented(t *testing.T) {
	made := map[string]bool{"request": true, "parity": true}
	maps.Copy(made, constants(t, "../internal/tensor/decode.go", "find", ""))
	maps.Copy(made, constants(t, "../internal/transform/finite.go", "find", ""))
	maps.Copy(made, constants(t, "../internal/onnx/findings.go", "Finding", ""))
	maps.Copy(made, constants(t, "../internal/transform/change.go", "Change", ""))
	files, err := filepath.Glob("../internal/bundle/*.go")
	must(t, err)
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		must(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 3 {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			literal, isText := call.Args[1].(*ast.BasicLit)
			if ok && method.Sel.Name == "add" && isText {
				made[strings.Trim(literal.Value, `"`)] = true
			}
			return true
		})
	}
	same(t, "finding", names(table(t, section(t, "Findings"))), made)
}

// TestLimitsAreDocumented compares the table with config.yaml, which its own
// test holds to the code.
func TestLimitsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../config.yaml")
	must(t, err)
	defaults, group := map[string]string{}, ""
	for line := range strings.Lines(string(page)) {
		key, value, found := strings.Cut(strings.TrimRight(line, "\n"), ":")
		switch {
		case !found || strings.HasPrefix(strings.TrimSpace(line), "#"):
		case value == "":
			group = key
		default:
			defaults[group+"."+strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	documented := table(t, section(t, "Limits"))
	for key, cells := range documented {
		if got := strings.Trim(cells[0], "`"); got != defaults[key] {
			t.Errorf("docs/api.md says %s is %s, config.yaml says %q", key, got, defaults[key])
		}
	}
	for _, key := range config.Keys() {
		if strings.Contains(key, "max_") || strings.HasSuffix(key, "_timeout") {
			if documented[key] == nil {
				t.Errorf("docs/api.md lacks the limit %s", key)
			}
		}
	}
	// Wherever the page names a key, there is one.
	whole, err := os.ReadFile("../docs/api.md")
	must(t, err)
	for _, m := range regexp.MustCompile("`((?:server|registry|runtime|parity|log)\\.[a-z_]+)`").FindAllStringSubmatch(string(whole), -1) {
		if !slices.Contains(config.Keys(), m[1]) {
			t.Errorf("docs/api.md names the setting %s, which there is not", m[1])
		}
	}
}

func TestMetricsAreDocumented(t *testing.T) {
	r := documented(t)
	r.send("POST", "/v1/models/penguins/predict", `{"instances":[{"sex":"male","bill_length_mm":39.1}]}`)
	r.manager.ProbeNext(t.Context())
	real := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (tenon_\w+)`).FindAllStringSubmatch(r.metrics(), -1) {
		real[m[1]] = true
	}
	text := section(t, "The server itself")
	same(t, "metric", names(table(t, text)), real)
	for _, state := range []string{"loading", "live", "not-deployed", "unloadable", "quarantined"} {
		if !strings.Contains(text, "`"+state+"`") {
			t.Errorf("docs/api.md lacks the state %s", state)
		}
	}
}

// TestMembersAreDocumented holds the pages' tables to the JSON types.
func TestMembersAreDocumented(t *testing.T) {
	for heading, types := range map[string][]any{
		"Examination": {wire.Report{}, wire.OutputReport{}, wire.MadeUp{}, wire.ToleranceUsed{}, wire.RowReport{}},
		"Operations":  {wire.Operation{}},
		"Deploy":      {wire.Deploy{}, wire.Traffic{}, wire.Canary{}, wire.Limits{}, wire.Capture{}},
		"Roll back":   {wire.Rollback{}},
		"Aliases":     {wire.SetAlias{}},
	} {
		text := section(t, heading)
		for _, v := range types {
			for field := range reflect.TypeOf(v).Fields() {
				if field.Anonymous {
					continue // its own type is in the list
				}
				member, _, _ := strings.Cut(field.Tag.Get("json"), ",")
				if !strings.Contains(text, "`"+member+"`") {
					t.Errorf("docs/api.md says nothing of %s of a %T under %s", member, v, heading)
				}
			}
		}
	}
}

// documented is the server of the page's examples: two versions, the first in
// traffic.
func documented(t *testing.T) *rig {
	t.Helper()
	compute := func(_ context.Context, g engine.Graph, inputs []*tensor.Tensor) ([]*tensor.Tensor, error) {
		rows := inputs[0].Rows()
		label, scores := tensor.New(tensor.String, int64(rows)), tensor.New(tensor.Float64, int64(rows), 3)
		for i := range rows {
			label.Strings[i] = "Adelie"
			copy(tensor.View[float64](scores)[3*i:], []float64{0.98, 0.02, 0})
		}
		return []*tensor.Tensor{label, scores}, nil
	}
	r := serve(t, func(s *setup) { s.engine = &engine.Fake{Compute: compute} })
	r.pushed("penguins", documentedBundle(t, ""))
	_, err := r.Push(t.Context(), "penguins", bodyOf(documentedBundle(t, " "), false))
	must(t, err)
	return r
}

// classifier is a graph of two inputs that gives a label and three scores.
func classifier() []byte {
	graph := pb{}.sub(1, pb{}.str(1, "sex").str(2, "label").str(4, "Identity")).sub(1, pb{}.str(1, "bill").str(2, "scores").str(4, "Softmax")).str(2, "g").
		sub(11, port{"", stringType, 1}.value("sex")).sub(11, port{"", float64Type, 1}.value("bill")).
		sub(12, port{"", stringType, 0}.value("label")).sub(12, port{"", float64Type, 3}.value("scores"))
	return pb{}.num(1, 10).sub(7, graph).sub(8, pb{}.num(2, 20))
}

// documentedBundle is the bundle of the examples; space makes another one that
// answers the same.
func documentedBundle(t *testing.T, space string) []byte {
	t.Helper()
	const golden = `{"id":"a","why":"hold-out","body":{"instances":[{"sex":"male","bill_length_mm":39.1}]}}`
	const answer = `{"id":"a","predictions":[{"label":"Adelie","probabilities":{"Adelie":0.98,"Chinstrap":0.02,"Gentoo":0}}]}`
	return files{
		"model.onnx": string(classifier()),
		"signature.json": `{"inputs":[
			{"name":"sex","type":"string","missing":"allowed","sentinel":"\ue000","domain":["female","male"],"unknown":"accept"},
			{"name":"bill_length_mm","type":"float64","missing":"allowed","feed":"bill"}],
		"outputs":[
			{"name":"label","kind":"label","from":"label","type":"string"},
			{"name":"probabilities","kind":"probabilities","from":"scores","type":"float64","classes":["Adelie","Chinstrap","Gentoo"]}]}` + space,
		"golden/requests.jsonl.gz": zipped(t, golden), "golden/answers.jsonl.gz": zipped(t, answer),
	}.tar(t, "penguins")
}

// TestExamplesAreTrue runs every console block of the page and compares what
// comes back, white space aside; … stands for anything.
func TestExamplesAreTrue(t *testing.T) {
	r := documented(t)
	page, err := os.ReadFile("../docs/api.md")
	must(t, err)
	ran := 0
	for _, block := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		for _, example := range strings.Split("\n"+block[1], "\n$ ")[1:] {
			command, want := splitExample(example)
			got := r.curl(t, command, documentedBundle(t, ""))
			if !matches(want, got) {
				t.Errorf("$ %s\n%s\nand docs/api.md says\n%s", command, got, want)
			}
			ran++
		}
	}
	if ran < 9 {
		t.Errorf("only %d examples were found", ran)
	}
}

// splitExample tells the command, over lines that end in \, from its output.
func splitExample(text string) (command, output string) {
	for {
		line, rest, _ := strings.Cut(text, "\n")
		text = rest
		joined, more := strings.CutSuffix(line, "\\")
		command += joined
		if !more {
			return command, text
		}
	}
}

func matches(want, got string) bool {
	bare := strings.NewReplacer(" ", "", "\n", "").Replace
	pattern := strings.ReplaceAll(regexp.QuoteMeta(bare(want)), "…", "[^{}]*?")
	return regexp.MustCompile("^" + pattern + "$").MatchString(bare(got))
}

// curl does what the little of curl that the page uses would do.
func (r *rig) curl(t *testing.T, command string, file []byte) string {
	t.Helper()
	words := regexp.MustCompile(`'[^']*'|[^ ]+`).FindAllString(command, -1)
	if words[0] != "curl" {
		t.Fatalf("%s is no curl", command)
	}
	method, path, media, body := http.MethodGet, "", "", []byte(nil)
	for i := 1; i < len(words); i++ {
		word := strings.Trim(words[i], "'")
		switch word {
		case "-X":
			i++
			method = words[i]
		case "-d", "--data-binary":
			i++
			body = []byte(strings.Trim(words[i], "'"))
			if method == http.MethodGet {
				method = http.MethodPost
			}
			if media == "" {
				media = "application/x-www-form-urlencoded"
			}
			if string(body) == "@penguins.tenon" {
				body = file
			}
		case "-H":
			i++
			media = strings.TrimPrefix(strings.Trim(words[i], "'"), "Content-Type: ")
		default:
			path = strings.TrimPrefix(word, "http://127.0.0.1:8080")
		}
	}
	return string(r.send(method, path, string(body), "Content-Type", media).body)
}

// TestFormExample is the one example that stands in a sentence.
func TestFormExample(t *testing.T) {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	part, err := w.CreateFormFile("bundle", "penguins.tenon")
	must(t, err)
	_, err = part.Write(documentedBundle(t, ""))
	must(t, err)
	must(t, w.Close())
	a := documented(t).upload("penguins", w.FormDataContentType(), body.Bytes())
	if a.StatusCode != http.StatusOK || !bytes.Contains(a.body, []byte(`"existing":true`)) {
		t.Error(fmt.Sprint(a.StatusCode), string(a.body))
	}
}
