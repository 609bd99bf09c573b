package parity_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/parity"
)

// many is n rows of y = x, of which those that wrong says come back as x + 1.
func many(n int, wrong func(x int) bool) []golden {
	cases := make([]golden, n)
	for x := range cases {
		got := x
		if wrong(x) {
			got++
		}
		cases[x] = row(fmt.Sprint(x), fmt.Sprint(got))
		cases[x].body = fmt.Sprintf(`{"instances":[{"x":%d}]}`, x)
	}
	return cases
}

// TestPoints: a plot has at most 400 points, taken evenly from both those that
// agree and the few that do not, and says of how many.
func TestPoints(t *testing.T) {
	plot := replay(t, double, many(1000, func(x int) bool { return x%100 == 7 })...).Outputs[0].Plot
	if plot.AgreeOf != 990 || plot.DifferOf != 10 || plot.Agree != 124 || len(plot.Points) != 134 {
		t.Fatalf("%d of %d and %d of %d", plot.Agree, plot.AgreeOf, len(plot.Points)-plot.Agree, plot.DifferOf)
	}
	for i, p := range plot.Points {
		failed := i >= plot.Agree
		if p.Failed != failed || failed != (p.Distance == 1) || p.Got-p.Expected != p.Distance {
			t.Errorf("%d: %+v", i, p)
		}
	}
	if last := plot.Points[plot.Agree-1].Expected; plot.Points[0].Expected != 0 || plot.Points[1].Expected != 9 || last < 985 {
		t.Errorf("the points are not spread evenly: %v … %v", plot.Points[:3], last)
	}
}

// TestPointsOfLists: the number that is furthest off stands for a row, and the
// likeliest class where none is; NaN and infinities are counted beside.
func TestPointsOfLists(t *testing.T) {
	output := `{"name":"y","kind":"probabilities","type":"float64","classes":["a","b","c"]}`
	report := replay(
		t, output,
		row(`{"a":0.1,"b":0.7,"c":0.2}`, `{"a":0.1,"b":0.7,"c":0.2}`),
		row(`{"a":0.1,"b":0.7,"c":0.2}`, `{"a":0.4,"b":0.6,"c":0}`),
		row(`{"a":null,"b":null,"c":null}`, `{"a":0,"b":0,"c":0}`),
		row(`{"a":0.1,"b":0.7,"c":0.2}`, `{"a":0.1}`),
		golden{"hold-out", `{"instances":[{"x":1}]}`, `"predictions":[{"y":{"a":1,"b":0,"c":0}}]`, "", 500})
	want := &wire.Plot{Agree: 1, AgreeOf: 1, DifferOf: 1, Beside: 3, Points: []wire.Point{
		{Expected: 0.7, Got: 0.7, Of: ".b"}, {Expected: 0.1, Got: 0.4, Distance: 0.30000000000000004, Of: ".a", Failed: true},
	}}
	if got := report.Outputs[0].Plot; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

// TestConfusion: labels are counted by what was expected and what came; the
// most frequent have a row, the rest share one.
func TestConfusion(t *testing.T) {
	label := `{"name":"y","kind":"label","type":"int64"}`
	got := replay(t, label, row("10", "9"), row("10", "10"), row("9", "9"), row("9", "9")).Outputs[0].Plot.Labels
	if want := (&wire.Confusion{Labels: []string{"9", "10"}, Counts: [][]int{{2, 0}, {1, 1}}}); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	cases := []golden{row("3", "3"), row("3", "999")}
	for i := range 100 {
		cases = append(cases, row(fmt.Sprint(i), fmt.Sprint(i)))
	}
	got = replay(t, label, cases...).Outputs[0].Plot.Labels
	if len(got.Labels) != 21 || got.Labels[20] != "…" || got.Others != 81 || got.Counts[3][20] != 1 || got.Counts[20][20] != 80 {
		t.Errorf("%d labels, %d others, %v", len(got.Labels), got.Others, got.Counts)
	}
}

// TestColumns: numbers come in at most 20 ranges that hold every row once, and
// the column that has to do with the failures comes first.
func TestColumns(t *testing.T) {
	report := replay(t, double, many(1000, func(x int) bool { return x >= 900 })...)
	bins := report.Columns[0].Bins
	rows, failed, below := 0, 0, -1.0
	for _, b := range bins {
		if *b.From <= below || *b.To < *b.From || b.Failed > b.Rows || b.Rows > 200 {
			t.Errorf("%v to %v: %d of %d", *b.From, *b.To, b.Failed, b.Rows)
		}
		rows, failed, below = rows+b.Rows, failed+b.Failed, *b.To
	}
	if len(bins) != 20 || rows != 1000 || failed != 100 {
		t.Errorf("%d bins with %d of %d rows", len(bins), failed, rows)
	}
	if first, last := bins[0], bins[19]; first.Failed != 0 || first.Mean != 0 || last.Failed != last.Rows || last.Worst != 1.0/999 {
		t.Errorf("%+v, %+v", first, last)
	}
}

// mixed is a bundle's worth of rows with a number n, which has nothing to do
// with the failures, and a category c, whose missing values all fail.
func mixed(form func(n int, c string) string) []golden {
	var cases []golden
	for i := range 60 {
		c, got := []string{`"a"`, `"b"`, `null`}[i%3], "1"
		if c == "null" {
			got = "2"
		}
		g := row("1", got)
		g.body = form(i/3, c)
		cases = append(cases, g)
	}
	return cases
}

func TestColumnsOfBothForms(t *testing.T) {
	for name, form := range map[string]func(int, string) string{
		"rows":    func(n int, c string) string { return fmt.Sprintf(`{"instances":[{"n":%d,"c":%s}]}`, n, c) },
		"columns": func(n int, c string) string { return fmt.Sprintf(`{"inputs":{"n":[%d],"c":[%s]}}`, n, c) },
	} {
		cases := mixed(form)
		b := openInputs(t, `{"name":"n","type":"int64"},{"name":"c","type":"string","missing":"allowed","sentinel":"\ue000"}`, double, cases)
		report, err := parity.Replay(t.Context(), &server{t: t, cases: cases}, "/here", b, parity.All, func(int, int) {})
		must(t, err)
		if len(report.Columns) != 2 || report.Columns[0].Name != "c" {
			t.Fatalf("%s: %+v", name, report.Columns)
		}
		var said []string
		for _, bin := range report.Columns[0].Bins {
			said = append(said, fmt.Sprintf("%s %d/%d %g", bin.Value, bin.Failed, bin.Rows, bin.Worst))
		}
		if got := strings.Join(said, ", "); got != `"a" 0/20 0, "b" 0/20 0, null 20/20 1` {
			t.Errorf("%s: %s", name, got)
		}
		if n := report.Columns[1].Bins; len(n) != 20 || *n[7].From != 7 || *n[7].To != 7 || n[7].Rows != 3 || n[7].Failed != 1 {
			t.Errorf("%s: %+v", name, n)
		}
	}
}

// TestCategoriesWithoutEnd: at most 20 have a bin, those that fail before all
// others, and no row is lost.
func TestCategoriesWithoutEnd(t *testing.T) {
	var cases []golden
	for i := range 700 {
		got := "1"
		if i == 400 {
			got = "2"
		}
		g := row("1", got)
		g.body = fmt.Sprintf(`{"instances":[{"x":"v%03d"}]}`, i)
		cases = append(cases, g)
	}
	b := openInputs(t, `{"name":"x","type":"string"}`, double, cases)
	report, err := parity.Replay(t.Context(), &server{t: t, cases: cases}, "/here", b, parity.All, func(int, int) {})
	must(t, err)
	rows, found := 0, false
	bins := report.Columns[0].Bins
	for _, bin := range bins {
		rows += bin.Rows
		found = found || string(bin.Value) == `"v400"` && bin.Failed == 1
	}
	if last := bins[len(bins)-1]; len(bins) != 21 || rows != 700 || !found || string(last.Value) != `"…"` || last.Others != 480 || last.Rows != 680 {
		t.Errorf("%d bins, %d rows, %+v", len(bins), rows, last)
	}
}

// TestPlotsStaySmall: of a wide model with many outputs, and twice the same.
func TestPlotsStaySmall(t *testing.T) {
	var inputs, outputs, record, expected []string
	for i := range 300 {
		inputs = append(inputs, fmt.Sprintf(`{"name":"column %d","type":"float64"}`, i))
		outputs = append(outputs, fmt.Sprintf(`{"name":"output %d","kind":"value","type":"float64"}`, i))
	}
	var cases []golden
	for r := range 50 {
		record, expected = record[:0], expected[:0]
		for i := range 300 {
			record = append(record, fmt.Sprintf(`"column %d":%d.123456789012345`, i, r))
			expected = append(expected, fmt.Sprintf(`"output %d":%d.123456789012345`, i, r))
		}
		said := "{" + strings.Join(expected, ",") + "}"
		g := row("", `{}`)
		g.body, g.expected = `{"instances":[{`+strings.Join(record, ",")+`}]}`, `"predictions":[`+said+`]`
		g.got = `{"predictions":[` + strings.ReplaceAll(said, ".123", ".124") + `]}`
		cases = append(cases, g)
	}
	var before []byte
	for range 2 {
		b := openInputs(t, strings.Join(inputs, ","), strings.Join(outputs, ","), cases)
		report, err := parity.Replay(t.Context(), &server{t: t, cases: cases}, "/here", b, parity.All, func(int, int) {})
		must(t, err)
		if len(report.Columns) != 50 || report.Outputs[299].Plot == nil {
			t.Errorf("%d columns, %+v", len(report.Columns), report.Outputs[299].Plot)
		}
		report.Worst = nil
		data, err := json.Marshal(report)
		must(t, err)
		if len(data) > 500<<10 || before != nil && string(before) != string(data) {
			t.Errorf("%d bytes, or another report", len(data))
		}
		before = data
	}
}

// TestAPartHasNoPlots: warming a version replays four requests, which nobody
// looks at.
func TestAPartHasNoPlots(t *testing.T) {
	cases := many(5, func(int) bool { return false })
	report, err := parity.Replay(t.Context(), &server{t: t, cases: cases}, "/here", open(t, double, cases), 4, func(int, int) {})
	must(t, err)
	if report.Outputs[0].Plot != nil || report.Columns != nil {
		t.Errorf("%+v", report)
	}
}
