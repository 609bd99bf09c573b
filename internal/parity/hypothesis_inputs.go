package parity

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/tenon-ml/tenon/internal/tensor"
)

// Hypotheses on the inputs: an edit that makes of a row the one for which this
// server should answer as the pipeline did for the row itself.

// How many a search may try: each costs two rows at first.
const (
	maxPairs    = 1500 // of columns
	maxNumbers  = 64   // columns that are tried in other units
	maxInverted = 24   // columns whose values are solved for
)

func (l *lab) numbers() []*feature {
	return slices.DeleteFunc(slices.Clone(l.features), func(f *feature) bool { return !f.isNumber() })
}

func (l *lab) texts() []*feature {
	return slices.DeleteFunc(slices.Clone(l.features), func(f *feature) bool {
		return f.in.Type != tensor.String && f.in.Type != tensor.Bool
	})
}

// exchanged gives every target the value of its source.
func exchanged(targets, sources []*feature) func(map[string]any) (map[string]any, bool) {
	return func(input map[string]any) (map[string]any, bool) {
		out, changed := input, false
		for i, f := range targets {
			v := sources[i].of(input)
			if v == f.of(out) || v != nil && f.isNumber() != sources[i].isNumber() {
				continue
			}
			next, ok := f.with(out, v)
			if !ok {
				return nil, false
			}
			out, changed = next, true
		}
		return out, changed
	}
}

func names(features []*feature) []string {
	out := make([]string, len(features))
	for i, f := range features {
		out[i] = f.name
	}
	return out
}

// swapped tries pairs of columns of one kind, neighbours first.
func swapped(l *lab) (found []hypothesis) {
	for _, kind := range [][]*feature{l.numbers(), l.texts()} {
		for gap := 1; gap < len(kind); gap++ {
			for i := 0; i+gap < len(kind) && len(found) < maxPairs; i++ {
				pair := []*feature{kind[i], kind[i+gap]}
				found = append(found, hypothesis{
					code: "columns-swapped", columns: names(pair), edit: exchanged(pair, []*feature{pair[1], pair[0]}),
					says: fmt.Sprintf("Columns %s look swapped: with them exchanged,", quoted(names(pair))),
				})
			}
		}
	}
	return found
}

// reordered tries orders that mistakes make: rotated, reversed, sorted by name.
func reordered(l *lab) (found []hypothesis) {
	for _, kind := range [][]*feature{l.features, l.numbers(), l.texts()} {
		n := len(kind)
		if n < 3 || n == len(l.features) && len(found) > 0 {
			continue
		}
		byName := slices.Clone(kind)
		slices.SortStableFunc(byName, func(a, b *feature) int {
			if a.name < b.name {
				return -1
			}
			return 1
		})
		backwards := slices.Clone(kind)
		slices.Reverse(backwards)
		left := append(slices.Clone(kind[1:]), kind[0])
		for _, o := range []struct {
			says string
			a, b []*feature
		}{
			{"rotated by one place", kind, left}, {"rotated by one place", left, kind},
			{"in reverse", kind, backwards}, {"sorted by name", kind, byName}, {"sorted by name", byName, kind},
		} {
			found = append(found, hypothesis{
				code: "columns-reordered", columns: names(kind)[:min(n, 50)], edit: exchanged(o.a, o.b),
				says: fmt.Sprintf("Columns %s look %s: with them put back,", quoted(names(kind)), o.says),
			})
		}
	}
	return found
}

// conversion is a change of unit.
type conversion struct {
	says string
	of   func(float64) float64
}

func times(factor float64, says string) []conversion {
	return []conversion{
		{"multiplied by " + says, func(x float64) float64 { return x * factor }},
		{"divided by " + says, func(x float64) float64 { return x / factor }},
	}
}

var conversions = slices.Concat(
	times(10, "10"), times(100, "100"), times(1000, "1000"), times(1e6, "1000000"), times(12, "12"), times(60, "60"), times(3600, "3600"),
	times(24, "24"), times(1024, "1024"), times(2.54, "2.54 (inch, cm)"), times(25.4, "25.4 (inch, mm)"), times(0.45359237, "0.45359237 (lb, kg)"),
	times(0.3048, "0.3048 (ft, m)"), times(10.7639, "10.7639 (m², ft²)"), times(1.609344, "1.609344 (mile, km)"),
	[]conversion{
		{"converted from °C to °F", func(x float64) float64 { return x*1.8 + 32 }},
		{"converted from °F to °C", func(x float64) float64 { return (x - 32) / 1.8 }},
		{"converted from °C to K", func(x float64) float64 { return x + 273.15 }},
		{"converted from K to °C", func(x float64) float64 { return x - 273.15 }},
		{"its sign changed", func(x float64) float64 { return -x }},
		{"replaced by its logarithm", math.Log}, {"replaced by its log1p", math.Log1p}, {"replaced by its log10", math.Log10},
		{"replaced by its exp", math.Exp}, {"replaced by its expm1", math.Expm1},
		{"replaced by 10^x", func(x float64) float64 { return math.Pow(10, x) }},
		{"replaced by its square root", math.Sqrt}, {"replaced by its square", func(x float64) float64 { return x * x }},
	},
)

// converted applies a function to the numbers of some columns; one whose type
// does not hold the result changes nothing.
func converted(features []*feature, f func(*feature, float64) float64) func(map[string]any) (map[string]any, bool) {
	return func(input map[string]any) (map[string]any, bool) {
		out, changed := input, false
		for _, c := range features {
			x, ok := c.number(input)
			if !ok {
				continue
			}
			if next, ok := c.with(out, f(c, x)); ok {
				out, changed = next, true
			}
		}
		return out, changed
	}
}

// unit tries other units, of one column and of all, and a standardisation
// that is missing or there twice.
func unit(l *lab) (found []hypothesis) {
	numbers := l.numbers()
	groups := [][]*feature{}
	for _, f := range numbers[:min(len(numbers), maxNumbers)] {
		groups = append(groups, []*feature{f})
	}
	if len(numbers) > 1 {
		groups = append(groups, numbers)
	}
	for _, g := range groups {
		what := fmt.Sprintf("Column %s looks", quoted(names(g)))
		if len(g) > 1 {
			what = fmt.Sprintf("Columns %s look", quoted(names(g)))
		}
		columns := names(g)[:min(len(g), 50)]
		for _, c := range conversions {
			found = append(found, hypothesis{
				code: "column-unit", columns: columns, rough: true, over: g,
				says: what + " given in another unit: " + c.says + ",",
				edit: converted(g, func(_ *feature, x float64) float64 { return c.of(x) }),
			})
		}
		const ends, left = "differing rows come within a tenth of what the pipeline answered", 0.1 // mean and deviation are estimates
		found = append(found, hypothesis{
			code: "column-not-scaled", columns: columns, rough: true, over: g, left: left, ends: ends, says: what + " not standardised: standardised beforehand,",
			edit: converted(g, func(f *feature, x float64) float64 { return (x - f.stats.mean) / f.stats.std }),
		}, hypothesis{
			code: "column-scaled-twice", columns: columns, rough: true, over: g, left: left, ends: ends, says: what + " standardised twice: with one undone,",
			edit: converted(g, func(f *feature, x float64) float64 { return x*f.stats.std + f.stats.mean }),
		})
	}
	return found
}

// nudges are how far a row is moved: the smallest steps of both floating
// types, and about the error of a computation in float32. up is 1 or -1.
var nudges = []struct {
	code string
	by   func(f *feature, x, up float64) float64
}{
	{"less-or-equal", func(f *feature, x, up float64) float64 {
		if f.in.Type == tensor.Float32 {
			return float64(math.Nextafter32(float32(x), float32(math.Inf(int(up)))))
		}
		return math.Nextafter(x, math.Inf(int(up)))
	}},
	{"less-or-equal", func(_ *feature, x, up float64) float64 {
		return float64(math.Nextafter32(float32(x), float32(math.Inf(int(up)))))
	}},
	{"rounded-to-float32", func(_ *feature, x, up float64) float64 { return x + up*2e-7*math.Abs(x) }},
	{"rounded-to-float32", func(f *feature, x, up float64) float64 {
		return x + up*2e-7*(math.Abs(x)+math.Abs(f.stats.mean)+2*f.stats.std)
	}},
}

// nudged tries whether rows sit on thresholds. One step in one direction for
// all rows is a comparison turned round; anything else is rounding.
func nudged(l *lab) []hypothesis {
	numbers := slices.DeleteFunc(l.numbers(), func(f *feature) bool { return !f.in.Type.IsFloat() })
	if len(numbers) == 0 {
		return nil
	}
	near := make([]bool, len(l.failing)) // explained by any nudge
	var found []hypothesis
	best := hypothesis{code: "less-or-equal", of: len(l.failing)}
	for i, n := range nudges {
		for _, up := range []float64{-1, 1} {
			explained := l.moved(numbers, near, func(f *feature, x float64) float64 { return n.by(f, x, up) })
			if n.code == "less-or-equal" && explained > best.explains {
				best.explains = explained
				best.says = fmt.Sprintf("Rows on thresholds look compared otherwise (< for <=): moved %s by the smallest step,", direction(up))
			}
		}
		if i == 1 && l.convinces(best) {
			found = append(found, best)
		}
	}
	if h := (hypothesis{code: "rounded-to-float32", of: len(l.failing), explains: count(near)}); 4*h.explains >= h.of {
		l.movedAlone(numbers, near)
		h.explains = count(near)
		h.says = "Off at thresholds, as by a float32 scaler before a tree or by rounded thresholds: moved by about the precision of float32,"
		if l.convinces(h) {
			found = append(found, h)
		}
	}
	return found
}

func direction(up float64) string {
	if up > 0 {
		return "up"
	}
	return "down"
}

func count(flags []bool) (n int) {
	for _, f := range flags {
		if f {
			n++
		}
	}
	return n
}

// moved counts the differing rows that one edit explains, and marks them.
func (l *lab) moved(features []*feature, near []bool, by func(*feature, float64) float64) (explained int) {
	edit := converted(features, by)
	inputs := make([]map[string]any, len(l.failing))
	for i, r := range l.failing {
		if inputs[i], _ = edit(r.input); inputs[i] == nil {
			inputs[i] = r.input
		}
	}
	for i, got := range l.ask(inputs) {
		if l.explained(l.failing[i], got) {
			near[i] = true
			explained++
		}
	}
	return explained
}

// movedAlone moves one column at a time, where moving all together missed.
func (l *lab) movedAlone(features []*feature, near []bool) {
	for _, f := range features[:min(len(features), 16)] {
		for _, n := range nudges[1:] {
			for _, up := range []float64{-1, 1} {
				if count(near) == len(near) {
					return
				}
				l.moved([]*feature{f}, near, func(f *feature, x float64) float64 { return n.by(f, x, up) })
			}
		}
	}
}

// rowsMixed sends rows alone: answers must not depend on the others.
func rowsMixed(l *lab) []hypothesis {
	h := hypothesis{code: "rows-mixed", says: "Answers look mixed up between the rows of a request: sent alone,", of: len(l.failing)}
	for i, r := range l.failing {
		if i == 4 && h.explains == 0 {
			return nil
		}
		if r.size > 1 {
			if l.asked++; l.explained(r, first(l.send([]map[string]any{r.input}))) {
				h.explains++
			}
		}
	}
	if !l.convinces(h) {
		return nil
	}
	return []hypothesis{h}
}

func first(answers []map[string]any) map[string]any {
	if len(answers) == 0 {
		return nil
	}
	return answers[0]
}

// inputIgnored looks for columns that answers do not depend on, and for golden
// rows that differ in nothing else, for which the pipeline's answers do.
func inputIgnored(l *lab) (found []hypothesis) {
	for _, f := range l.features[:min(len(l.features), 200)] {
		if !l.dead(f) {
			continue
		}
		h := hypothesis{code: "input-ignored", columns: []string{f.name}, ends: "pairs of rows that differ only there have one answer here, and two from the pipeline"}
		h.says = fmt.Sprintf("Column %s looks ignored: changing it changes no answer, and", quoted(h.columns))
		h.explains, h.of = l.twins(f)
		if h.explains >= 3 && float64(h.explains) >= leastShare*float64(h.of) {
			found = append(found, h)
		}
	}
	if 2*len(found) > len(l.features) {
		return nil // the model is rather beyond its range, and answers everything alike
	}
	return found
}

// dead is whether no other value of a column changes an answer.
func (l *lab) dead(f *feature) bool {
	var inputs []map[string]any
	var of []row
	for _, r := range spread(l.rows, 8) {
		for _, v := range f.others() {
			if input, ok := f.with(r.input, v); ok {
				inputs, of = append(inputs, input), append(of, r)
			}
		}
	}
	for i, got := range l.ask(inputs) {
		if !l.same(of[i].got, got) {
			return false
		}
	}
	return len(inputs) > 0
}

// others are values of a column that are far from each other.
func (f *feature) others() []any {
	if f.isNumber() {
		return []any{math.Floor(f.stats.low), math.Ceil(f.stats.high), math.Round(f.stats.mean)}
	}
	return f.categoryValues(3)
}

// categoryValues are the most frequent categories in the column's type.
func (f *feature) categoryValues(most int) []any {
	var out []any
	for _, c := range f.stats.categories[:min(len(f.stats.categories), most)] {
		if f.in.Type == tensor.Bool {
			out = append(out, c == "true")
		} else {
			out = append(out, c)
		}
	}
	return out
}

// twins counts pairs of rows that differ in one column only: of those with two
// answers from the pipeline, how many have one here.
func (l *lab) twins(f *feature) (one, of int) {
	firsts := map[string]row{}
	for _, r := range l.rows {
		blank, _ := f.with(r.input, "\x00")
		if blank == nil {
			blank, _ = f.with(r.input, nil)
		}
		key, err := json.Marshal(blank)
		if err != nil {
			continue
		}
		before, ok := firsts[string(key)]
		switch {
		case !ok:
			firsts[string(key)] = r
		case l.same(before.want, r.want): // the pipeline sees no difference here
		case l.same(before.got, r.got):
			one++
			of++
		default:
			of++
		}
	}
	return one, of
}
