package parity

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/tensor"
)

// output gathers one output's comparison over all rows.
type output struct {
	name   string
	kind   bundle.Kind
	typ    tensor.Type
	report wire.OutputReport
	total  int // rows that the golden set has of it
	ofData int // those of them that are of the data, not made to sit on an edge

	differ []wire.RowReport // the first rows without agreement; failed counts them
	plot   *plot            // nil where there is none
}

// relative is a distance in parts of the output's scale, 0 where there is none,
// as between labels.
func (o *output) relative(distance float64) float64 {
	if parts := distance / o.report.Scale; parts <= plotted {
		return parts
	}
	return 0 // NaN, too
}

// plotted is the largest relative distance that a plot takes part in: its
// square is a number still.
const plotted = 1e100

func newOutput(o *bundle.Output, s *sizes) *output {
	return &output{name: o.Name, kind: o.Kind, typ: o.Type, total: s.rows, ofData: s.ofData, report: wire.OutputReport{
		Name: o.Name, Kind: string(o.Kind), Type: o.Type.String(), Tolerance: toleranceOf(o), Scale: s.scale(),
	}}
}

// verdict of one output in one row. One that differs fails only together with
// too many others.
type verdict struct {
	failed, differs   bool
	distance, allowed float64
	detail            string
	expected, got     any
}

// compare holds one row's value against the expected one.
func (o *output) compare(expected, got any) verdict {
	var v verdict
	switch t := o.report.Tolerance; {
	case t.Agreement != nil:
		v = o.agree(expected, got)
	case t.Cosine != nil:
		v = o.cosine(expected, got, *t.Cosine)
	default:
		v = o.near(expected, got)
	}
	if v.failed {
		o.report.Failed++
	}
	return v
}

// vote counts a row for or against the agreement. It is one of the data's
// distribution, so rows that were made up to sit on edges are told beside it.
func (o *output) vote(why string, v verdict) (counts bool) {
	switch {
	case o.report.Tolerance.Agreement == nil:
		return false
	case o.ofData > 0 && !natural(why):
		if o.report.MadeUp == nil {
			o.report.MadeUp = &wire.MadeUp{}
		}
		o.report.MadeUp.Rows++
		if !v.differs {
			o.report.MadeUp.Agree++
		}
		return false
	case v.differs:
		o.report.Failed++
	}
	return true
}

// voters are the rows that an agreement is a share of.
func (o *output) voters() int { return cmp.Or(o.ofData, o.total) }

// absent is the verdict on a row whose answer lacks the output.
func (o *output) absent(expected any) verdict {
	o.report.Failed++
	return verdict{failed: true, distance: math.Inf(1), expected: expected, detail: "the output is absent from the answer"}
}

// near compares leaf by leaf, exactly or by distance, and returns the worst.
func (o *output) near(expected, got any) verdict {
	want, have := flatten(expected), flatten(got)
	worst := verdict{expected: expected, got: got}
	if !sameShape(want, have) {
		worst.failed, worst.distance = true, math.Inf(1)
		worst.detail = "the answer has another shape, or other classes"
		return worst
	}
	// No row of the data is larger than the scale; one that was made up may be.
	scale := max(o.report.Scale, largest(expected, o.typ))
	for i := range want {
		o.report.Values++
		v := o.leaf(want[i], have[i], scale)
		if v.failed && !worst.failed || v.failed == worst.failed && excess(v) > excess(worst) {
			v.expected, v.got = expected, got
			worst = v
		}
	}
	return worst
}

// excess orders verdicts: how many times over what is allowed.
func excess(v verdict) float64 {
	if v.distance == 0 {
		return 0
	}
	return v.distance / v.allowed // infinite where nothing is allowed
}

func (o *output) leaf(want, have leaf, scale float64) verdict {
	if o.report.Tolerance.Exact {
		if sameScalar(want.value, have.value, o.typ) {
			return verdict{}
		}
		return verdict{failed: true, distance: math.Inf(1), detail: fmt.Sprintf("%sexpected %s, got %s", where(want.path), show(want.value), show(have.value))}
	}
	a, okA := number(want.value, o.typ)
	b, okB := number(have.value, o.typ)
	if !okA || !okB {
		return verdict{failed: true, distance: math.Inf(1), detail: fmt.Sprintf("%sexpected %s, got %s", where(want.path), show(want.value), show(have.value))}
	}
	v := verdict{distance: distance(a, b), allowed: allowed(o.report.Tolerance, a, scale)}
	v.failed = v.distance > v.allowed
	if v.distance > o.report.Worst && !math.IsInf(v.distance, 0) {
		o.report.Worst, o.report.Allowed = v.distance, v.allowed
	}
	if v.failed {
		v.detail = fmt.Sprintf("%sexpected %s, got %s: %.3g apart, %.3g allowed", where(want.path), show(want.value), show(have.value), v.distance, v.allowed)
	}
	return v
}

// agree counts rows with another label, or another likeliest class; a single
// row does not fail, the share of all rows does.
func (o *output) agree(expected, got any) verdict {
	o.report.Values++
	want, have := flatten(expected), flatten(got)
	same := sameShape(want, have)
	if same && len(want) == 1 && want[0].path == "" {
		same = sameScalar(want[0].value, have[0].value, o.typ)
	} else if same {
		same = o.top(want) == o.top(have)
	}
	return verdict{
		differs: !same, distance: math.Inf(1), expected: expected, got: got,
		detail: fmt.Sprintf("expected %s, got %s", show(expected), show(got)),
	}
}

// top is the class or place of the largest number, "" where there is none.
func (o *output) top(values []leaf) string {
	best, path := math.Inf(-1), ""
	for _, v := range values {
		if f, ok := number(v.value, o.typ); ok && f > best {
			best, path = f, v.path
		}
	}
	return path
}

// short says by how much an output lacks agreement, "" where it does not. Of a
// part of the golden set, no more rows may differ than may of the whole.
func (o *output) short() string {
	least := o.report.Tolerance.Agreement
	if least == nil || o.total == 0 {
		return ""
	}
	share := float64(max(o.voters()-o.report.Failed, 0)) / float64(o.voters())
	o.report.Agreement = &share
	if share < *least {
		return fmt.Sprintf("%s agrees on %.2f%% of rows, and %.2f%% are asked for", o.name, 100*share, 100**least)
	}
	o.report.Failed = 0 // they are within the tolerance
	return ""
}

// beside says of how many made-up rows some do not agree, "" where all do.
func (o *output) beside() string {
	m := o.report.MadeUp
	if m == nil || m.Agree == m.Rows {
		return ""
	}
	return fmt.Sprintf("; of %d rows made up to sit on edges, which do not count, %d agree", m.Rows, m.Agree)
}

// cosine compares the directions of two vectors.
func (o *output) cosine(expected, got any, least float64) verdict {
	want, have := flatten(expected), flatten(got)
	o.report.Values += len(want)
	v := verdict{failed: true, distance: 2, allowed: 1 - least, expected: expected, got: got, detail: "the answer is no vector of the expected length"}
	a, okA := o.direction(want)
	b, okB := o.direction(have)
	if !okA || !okB || !sameShape(want, have) {
		return v
	}
	v.distance = 1
	for i := range a {
		v.distance -= a[i] * b[i]
	}
	if !slices.ContainsFunc(a, nonzero) && !slices.ContainsFunc(b, nonzero) {
		v.distance = 0 // nothing points nowhere, and so it should
	}
	v.failed = !(v.distance <= v.allowed) // NaN fails
	if v.distance > o.report.Worst {
		o.report.Worst, o.report.Allowed = v.distance, v.allowed
	}
	v.detail = fmt.Sprintf("the cosine is %.8f, at least %.8f is asked for", 1-v.distance, least)
	return v
}

// direction is a vector scaled to the length 1, or zeros. Dividing by the
// largest first keeps the squares from overflow and underflow.
func (o *output) direction(values []leaf) ([]float64, bool) {
	out, most, sum := make([]float64, len(values)), 0.0, 0.0
	for i, v := range values {
		f, ok := number(v.value, o.typ)
		if !ok {
			return nil, false
		}
		out[i], most = f, max(most, math.Abs(f))
	}
	if most == 0 {
		return out, true
	}
	for i := range out {
		out[i] /= most
		sum += out[i] * out[i]
	}
	for i := range out {
		out[i] /= math.Sqrt(sum)
	}
	return out, true
}

func nonzero(f float64) bool { return f != 0 }

// leaf is one scalar of a value, with its path.
type leaf struct {
	path  string
	value any
}

func flatten(v any) []leaf {
	var out []leaf
	leaves(v, "", func(path string, value any) { out = append(out, leaf{path, value}) })
	return out
}

func sameShape(a, b []leaf) bool {
	return slices.EqualFunc(a, b, func(a, b leaf) bool { return a.path == b.path })
}

// sameScalar compares labels, integers and strings: by value and by type.
func sameScalar(a, b any, t tensor.Type) bool {
	if t.IsFloat() {
		f, okF := number(a, t)
		g, okG := number(b, t)
		return okF && okG && distance(f, g) == 0
	}
	x, okX := a.(json.Number)
	y, okY := b.(json.Number)
	if !okX || !okY {
		return a == b
	}
	// Exactly, also beyond 2^53; 1.0 and 1e3 are whole numbers, too.
	p, okP := new(big.Rat).SetString(x.String())
	q, okQ := new(big.Rat).SetString(y.String())
	return okP && okQ && p.Cmp(q) == 0
}

func where(path string) string {
	if path == "" {
		return ""
	}
	return clip(path) + ": "
}

func show(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // "<=50K" is a label
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return clip(strings.TrimSuffix(b.String(), "\n"))
}

// clip keeps a sentence readable whatever is quoted in it.
func clip(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
