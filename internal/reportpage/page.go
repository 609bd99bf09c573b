// Package reportpage makes one HTML page out of an examination's report: for
// people, who see in a plot what a list of numbers hides.
//
// The page is a single file without scripts and without anything from
// elsewhere, so it can be kept, mailed and read years later. Plots are SVG with
// a title and a description, tables have heads, and colours follow the reader's
// light or dark setting. The server (api/v1) and the command line both write
// it; the JSON that it is made of is for programs.
package reportpage

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/api/wire"
)

//go:embed page.html
var source string

//go:embed page.css
var style string

var page = template.Must(template.New("page").Parse(source))

// view is what the template shows: everything is computed, nothing is left to it.
type view struct {
	Title   string
	Verdict string // in a sentence's end
	Badge   string // in two words
	Style   template.CSS
	Report  *wire.Report
	Digest  string
	Facts   []pair
	Causes  []cause
	Outputs []outputRow
	Plots   []outputPlot
	// MorePlots are folded.
	MorePlots []outputPlot
	Columns   []columnPlot
	// More are the columns that tell less.
	More     []columnPlot
	Worst    []worstRow
	Coverage []section
	Env      []pair
}

// pair is a name and what it is.
type pair struct{ Name, Value string }

// cause is a probable cause with the share of rows that it explains.
type cause struct {
	wire.Cause
	Percent float64
}

// What is unfolded of columns and of outputs: a screenful or two.
const (
	shownColumns = 6
	shownOutputs = 6
)

// Write writes the page of a report. title names what was examined, as in
// "iris/4". Members that a report lacks, because an older release or another
// program wrote it, are left out.
func Write(w io.Writer, title string, r *wire.Report) error {
	if title == "" {
		title = "a bundle"
	}
	v := view{
		Title: title, Verdict: "the answers differ", Badge: "✗ answers differ", Style: template.CSS(style), Report: r, Digest: r.Digest, Facts: facts(r),
		Outputs: outputRows(r), Worst: worstRows(r), Coverage: sections(r.Coverage), Env: flat(r.Environment),
	}
	switch {
	case r.Passed && r.Loosened != "":
		v.Verdict, v.Badge = "the answers are within a loosened tolerance", "✓ within "+r.Loosened
	case r.Passed:
		v.Verdict, v.Badge = "the server answers as the pipeline did", "✓ same answers"
	}
	for _, c := range r.Causes {
		v.Causes = append(v.Causes, cause{c, 100 * share(c.Explains, c.Of)})
	}
	for i := range r.Outputs {
		if p := plotOutput(i, &r.Outputs[i]); p != nil {
			v.Plots = append(v.Plots, *p)
		}
	}
	if len(v.Plots) > shownOutputs {
		v.Plots, v.MorePlots = v.Plots[:shownOutputs], v.Plots[shownOutputs:]
	}
	v.Columns = plotColumns(r)
	if len(v.Columns) > shownColumns {
		v.Columns, v.More = v.Columns[:shownColumns], v.Columns[shownColumns:]
	}
	var out bytes.Buffer // a page is written whole or not at all
	if err := page.Execute(&out, v); err != nil {
		return fmt.Errorf("the report cannot be shown as a page: %w", err)
	}
	_, err := w.Write(out.Bytes())
	return err
}

// facts are what the examination was.
func facts(r *wire.Report) []pair {
	list := []pair{
		{"rows", fmt.Sprint(r.Rows)},
		{"requests", fmt.Sprint(r.Requests)},
	}
	byRow := func(o wire.OutputReport) bool { return o.Tolerance.Agreement == nil }
	if len(r.Outputs) == 0 || slices.ContainsFunc(r.Outputs, byRow) {
		list = slices.Insert(list, 1, pair{"beyond tolerance", fmt.Sprint(r.FailedRows)})
	}
	add := func(name, value string) {
		if value != "" {
			list = append(list, pair{name, value})
		}
	}
	add("engine", r.Engine)
	if !r.Created.IsZero() {
		add("examined", r.Created.UTC().Format("2006-01-02 15:04 UTC"))
	}
	if r.Seconds > 0 {
		add("took", fmt.Sprintf("%.3g s", r.Seconds))
	}
	add("rows by why they were chosen", whys(r.Why))
	return list
}

func whys(counts map[string]int) string {
	var parts []string
	for _, name := range sortedKeys(counts) {
		shown := name
		if shown == "" {
			shown = "no reason given"
		}
		parts = append(parts, fmt.Sprintf("%s %d", shown, counts[name]))
	}
	return strings.Join(parts, " · ")
}

func share(part, of int) float64 {
	if of <= 0 {
		return 0
	}
	return float64(part) / float64(of)
}
