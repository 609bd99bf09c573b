package parity

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/tenon-ml/tenon/internal/bundle"
)

// The hypothesis of a column that is scaled otherwise, by solving for the
// values with which rows answer as the pipeline did.

// unknown is a number in a row that is solved for: with it in place of the
// column's value, the row answers as the pipeline did.
type unknown struct {
	f     *feature
	row   row
	at    float64 // where the search begins
	width float64 // its first step, about the spread of the column
}

// solve searches for all at once by the secant method; NaN where it fails.
func (l *lab) solve(all []unknown) []float64 {
	const steps = 9
	at, before := make([]float64, len(all)), make([]float64, len(all))
	errors, was := make([]float64, len(all)), make([]float64, len(all))
	out := slices.Repeat([]float64{math.NaN()}, len(all))
	for i, u := range all {
		before[i], at[i], was[i] = u.at, u.at, math.NaN()
	}
	for step := range steps {
		var inputs []map[string]any
		var whose []int
		for i, u := range all {
			input, ok := u.f.with(u.row.input, at[i])
			if !ok && at[i] == u.at && out[i] != out[i] {
				input, ok = u.row.input, true
			}
			if ok && out[i] != out[i] {
				inputs, whose = append(inputs, input), append(whose, i)
			}
		}
		answers := l.ask(inputs)
		for k, got := range answers {
			i := whose[k]
			u := all[i]
			if step > 0 && got != nil && l.gap(u.row, got) <= 1e-7*l.before(u.row) {
				out[i] = at[i]
				continue
			}
			errors[i] = l.residual(u.row, got)
			next := at[i] + 0.1*u.width
			if step > 0 {
				next = at[i] - errors[i]*(at[i]-before[i])/(errors[i]-was[i])
			}
			if reach := 100 * u.width; math.Abs(next-at[i]) > reach {
				next = at[i] + math.Copysign(reach, next-at[i])
			}
			before[i], was[i], at[i] = at[i], errors[i], next
		}
	}
	return out
}

// residual is how far an answer is from the pipeline's, with its sign: of the
// score that was furthest off at first. NaN where there is none.
func (l *lab) residual(r row, got map[string]any) float64 {
	best, at := -1.0, math.NaN()
	for _, o := range l.outputs {
		want, first, now := o.scores(r.want[o.name]), o.scores(r.got[o.name]), o.scores(got[o.name])
		if len(want) != len(now) {
			continue
		}
		for k := range want {
			off := 0.0
			if len(first) == len(want) {
				off = math.Abs(want[k]-first[k]) / o.report.Scale
			}
			if off > best {
				best, at = off, now[k]-want[k]
			}
		}
	}
	return at
}

// apart is how far the scores of a row are off; infinite where it has none.
func (l *lab) apart(r row) float64 {
	worst, found := 0.0, false
	for _, o := range l.outputs {
		want, got := o.scores(r.want[o.name]), o.scores(r.got[o.name])
		if len(want) == 0 || len(want) != len(got) || o.kind == bundle.KindLabel {
			continue
		}
		found = true
		for k := range want {
			worst = max(worst, math.Abs(want[k]-got[k]))
		}
	}
	if !found {
		return math.Inf(1)
	}
	return worst
}

// columnAffine solves for the values of one column that make rows answer as
// the pipeline did, and looks whether they lie on a line over the values there
// are: then one side scales or centres the column otherwise.
func columnAffine(l *lab) (found []hypothesis) {
	const each = 6 // rows: two make a line, the others are its proof
	var all []unknown
	// Rows that are off by little, because the way is short there, and because
	// the others may lie where a model hardly answers to its inputs.
	nearest := slices.DeleteFunc(slices.Clone(l.failing), func(r row) bool { return !r.natural() || r.got == nil })
	slices.SortStableFunc(nearest, func(a, b row) int { return cmp.Compare(l.apart(a), l.apart(b)) })
	for _, f := range l.numbers()[:min(len(l.numbers()), maxInverted)] {
		taken := 0
		for _, r := range nearest {
			if x, ok := f.number(r.input); ok && taken < each && f.in.Type.IsFloat() {
				all, taken = append(all, unknown{f, r, x, f.stats.std}), taken+1
			}
		}
	}
	x, y := map[*feature][]float64{}, map[*feature][]float64{}
	for i, v := range l.solve(all) {
		if f := all[i].f; v == v {
			x[f], y[f] = append(x[f], all[i].at), append(y[f], v)
		}
	}
	for _, f := range l.numbers() {
		if len(x[f]) < 4 {
			continue
		}
		a, b := straight(x[f], y[f])
		off := 0.0
		for i := range x[f] {
			off = max(off, math.Abs(a*x[f][i]+b-y[f][i]))
		}
		if off <= 1e-3*f.stats.std*max(1, math.Abs(a)) && math.Abs(a) > 1e-9 {
			found = append(found, f.affine(a, b))
		}
	}
	return found
}

// affine says what a line through the values means.
func (f *feature) affine(a, b float64) hypothesis {
	s := f.stats
	near := func(x, y float64) bool { return math.Abs(x-y) <= 0.1*math.Abs(y) }
	h := hypothesis{columns: []string{f.name}, rough: true, over: []*feature{f}, edit: converted([]*feature{f}, func(_ *feature, x float64) float64 { return a*x + b })}
	what := "Column " + quoted(h.columns) + " looks "
	switch {
	case math.Abs(a-1) < 1e-6:
		h.code, h.says = "column-shifted", fmt.Sprintf("%sshifted (its mean is %.6g): with %.6g added,", what, s.mean, b)
	case math.Abs(b) < 1e-6*s.std*max(1, math.Abs(a)):
		h.code, h.says = "column-unit", fmt.Sprintf("%sgiven in another unit: multiplied by %.6g,", what, a)
	case near(a, s.std) && math.Abs(b-s.mean) <= 0.1*s.std*max(1, s.std):
		h.code, h.says = "column-scaled-twice", fmt.Sprintf("%sstandardised twice: with one undone,", what)
	case near(1/a, s.std) && math.Abs(-b/a-s.mean) <= 0.2*s.std:
		h.code, h.says = "column-not-scaled", fmt.Sprintf("%snot standardised: standardised beforehand,", what)
	default:
		h.code, h.says = "column-scaled", fmt.Sprintf("%sscaled by other data: multiplied by %.6g, and %.6g added,", what, a, b)
	}
	return h
}
