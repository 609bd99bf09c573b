package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tenon-ml/tenon/api/client"
	"github.com/tenon-ml/tenon/api/wire"
)

// parityRefusal is a push that the server refused because its answers are not
// the pipeline's. The report was printed, so it says only the sentence.
type parityRefusal struct{ problem *client.Problem }

func (e parityRefusal) Error() string { return e.problem.Detail }
func (e parityRefusal) Unwrap() error { return e.problem }

// tellRefused prints the report of a refused push: as JSON to standard output
// where that was asked for, else for people, beside the error. keep is the file
// that the report goes to, pushed the one that was pushed.
func (a *app) tellRefused(err error, pushed, keep string) error {
	var problem *client.Problem
	if !errors.As(err, &problem) || problem.Report == nil {
		return err
	}
	report, unread := parseReport(problem.Report)
	if unread != nil {
		return err
	}
	if a.json {
		_ = a.print(problem.Problem, nil) // the error that follows is the answer
	} else {
		tellReport(a.err, report.Report)
	}
	switch {
	case keep != "":
		report.title = report.Model + " (refused)"
		if err := a.writeReport(report, keep); err != nil {
			return errors.Join(parityRefusal{problem}, err)
		}
	case !a.json:
		fmt.Fprintf(a.err, "to see it as a page with plots: tenon push %s --report refused.html\n\n", pushed)
	}
	return parityRefusal{problem}
}

// shownRows is how many rows people are shown; the report has up to 20.
const shownRows = 5

func tellReport(to io.Writer, r wire.Report) {
	fmt.Fprintf(to, "%s\n", r.Summary)
	for _, c := range r.Causes {
		fmt.Fprintf(to, "  %s\n", c.Detail)
	}
	fmt.Fprintln(to)
	var rows [][]string
	for _, o := range r.Outputs {
		rows = append(rows, []string{
			o.Name, o.Kind, o.Tolerance.Words(), fmt.Sprintf("%d of %d", o.Failed, r.Rows), distance(o.Worst, o.Tolerance.Exact),
		})
	}
	table(to, "OUTPUT KIND TOLERANCE FAILED WORST", rows)
	for _, row := range r.Worst[:min(len(r.Worst), shownRows)] {
		tellRow(to, row)
	}
	if left := len(r.Worst) - shownRows; left > 0 {
		fmt.Fprintf(to, "\n%d more with --json\n", left)
	}
	fmt.Fprintln(to)
}

func tellRow(to io.Writer, r wire.RowReport) {
	fmt.Fprintf(to, "\nrequest %s, row %d (%s): %s\n", r.Request, r.Row, orDash(r.Why), orDash(r.Output))
	if r.Output == "" { // no answer at all
		fmt.Fprintf(to, "  %s\n", r.Detail)
	} else {
		fmt.Fprintf(to, "  expected  %s\n  got       %s\n", clipped(string(r.Expected), 200), clipped(string(r.Got), 200))
	}
	if d := distance(r.Distance, false); d != "-" {
		fmt.Fprintf(to, "  distance  %s, %s allowed\n", d, distance(r.Allowed, false))
	}
	if len(r.Input) > 0 {
		fmt.Fprintf(to, "  input     %s\n", clipped(string(r.Input), 400))
	}
}

// distance words a distance; the largest number stands for one that has none,
// such as that between two labels.
func distance(d float64, exact bool) string {
	const none = 1e308
	if exact || d >= none {
		return "-"
	}
	return fmt.Sprintf("%.3g", d)
}

// clipped is at most a text's first so many characters, on one line.
func clipped(text string, most int) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}
