package parity

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/fault"
)

// What a report shows: enough rows to see the pattern, and no value so large
// (an image, an embedding of a whole text) that nobody would look at it.
const (
	maxWorst = 20
	maxShown = 64 << 10
)

// Progress is told of requests done, of total.
type Progress func(done, total int)

// All replays the whole golden set.
const All = int(^uint(0) >> 1)

// Replay sends golden requests of the bundle to path on the handler, the first
// most of them, and compares the answers. An error is one of the golden set itself or of ctx;
// wrong answers and refused requests are findings of the report. Requests that
// are refused fail all their rows.
func Replay(ctx context.Context, h http.Handler, path string, b *bundle.Bundle, most int, progress Progress) (*wire.Report, error) {
	report, _, err := run(ctx, h, path, b, most, nil, progress)
	return report, err
}

// run is Replay, and gathers evidence for a diagnosis where that is wanted.
func run(ctx context.Context, h http.Handler, path string, b *bundle.Bundle, most int, seen *evidence, progress Progress) (*wire.Report, []*output, error) {
	if b.Signature == nil || !b.HasGolden() {
		return nil, nil, errNoGolden
	}
	r := newReplay(b)
	r.seen = seen
	r.report.Coverage = b.Coverage
	total, err := r.prepare(b)
	if err != nil {
		return nil, nil, err
	}
	if most == All {
		r.watch(b.Signature)
	}
	for c, err := range b.Golden() {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = r.one(ctx, h, path, c)
		}
		if err != nil {
			return nil, nil, err
		}
		progress(r.report.Requests, min(total, most))
		if r.report.Requests >= most {
			break
		}
	}
	if most == All && r.reach() > r.report.Rows {
		return nil, nil, fault.New(fault.Unprocessable, fault.InvalidBundle,
			"%s tells of %d golden rows, and there are %d: export the bundle again.", bundle.CoverageFile, r.reach(), r.report.Rows)
	}
	return r.finish(), r.outputs, nil
}

// reach is how many different rows the bundle's coverage tells of, 0 where it
// tells nothing.
func (r *replay) reach() int {
	var reach struct {
		Rows int `json:"rows"`
	}
	if json.Unmarshal(r.report.Coverage, &reach) != nil {
		return 0
	}
	return reach.Rows
}

// replay is the state of one examination.
type replay struct {
	outputs  []*output
	columns  *columns // nil where nobody will look at the report
	report   *wire.Report
	together []wire.RowReport // some of the rows refused with others
	places   map[string]int   // of the signature's inputs
	largest  int              // rows in a request
	seen     *evidence        // nil where nobody asks for causes
}

// watch begins to gather what the report's plots show.
func (r *replay) watch(s *bundle.Signature) {
	for i, o := range r.outputs {
		o.plot = newPlot(&s.Outputs[i], len(r.outputs))
	}
	r.columns = newColumns(s.Inputs)
}

// prepare reads the expected answers once, for the scale of every output and
// the number of requests.
func (r *replay) prepare(b *bundle.Bundle) (total int, err error) {
	sizes := make([]sizes, len(b.Signature.Outputs))
	for c, err := range b.Golden() {
		if err != nil {
			return 0, err
		}
		total++
		expected, err := goldenAnswer(c)
		if err != nil {
			return 0, err
		}
		for i := range b.Signature.Outputs {
			sizes[i].add(c.Why, expected, &b.Signature.Outputs[i])
		}
	}
	for i := range b.Signature.Outputs {
		r.outputs = append(r.outputs, newOutput(&b.Signature.Outputs[i], &sizes[i]))
	}
	return total, nil
}

func goldenAnswer(c bundle.Case) (*answer, error) {
	a, err := parseAnswer(c.Answer)
	if err != nil {
		return nil, fault.New(fault.Unprocessable, fault.InvalidBundle,
			"The golden answer %.80s cannot be read: export the bundle again.", c.ID.Key()).Because(err)
	}
	return a, nil
}

// one sends one request and compares its rows.
func (r *replay) one(ctx context.Context, h http.Handler, path string, c bundle.Case) error {
	expected, err := goldenAnswer(c)
	if err != nil {
		return err
	}
	rows := expected.rows()
	r.report.Requests++
	r.report.Rows += rows
	r.largest = max(r.largest, rows)
	r.report.Why[c.Why] += rows
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, path, bytes.NewReader(c.Body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	h.ServeHTTP(w, request)
	if err := ctx.Err(); err != nil {
		return err
	}
	got, problem := w.answer()
	if problem == "" && got.rows() != rows {
		problem = fmt.Sprintf("the server answered %d rows where the pipeline answered %d", got.rows(), rows)
	}
	inputs := r.columns.read(c.Body)
	if problem != "" {
		for row := range max(rows, 1) {
			r.refused(c, row, expected, problem)
			r.columns.add(inputs, row, outcome(true, 0))
		}
		r.seen.add(c, expected, nil, r.outputs, slices.Repeat([]bool{true}, rows))
		return nil
	}
	failed := make([]bool, rows)
	for row := range rows {
		t := r.row(c, row, expected, got)
		r.columns.add(inputs, row, t)
		failed[row] = t.failed > 0
	}
	r.seen.add(c, expected, got, r.outputs, failed)
	return nil
}

// refused notes a row that got no answer; what is expected is the whole one. One
// row without an answer takes all of its request with it, so those that were
// refused together are only shown where nothing else is.
func (r *replay) refused(c bundle.Case, row int, expected *answer, problem string) {
	r.report.FailedRows++
	whole := map[string]any{}
	for _, o := range r.outputs {
		if want, ok := expected.at(o.name, row); ok {
			o.report.Failed++
			o.plot.absent()
			whole[o.name] = want
		}
	}
	shown := wire.RowReport{Row: row, Expected: raw(whole), Distance: math.MaxFloat64, Detail: problem}
	switch {
	case expected.rows() <= 1:
		r.keep(c, shown)
	case len(r.together) < maxWorst:
		r.together = append(r.together, r.locate(c, shown))
	}
}

// row compares all outputs of one row.
func (r *replay) row(c bundle.Case, row int, expected, got *answer) tally {
	failed, furthest := false, 0.0
	for _, o := range r.outputs {
		want, ok := expected.at(o.name, row)
		if !ok {
			continue // the pipeline said nothing of this output
		}
		have, ok := got.at(o.name, row)
		var v verdict
		if ok {
			v = o.compare(want, have)
			o.plot.add(want, have, v.failed || v.differs)
			v.differs = o.vote(c.Why, v) && v.differs
		} else {
			v = o.absent(want)
			o.plot.absent()
		}
		furthest = max(furthest, o.relative(v.distance))
		shown := func() wire.RowReport {
			return wire.RowReport{
				Row: row, Output: o.name, Expected: raw(v.expected), Got: raw(v.got),
				Distance: finite(v.distance), Allowed: v.allowed, Detail: v.detail,
			}
		}
		switch {
		case v.failed:
			failed = true
			r.keep(c, shown())
		case v.differs && len(o.differ) < maxWorst:
			o.differ = append(o.differ, r.locate(c, shown()))
		}
	}
	if failed {
		r.report.FailedRows++
	}
	return outcome(failed, furthest)
}

// keep adds a row to the worst ones, behind those that are as bad.
func (r *replay) keep(c bundle.Case, row wire.RowReport) {
	if at := r.place(row); at < maxWorst {
		r.insert(at, r.locate(c, row))
	}
}

// place is where a row belongs among the worst.
func (r *replay) place(row wire.RowReport) int {
	at, _ := slices.BinarySearchFunc(r.report.Worst, row, func(a, b wire.RowReport) int {
		if over(a) < over(b) {
			return 1
		}
		return -1
	})
	return at
}

func (r *replay) insert(at int, row wire.RowReport) {
	r.report.Worst = slices.Insert(r.report.Worst, at, row)
	r.report.Worst = r.report.Worst[:min(len(r.report.Worst), maxWorst)]
}

// locate says of which request a row is, and shows it; reading the body again
// is dear, so only rows that are kept come here.
func (r *replay) locate(c bundle.Case, row wire.RowReport) wire.RowReport {
	row.Request, row.Why, row.Input = c.ID.Key(), c.Why, short(r.inputOf(c.Body, row.Row))
	return row
}

func over(r wire.RowReport) float64 {
	if r.Allowed == 0 {
		return math.Inf(1)
	}
	return r.Distance / r.Allowed
}

// finish draws the conclusion.
func (r *replay) finish() *wire.Report {
	out := r.report
	short, silent := "", ""
	for _, o := range r.outputs {
		if o.total == 0 {
			silent = o.name
		}
		if s := o.short(); s != "" {
			short = s
			for _, row := range o.differ {
				if at := r.place(row); at < maxWorst {
					r.insert(at, row)
				}
			}
		}
		o.report.Plot = o.plot.finish()
		out.Outputs = append(out.Outputs, o.report)
	}
	if len(out.Worst) == 0 {
		out.Worst = append(out.Worst, r.together...)
	}
	out.Columns = r.columns.finish()
	switch {
	case out.Rows == 0:
		out.Summary = "The golden set has no rows, so nothing was compared."
	case silent != "":
		out.Summary = fmt.Sprintf("The golden set says nothing of the output %q, so it was not compared.", silent)
	case out.FailedRows > 0:
		out.Summary = fmt.Sprintf("%d of %d rows are not what the pipeline answered.", out.FailedRows, out.Rows) + r.counted()
	case short != "":
		out.Summary = short + "."
	default:
		out.Passed, out.Loosened = true, loosened(r.outputs)
		out.Summary = r.passed()
	}
	return out
}

// passed is the sentence on a comparison that passed. Outputs that need to agree
// on a share of the rows only are not called equal.
func (r *replay) passed() string {
	for _, o := range r.outputs {
		share, beside := o.report.Agreement, o.beside()
		if share != nil && (*share < 1 || beside != "") {
			return fmt.Sprintf("Within the agreement asked for: %s agrees on %.2f%% of %d rows, and %.2f%% are asked for%s.",
				o.name, 100**share, o.voters(), 100**o.report.Tolerance.Agreement, beside)
		}
	}
	if within := r.report.Loosened; within != "" {
		return fmt.Sprintf("All %d rows are within the tolerance that the bundle asks for, which is a loosened one: %s.", r.report.Rows, within) + r.counted()
	}
	return fmt.Sprintf("All %d rows are what the pipeline answered.", r.report.Rows) + r.counted()
}

// counted says how many different rows there are, where some are sent more than
// once and the bundle tells: that is the number that its exporter has seen.
func (r *replay) counted() string {
	whole := r.columns != nil // a probe sends a few requests only
	rows := r.reach()
	if !whole || rows == 0 || rows >= r.report.Rows {
		return ""
	}
	return fmt.Sprintf(" These are %d different rows, sent alone and in bodies of up to %d.", rows, r.largest)
}

// recorder is the ResponseWriter of a request that has no connection.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header         { return w.header }
func (w *recorder) Write(b []byte) (int, error) { return w.body.Write(b) }
func (w *recorder) WriteHeader(status int)      { w.status = status }

// answer reads what the handler wrote; problem says why there is none.
func (w *recorder) answer() (a *answer, problem string) {
	if w.status != http.StatusOK {
		var p wire.Problem
		if json.Unmarshal(w.body.Bytes(), &p) != nil || p.Detail == "" {
			return nil, fmt.Sprintf("the server answered %d", w.status)
		}
		detail := p.Detail
		for _, f := range p.Errors {
			detail += " " + f.Path + ": " + f.Detail
		}
		return nil, fmt.Sprintf("the server refused the request (%d %s): %s", w.status, p.Code, detail)
	}
	a, err := parseAnswer(w.body.Bytes())
	if err != nil {
		return nil, fmt.Sprintf("the server's answer cannot be read: %v", err)
	}
	return a, ""
}
