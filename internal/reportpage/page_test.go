package reportpage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
)

// hostile is what data may hold, and must never become markup.
const hostile = `</title><script>alert("1")</script>`

func written(t *testing.T, r *wire.Report) string {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, "iris/4", r); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	sound(t, page)
	return page
}

var (
	ids       = regexp.MustCompile(`\bid="([^"]*)"`)
	named     = regexp.MustCompile(`aria-labelledby="([^"]*)"`)
	places    = regexp.MustCompile(`\b(?:x|y|x1|x2|y1|y2|cx|cy|r|width|height|points)="([^"]*)"`)
	elsewhere = regexp.MustCompile(`(?i)https?://|\bsrc=|\bhref=|@import|url\(|<script|<link|<iframe|\son[a-z]+=`)
)

// sound holds what holds for every page: it needs nothing from elsewhere, what
// it refers to is there once, plots have words, tables have heads, and no place
// is NaN.
func sound(t *testing.T, page string) {
	t.Helper()
	if found := elsewhere.FindString(page); found != "" {
		t.Errorf("the page holds %q", found)
	}
	if strings.Contains(page, "ZgotmplZ") {
		t.Error("the template was not sure of a value")
	}
	seen := map[string]bool{}
	for _, m := range ids.FindAllStringSubmatch(page, -1) {
		if seen[m[1]] {
			t.Errorf("the id %s stands twice", m[1])
		}
		seen[m[1]] = true
	}
	for _, m := range named.FindAllStringSubmatch(page, -1) {
		for _, id := range strings.Fields(m[1]) {
			if !seen[id] {
				t.Errorf("nothing has the id %s", id)
			}
		}
	}
	plots := strings.Count(page, `<svg role="img"`)
	if n := strings.Count(page, "<desc"); n != plots {
		t.Errorf("%d plots and %d descriptions", plots, n)
	}
	for _, table := range strings.Split(page, "<table")[1:] {
		if !strings.Contains(table[:strings.Index(table, "</table>")], `<th scope="col"`) {
			t.Errorf("a table without a head: %.200s", table)
		}
	}
	for _, m := range places.FindAllStringSubmatch(page, -1) {
		for _, n := range strings.FieldsFunc(m[1], func(r rune) bool { return r == ' ' || r == ',' }) {
			if f, err := strconv.ParseFloat(n, 64); err != nil || math.IsNaN(f) || f < -1 || f > 1000 {
				t.Errorf("%s is no place on a page", m[0])
			}
		}
	}
}

func f(v float64) *float64 { return &v }

// report is one with everything in it.
func report() *wire.Report {
	r := &wire.Report{
		Model: "iris", Digest: "sha256:ab", Summary: "2 of 5 rows are not what the pipeline answered.", Engine: "onnxruntime 1.32.0",
		Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Seconds: 0.25, Requests: 3, Rows: 5, FailedRows: 2,
		Why: map[string]int{"hold-out": 4, hostile: 1},
		Outputs: []wire.OutputReport{
			{Name: "label", Kind: "label", Type: "string", Tolerance: wire.ToleranceUsed{Exact: true}, Failed: 1, Plot: &wire.Plot{
				Labels: &wire.Confusion{Labels: []string{`"a"`, `"` + hostile + `"`, "…"}, Counts: [][]int{{3, 1, 0}, {0, 1, 0}, {0, 0, 0}}, Others: 4},
			}},
			{Name: "p" + hostile, Kind: "probabilities", Type: "float64", Tolerance: wire.ToleranceUsed{Rel: 1e-9, Abs: 1e-12}, Scale: 1, Failed: 2, Worst: 0.5, Allowed: 1e-9, Plot: &wire.Plot{
				Points: []wire.Point{{Expected: 0.5, Got: 0.5}, {Expected: 0.25, Got: 0.75, Distance: 0.5, Failed: true, Of: "." + hostile}},
				Agree:  1, AgreeOf: 3, DifferOf: 2, Beside: 1,
			}},
		},
		Causes: []wire.Cause{{Code: "columns-swapped", Detail: "The columns look swapped." + hostile, Columns: []string{"x", hostile}, Explains: 2, Of: 2}},
		Columns: []wire.ColumnReport{
			{Name: "x" + hostile, Type: "float64", Bins: []wire.Bin{{From: f(1), To: f(2), Rows: 3}, {From: f(3), To: f(3), Rows: 1, Failed: 1, Mean: 0.1, Worst: 0.2}, {Value: json.RawMessage("null"), Rows: 1, Failed: 1, Mean: 0.5, Worst: 0.5}}},
			{Name: "c", Type: "string", Bins: []wire.Bin{{Value: json.RawMessage(`"` + strings.ReplaceAll(hostile, `"`, `\"`) + `"`), Rows: 5, Failed: 2, Mean: 0.1}}},
		},
		Worst: []wire.RowReport{
			{Request: "g1", Row: 1, Why: "hold-out", Output: "p", Expected: json.RawMessage(`{"a":0.25,"b":0.75}`), Got: json.RawMessage(`{"a":0.75,"b":0.25}`), Distance: 0.5, Allowed: 1e-9, Input: json.RawMessage(`{"x":1.5,"c":"<script>","m":null}`)},
			{Request: "g2", Output: "label", Expected: json.RawMessage(`"a"`), Got: json.RawMessage(`"b"`), Distance: math.MaxFloat64},
			{Request: "g3", Detail: "the server refused the request " + hostile, Distance: math.MaxFloat64},
		},
		Notes:       []string{"It was exported with another runtime." + hostile},
		Environment: json.RawMessage(`{"python":"3.11.9","packages":{"numpy":"2.4.6"},"odd":[1,2]}`),
		Coverage:    json.RawMessage(`{"inputs":{"x":{"missing":true,"bins":[19,20]},"<script>":{"unseen":2}},"trees":{"leaves":10,"reached":9},"rows":5}`),
	}
	return r
}

func TestEverything(t *testing.T) {
	page := written(t, report())
	for _, words := range []string{
		"<title>iris/4: the answers differ</title>", "✗ answers differ", "2 of 5 rows are not",
		"The columns look swapped.", "explains 2 of 2 rows that were tried", "<code>columns-swapped</code>",
		"rel 1e-09, abs 1e-12 of the scale", "2 of 5", "1 of 3 rows within tolerance and 1 of 2 rows beyond it",
		"1 rows are not in the plot", "The 4 other labels", "3: 1 of 1 rows beyond tolerance", "missing: 1 of 1 rows",
		"<code>0.25</code>", `<code class="bad">0.75</code>`, "5e&#43;08×", "<dt>x</dt><dd>1.5</dd>", "<dt>m</dt><dd>null</dd>",
		"<caption>trees</caption>", "<td>19 of 20</td>", "<td>true</td>", `<th scope="row">reached</th><td>9</td>`, `<th scope="col">unseen</th>`, "packages.numpy", "2026-01-02 03:04 UTC",
	} {
		if !strings.Contains(page, words) {
			t.Errorf("the page lacks %q", words)
		}
	}
	if n := strings.Count(page, "<circle"); n != 4 {
		t.Errorf("%d points, want two in each of two panels", n)
	}
	again := written(t, report())
	if again != page {
		t.Error("the same report is another page")
	}
}

func TestTips(t *testing.T) {
	got := tip(wire.Point{Expected: 0.25, Got: 0.75, Distance: 0.5, Of: ".setosa"})
	if got != "setosa: expected 0.25, got 0.75, 0.5 apart" {
		t.Error(got)
	}
}

// TestLess: reports of other releases, and of examinations that found nothing.
func TestLess(t *testing.T) {
	page := written(t, &wire.Report{})
	for _, absent := range []string{"<section", "<svg", "<table"} {
		if strings.Contains(page, absent) {
			t.Errorf("an empty report has %s", absent)
		}
	}
	r := report()
	r.Passed, r.FailedRows, r.Causes, r.Worst = true, 0, nil, nil
	r.Outputs[1].Plot = &wire.Plot{Points: []wire.Point{{Expected: 3, Got: 3}, {Expected: 3, Got: 3}}, Agree: 2, AgreeOf: 2}
	page = written(t, r)
	for _, words := range []string{"✓ same answers", "the server answers as the pipeline did", "the expected one to the last digit", "No row is beyond tolerance"} {
		if !strings.Contains(page, words) {
			t.Errorf("the page lacks %q", words)
		}
	}
	if strings.Contains(page, "rows beyond tolerance</text>") {
		t.Error("a strip of failures where there are none")
	}
	for i := range r.Columns {
		for j := range r.Columns[i].Bins {
			r.Columns[i].Bins[j].Mean = 0
		}
	}
	if page = written(t, r); strings.Contains(page, "Distance by input column") {
		t.Error("bars where nothing is apart")
	}
	for _, odd := range []string{`[]`, `3`, `null`, `{`, `{"inputs":{}}`, `{"inputs":{"x":3,"y":{"z":{"deep":1}}}}`, `{"a":{"b":{"c":[{}]}}}`} {
		written(t, &wire.Report{Coverage: json.RawMessage(odd), Environment: json.RawMessage(odd), Worst: []wire.RowReport{
			{Output: "y", Expected: json.RawMessage(odd), Got: json.RawMessage(odd), Input: json.RawMessage(odd)},
		}})
	}
}

// TestLoosened: what passed by less than equality is not called equal.
func TestLoosened(t *testing.T) {
	share, found := 0.99, 0.995
	r := report()
	r.Passed, r.FailedRows, r.Causes, r.Worst, r.Loosened = true, 0, nil, nil, "agreement ≥ 99 %"
	r.Outputs = []wire.OutputReport{{
		Name: "p", Kind: "probabilities", Type: "float64", Scale: 1, Tolerance: wire.ToleranceUsed{Agreement: &share, Declared: true},
		Agreement: &found, MadeUp: &wire.MadeUp{Rows: 9, Agree: 7}, Plot: &wire.Plot{AgreeOf: 1, Agree: 1, DifferOf: 1, Points: []wire.Point{
			{Expected: 0.6, Got: 0.7, Distance: 0.1}, {Expected: 0.6, Got: 0.4, Distance: 0.2, Failed: true},
		}},
	}}
	page := written(t, r)
	for _, words := range []string{
		"<title>iris/4: the answers are within a loosened tolerance</title>", "✓ within agreement ≥ 99 %", "99.5 % agree; beside it 7 of 9 made-up rows", "agreement ≥ 99 % (set at export)",
		"1 of 1 rows that agree and 1 of 1 rows that do not agree", "1 are of rows that do not agree", "rows that do not agree <span",
	} {
		if !strings.Contains(page, words) {
			t.Errorf("the page lacks %q", words)
		}
	}
	for _, words := range []string{"same answers", "answers as the pipeline", "last digits", "beyond it <span", "<dt>beyond tolerance", "The largest distance of all rows is 0"} {
		if strings.Contains(page, words) {
			t.Errorf("the page says %q", words)
		}
	}
	r.Passed, r.Loosened, r.Outputs[0].Failed = false, "", 4
	if page = written(t, r); !strings.Contains(page, "✗ answers differ") || !strings.Contains(page, "4 of 5") {
		t.Error("too many that do not agree pass")
	}
}

// TestPlaces: whatever the values, every place is on the page; rows of extreme
// magnitude stand at the edge and leave the others apart.
func TestPlaces(t *testing.T) {
	for name, values := range map[string][]float64{
		"one":      {5},
		"equal":    {5, 5, 5},
		"zero":     {0, 0},
		"negative": {-3, -2, 1},
		"tiny":     {1e-300, 3e-300},
		"subnormal": {
			5e-324, 1e-323,
		},
		"huge":   {-4e307, 4e307},
		"spread": append(slices.Repeat([]float64{1, 2, 3}, 40), 1e300),
	} {
		r := &wire.Report{Rows: len(values), FailedRows: 1}
		plot := &wire.Plot{AgreeOf: len(values), Agree: len(values)}
		column := wire.ColumnReport{Name: "x", Type: "float64"}
		for i, v := range values {
			plot.Points = append(plot.Points, wire.Point{Expected: v, Got: v, Distance: math.Abs(v) * 1e-9})
			column.Bins = append(column.Bins[:min(i, 19)], wire.Bin{From: f(v), To: f(v), Rows: 1, Mean: math.Abs(v)})
		}
		r.Outputs = []wire.OutputReport{{Name: name, Scale: 1, Tolerance: wire.ToleranceUsed{Rel: 1e-9, Abs: 1e-12}, Plot: plot}}
		r.Columns = []wire.ColumnReport{column}
		page := written(t, r)
		if edge := strings.Contains(page, "1 points lie beyond the axes"); edge != (name == "spread") {
			t.Errorf("%s: points at the edge: %v", name, edge)
		}
	}
	x := linear(append(slices.Repeat([]float64{1, 2, 3}, 40), 1e300), 0, 100)
	one, _ := x.at(1)
	three, _ := x.at(3)
	if far, beyond := x.at(1e300); three-one < 30 || !beyond || far != 100 {
		t.Errorf("%v to %v, and %v %v", one, three, far, beyond)
	}
}

func TestSteps(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		whole     bool
		want      string
	}{
		{0, 1, false, "[0 0.2 0.4 0.6000000000000001 0.8 1]"},
		{-0.04, 1.04, false, "[-0 0.5 1]"},
		{96, 304, false, "[100 150 200 250 300]"},
		{-17, 1, true, "[-15 -10 -5 0]"},
		{-2, 1, true, "[-2 -1 0 1]"},
	} {
		if got := fmt.Sprint(steps(c.low, c.high, c.whole)); got != c.want {
			t.Errorf("%v to %v: %s, want %s", c.low, c.high, got, c.want)
		}
	}
}

// TestWideReports: a page unfolds the columns that tell most, and keeps the
// others; names of bars never overlap.
func TestWideReports(t *testing.T) {
	r := &wire.Report{Rows: 100, FailedRows: 9}
	for i := range 10 {
		r.Outputs = append(r.Outputs, wire.OutputReport{Name: fmt.Sprint("y", i), Plot: &wire.Plot{Points: []wire.Point{{Expected: 1, Got: 2, Distance: 1}}}})
	}
	for i := range 50 {
		c := wire.ColumnReport{Name: fmt.Sprint("column ", i), Type: "string"}
		for j := range 22 {
			c.Bins = append(c.Bins, wire.Bin{Value: json.RawMessage(fmt.Sprintf(`"a long category %d"`, j)), Rows: 4, Failed: j % 2, Mean: float64(j)})
		}
		r.Columns = append(r.Columns, c)
	}
	page := written(t, r)
	for _, words := range []string{"44 more columns, which tell less", "4 more outputs"} {
		if !strings.Contains(page, words) {
			t.Errorf("the page lacks %q", words)
		}
	}
	if n := strings.Count(page, "<article>"); n != 10 {
		t.Errorf("%d outputs are drawn", n)
	}
	labels := plotColumns(r)[0].Labels
	for i, l := range labels {
		for _, m := range labels[:i] {
			if room := 6.2 * float64(len([]rune(l.Label))+len([]rune(m.Label))) / 2; math.Abs(l.At-m.At) < room {
				t.Errorf("%q at %v and %q at %v overlap", l.Label, l.At, m.Label, m.At)
			}
		}
	}
}
