package parity

import (
	"fmt"
	"math"
	"slices"

	"github.com/tenon-ml/tenon/internal/bundle"
)

// Hypotheses on the scale on which models add: an amount, a factor, the leaves
// of a tree.

// scores are an output's numbers on the scale on which models add: themselves,
// and of probabilities the logarithms about their mean. nil where a
// probability is so near 0 that its digits are gone.
func (o *output) scores(v any) []float64 {
	values := o.numbers(v)
	if o.kind != bundle.KindProbabilities || values == nil {
		return values
	}
	mean := 0.0
	for i, p := range values {
		if p < 1e-7 {
			return nil
		}
		values[i] = math.Log(p)
		mean += values[i] / float64(len(values))
	}
	return each(func(x float64) float64 { return x - mean })(values)
}

// scored are the rows that have scores on both sides, with them.
type scored struct {
	row       row
	want, got []float64
}

func (l *lab) scored(o *output) (out []scored) {
	for _, r := range l.rows {
		s := scored{r, o.scores(r.want[o.name]), o.scores(r.got[o.name])}
		if s.want != nil && len(s.want) == len(s.got) {
			out = append(out, s)
		}
	}
	return out
}

// unit words the scale of an output's scores.
func (o *output) unitOfScores() string {
	if o.kind == bundle.KindProbabilities {
		return " in log-odds"
	}
	return ""
}

func outputShifted(l *lab) (found []hypothesis) {
	for _, o := range l.outputsOf(bundle.KindValue, bundle.KindProbabilities) {
		all := l.scored(o)
		if len(all) == 0 || 2*len(all) < len(l.rows) {
			continue
		}
		shift := make([]float64, len(all[0].want))
		for k := range shift {
			var apart []float64
			for _, s := range all {
				apart = append(apart, s.want[k]-s.got[k])
			}
			slices.Sort(apart)
			shift[k] = apart[len(apart)/2]
		}
		h := hypothesis{code: "output-shifted", says: fmt.Sprintf(
			"The output %q looks shifted by %.6g%s: without that,", o.name, -largestOf(shift), o.unitOfScores())}
		found = append(found, l.fitted(h, o, func(k int, got float64) float64 { return got + shift[k] })...)
	}
	return found
}

func outputScaled(l *lab) (found []hypothesis) {
	for _, o := range l.outputsOf(bundle.KindValue, bundle.KindProbabilities) {
		all := l.scored(o)
		if len(all) == 0 || 2*len(all) < len(l.rows) {
			continue
		}
		alphas, betas := make([]float64, len(all[0].want)), make([]float64, len(all[0].want))
		for k := range alphas {
			var x, y []float64
			for _, s := range all {
				x, y = append(x, s.got[k]), append(y, s.want[k])
			}
			alphas[k], betas[k] = straight(x, y)
		}
		if a := alphas[0]; a != a || math.Abs(a-1) < 1e-7 || math.Abs(a) < 1e-9 {
			continue
		}
		h := hypothesis{code: "output-scaled", says: fmt.Sprintf(
			"The output %q looks scaled by %.6g%s: without that,", o.name, 1/alphas[0], o.unitOfScores())}
		found = append(found, l.fitted(h, o, func(k int, got float64) float64 { return alphas[k]*got + betas[k] })...)
	}
	return found
}

// fitted tries a function of the scores whose parameters were estimated: a
// millionth of the distances may be left.
func (l *lab) fitted(h hypothesis, o *output, f func(k int, got float64) float64) []hypothesis {
	most := 0.0
	for _, s := range l.scored(o) {
		for k := range s.want {
			most = max(most, math.Abs(s.want[k]-s.got[k]))
		}
	}
	return l.verdictOn(h,
		func(r row) bool {
			return (!r.failed || o.fails(r)) && o.scores(r.want[o.name]) != nil
		},
		func(r row) bool {
			want, got := o.scores(r.want[o.name]), o.scores(r.got[o.name])
			if len(want) != len(got) {
				return false
			}
			for k := range want {
				if !(math.Abs(f(k, got[k])-want[k]) <= 1e-6*most) {
					return false
				}
			}
			return true
		})
}

// largestOf is the value of the largest magnitude.
func largestOf(values []float64) float64 {
	best := 0.0
	for _, v := range values {
		if math.Abs(v) > math.Abs(best) {
			best = v
		}
	}
	return best
}

// straight is the line y = a x + b through points, by least squares.
func straight(x, y []float64) (a, b float64) {
	mx, _ := moments(x)
	my, _ := moments(y)
	above, below := 0.0, 0.0
	for i := range x {
		above += (x[i] - mx) * (y[i] - my)
		below += (x[i] - mx) * (x[i] - mx)
	}
	a = above / below
	return a, my - a*mx
}

// treeLost looks whether answers are off by a few amounts only, as by the
// leaves of one tree, while they themselves are many.
func treeLost(l *lab) (found []hypothesis) {
	const trees = 500 // tried as the number of trees in a mean
	for _, o := range l.outputsOf(bundle.KindValue, bundle.KindProbabilities) {
		all := slices.DeleteFunc(l.scored(o), func(s scored) bool { return !s.row.failed })
		if len(all) < 20 || len(all[0].want) == 0 {
			continue
		}
		if h, ok := l.fewAmounts(o, all, func(w, g float64) float64 { return w - g }); ok {
			found = append(found, h)
			continue
		}
		if o.kind != bundle.KindValue {
			continue
		}
		for n := 2.0; n <= trees; n++ {
			if h, ok := l.fewAmounts(o, all, func(w, g float64) float64 { return w*n - g*(n-1) }); ok {
				found = append(found, h)
				break
			}
		}
	}
	return found
}

func (l *lab) fewAmounts(o *output, all []scored, apart func(want, got float64) float64) (hypothesis, bool) {
	var differences, wants []float64
	for _, s := range all {
		differences, wants = append(differences, apart(s.want[0], s.got[0])), append(wants, s.want[0])
	}
	few, many := amounts(differences), amounts(wants)
	if few > 64 || 5*few > len(all) || 4*few > many {
		return hypothesis{}, false
	}
	return hypothesis{
		code: "tree-lost", explains: len(all), of: len(all), ends: "differing rows are off by one of them",
		says: fmt.Sprintf("A tree looks lost, or there twice: the output %q is off by only %d amounts%s, as many as a tree has leaves, and", o.name, few, o.unitOfScores()),
	}, true
}

// amounts counts the distinct values, up to rounding.
func amounts(values []float64) int {
	sorted := slices.Sorted(slices.Values(values))
	most := math.Abs(largestOf(sorted))
	n := 0
	for i, v := range sorted {
		if i == 0 || v-sorted[i-1] > 1e-9*most {
			n++
		}
	}
	return n
}
