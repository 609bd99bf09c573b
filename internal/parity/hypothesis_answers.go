package parity

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/internal/bundle"
)

// Hypotheses on the answers alone: pure functions over what was expected and
// what came.

// verdictOn is a hypothesis if it holds for the differing rows (those that
// applies speaks of) and for the right ones.
func (l *lab) verdictOn(h hypothesis, applies, holds func(row) bool) []hypothesis {
	right, stay := 0, 0
	for _, r := range l.rows {
		if !applies(r) {
			continue
		}
		ok := holds(r)
		switch {
		case r.failed && ok:
			h.explains++
			h.of++
		case r.failed:
			h.of++
		case ok:
			right, stay = right+1, stay+1
		default:
			right++
		}
	}
	if !l.convinces(h) || float64(stay) < leastShare*float64(right) {
		return nil
	}
	return []hypothesis{h}
}

func (l *lab) outputsOf(kinds ...bundle.Kind) []*output {
	return slices.DeleteFunc(slices.Clone(l.outputs), func(o *output) bool { return !slices.Contains(kinds, o.kind) })
}

// fails is whether one output of a row differs.
func (o *output) fails(r row) bool { return r.failed && o.gap(r.want[o.name], r.got[o.name]) > 0 }

func labelsPermuted(l *lab) (found []hypothesis) {
	for _, o := range l.outputsOf(bundle.KindLabel) {
		counts := map[string]map[string]int{}
		for _, r := range l.rows {
			if r.got == nil {
				continue // refused
			}
			got, want := show(r.got[o.name]), show(r.want[o.name])
			if counts[got] == nil {
				counts[got] = map[string]int{}
			}
			counts[got][want]++
		}
		meant, taken := map[string]string{}, map[string]bool{}
		for _, got := range sortedKeys(counts) {
			meant[got] = ranked(counts[got])[0]
			taken[meant[got]] = true
		}
		if len(taken) < len(meant) || len(meant) < 2 {
			continue // not one to one
		}
		h := hypothesis{code: "labels-permuted", says: fmt.Sprintf("Labels look permuted (%s): with them exchanged back,", pairs(meant))}
		found = append(found, l.verdictOn(h,
			func(r row) bool { return !r.failed || o.fails(r) },
			func(r row) bool { return meant[show(r.got[o.name])] == show(r.want[o.name]) })...)
	}
	return found
}

// pairs words the entries of a map that change something.
func pairs(meant map[string]string) string {
	var out []string
	for _, from := range sortedKeys(meant) {
		if to := meant[from]; from != to {
			out = append(out, fmt.Sprintf("%s stands for %s", from, to))
		}
	}
	if len(out) > 3 {
		out = append(out[:3], "…")
	}
	return strings.Join(out, ", ")
}

func classesPermuted(l *lab) (found []hypothesis) {
	for _, o := range l.outputsOf(bundle.KindProbabilities) {
		order := o.assign(l.rows)
		if order == nil || slices.IsSorted(order) {
			continue
		}
		says := "The probabilities look as if they belonged to other classes: with the classes exchanged back,"
		if len(order) == 2 {
			says = "The probabilities of both classes look exchanged (p for 1 - p): with them exchanged back,"
		}
		found = append(found, l.verdictOn(hypothesis{code: "classes-permuted", says: says},
			func(r row) bool { return !r.failed || o.fails(r) },
			func(r row) bool {
				want, got := o.numbers(r.want[o.name]), o.numbers(r.got[o.name])
				if len(want) != len(order) || len(got) != len(order) {
					return false
				}
				back := make([]float64, len(got))
				for k, j := range order {
					back[k] = got[j]
				}
				return o.near2(want, back)
			})...)
	}
	return found
}

// assign finds for each class the one whose numbers are its own, nil if it
// does not find another for each.
func (o *output) assign(rows []row) []int {
	const most = 50 // classes
	var match [][]int
	for _, r := range rows {
		want, got := o.numbers(r.want[o.name]), o.numbers(r.got[o.name])
		if len(want) == 0 || len(want) != len(got) || len(want) > most {
			continue
		}
		if match == nil {
			match = make([][]int, len(want))
			for k := range match {
				match[k] = make([]int, len(want))
			}
		}
		for k := range want {
			for j := range got {
				if math.Abs(want[k]-got[j]) <= allowed(o.report.Tolerance, want[k], o.report.Scale) {
					match[k][j]++
				}
			}
		}
	}
	order, taken := make([]int, len(match)), map[int]bool{}
	for k := range match {
		best := -1
		for j, n := range match[k] {
			if !taken[j] && n > 0 && (best < 0 || n > match[k][best]) {
				best = j
			}
		}
		if best < 0 {
			return nil
		}
		order[k], taken[best] = best, true
	}
	return order
}

// near2 is whether numbers agree up to the tolerance, or a rounding.
func (o *output) near2(want, got []float64) bool {
	if len(want) != len(got) || len(want) == 0 {
		return false
	}
	for i := range want {
		least := max(allowed(o.report.Tolerance, want[i], o.report.Scale), 1e-9*math.Abs(want[i]))
		if !(math.Abs(want[i]-got[i]) <= least) && want[i] != got[i] {
			return false
		}
	}
	return true
}

func labelNotLikeliest(l *lab) (found []hypothesis) {
	labels, likely := l.outputsOf(bundle.KindLabel), l.outputsOf(bundle.KindProbabilities)
	if len(labels) != 1 || len(likely) != 1 {
		return nil
	}
	label, p := labels[0], likely[0]
	top := func(v any) string { return strings.TrimPrefix(p.top(flatten(v)), ".") }
	h := hypothesis{code: "label-not-likeliest", says: "The label does not look like the likeliest class: with that for the label,"}
	return l.verdictOn(h,
		func(r row) bool { return !r.failed || label.fails(r) },
		func(r row) bool {
			said := strings.Trim(show(r.want[label.name]), `"`)
			return p.gap(r.want[p.name], r.got[p.name]) == 0 && top(r.got[p.name]) == said
		})
}

// step is a function that a pipeline may have at its end.
type step struct {
	name string
	of   func([]float64) []float64
}

func each(f func(float64) float64) func([]float64) []float64 {
	return func(values []float64) []float64 {
		out := make([]float64, len(values))
		for i, v := range values {
			out[i] = f(v)
		}
		return out
	}
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func softmax(values []float64) []float64 {
	if len(values) == 0 {
		return nil
	}
	out, sum := make([]float64, len(values)), 0.0
	for i, v := range values {
		out[i] = math.Exp(v - slices.Max(values))
		sum += out[i]
	}
	return each(func(v float64) float64 { return v / sum })(out)
}

func normalised(values []float64) []float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return each(func(v float64) float64 { return v / sum })(values)
}

// ofSecond is the logistic function of the second of two classes; the first
// has the rest.
func ofSecond(values []float64) []float64 {
	if len(values) != 2 {
		return nil
	}
	p := logistic(values[1])
	return []float64{1 - p, p}
}

var links = []step{
	{"softmax", softmax},
	{"the logistic function of the second class", ofSecond},
	{"the logistic function", each(logistic)},
	{"exp", each(math.Exp)},
	{"division by their sum", normalised},
}

// after tries a step on the answers, and before on what was expected.
func (l *lab) after(code, says string, s step, o *output) []hypothesis {
	return l.stepped(hypothesis{code: code, says: fmt.Sprintf(says, s.name)}, o, func(want, got []float64) bool {
		return o.near2(want, s.of(got))
	})
}

func (l *lab) before2(code, says string, s step, o *output) []hypothesis {
	return l.stepped(hypothesis{code: code, says: fmt.Sprintf(says, s.name)}, o, func(want, got []float64) bool {
		return o.near2(s.of(want), got)
	})
}

func (l *lab) stepped(h hypothesis, o *output, holds func(want, got []float64) bool) []hypothesis {
	return l.verdictOn(h,
		func(r row) bool { return !r.failed || o.fails(r) },
		func(r row) bool { return holds(o.numbers(r.want[o.name]), o.numbers(r.got[o.name])) })
}

func linkMissing(l *lab) (found []hypothesis) {
	for _, o := range l.outputsOf(bundle.KindProbabilities) {
		for _, s := range links {
			found = append(found, l.after("link-missing", "The answers look like scores, not probabilities: with %s applied,", s, o)...)
		}
	}
	return found
}

func linkTwice(l *lab) (found []hypothesis) {
	for _, o := range l.outputsOf(bundle.KindProbabilities) {
		for _, s := range links[:3] {
			h := l.before2("link-twice", "The probabilities look as if %s were applied twice: applied to the pipeline's,", s, o)
			for i := range h {
				h[i].ends = "differing rows are what is answered"
			}
			found = append(found, h...)
		}
	}
	return found
}

var targets = []step{
	{"exp", each(math.Exp)},
	{"expm1", each(math.Expm1)},
	{"10^x", each(func(x float64) float64 { return math.Pow(10, x) })},
	{"x²", each(func(x float64) float64 { return x * x })},
	{"the logistic function", each(logistic)},
	{"the logarithm", each(math.Log)},
	{"log1p", each(math.Log1p)},
	{"log10", each(math.Log10)},
	{"the square root", each(math.Sqrt)},
}

func targetNotInverted(l *lab) (found []hypothesis) {
	for _, o := range l.outputsOf(bundle.KindValue) {
		for _, s := range targets {
			found = append(found, l.after("target-not-inverted", "The target looks transformed: with %s of the answers,", s, o)...)
		}
	}
	return found
}

func outputRounded(l *lab) (found []hypothesis) {
	steps := []step{{"float32", each(func(x float64) float64 { return float64(float32(x)) })}, {"whole numbers, towards zero", each(math.Trunc)}}
	for places := range 7 {
		ten := math.Pow(10, float64(places))
		steps = append(steps, step{fmt.Sprintf("%d decimals", places), each(func(x float64) float64 { return math.RoundToEven(x*ten) / ten })})
	}
	for _, o := range l.outputsOf(bundle.KindValue, bundle.KindProbabilities) {
		for _, s := range steps {
			for _, h := range l.before2("output-rounded", "The answers look rounded to %s: the pipeline's rounded so,", s, o) {
				h.ends = "differing rows are what is answered"
				found = append(found, h)
				break
			}
		}
	}
	return found[:min(len(found), 1)]
}
