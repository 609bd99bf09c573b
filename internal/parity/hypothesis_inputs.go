package parity

import (
	"fmt"
	"math"
	"slices"

	"github.com/tenon-ml/tenon/internal/tensor"
)

// Hypotheses on the inputs: an edit that makes of a row the one for which this
// server should answer as the pipeline did for the row itself.

// maxInverted is how many columns have their values solved for.
const maxInverted = 24

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
		out, changed := copied(input), false
		for i, f := range targets {
			v := sources[i].of(input)
			if v == nil || f.isNumber() == sources[i].isNumber() {
				changed = f.put(out, v) || changed
			}
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

// swapped tries pairs of columns of one kind, neighbours first, with a third of
// the rows that may be sent: each costs two at first.
func swapped(l *lab) (found []hypothesis) {
	most := l.room / 6
	for _, kind := range [][]*feature{l.numbers(), l.texts()} {
		for gap := 1; gap < len(kind); gap++ {
			for i := 0; i+gap < len(kind) && len(found) < most; i++ {
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
			{"rotated by one place", kind, left},
			{"rotated by one place", left, kind},
			{"in reverse", kind, backwards},
			{"sorted by name", kind, byName},
			{"sorted by name", byName, kind},
		} {
			if moved(o.a, o.b) < 3 {
				continue // a swap, which is told as one
			}
			found = append(found, hypothesis{
				code: "columns-reordered", columns: names(kind)[:min(n, 50)], edit: exchanged(o.a, o.b),
				says: fmt.Sprintf("Columns %s look %s: with them put back,", quoted(names(kind)), o.says),
			})
		}
	}
	return found
}

// moved is how many features another order puts elsewhere.
func moved(a, b []*feature) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
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
		{"replaced by its logarithm", math.Log},
		{"replaced by its log1p", math.Log1p},
		{"replaced by its log10", math.Log10},
		{"replaced by its exp", math.Exp},
		{"replaced by its expm1", math.Expm1},
		{"replaced by 10^x", func(x float64) float64 { return math.Pow(10, x) }},
		{"replaced by its square root", math.Sqrt},
		{"replaced by its square", func(x float64) float64 { return x * x }},
	},
)

// converted applies a function to the numbers of some columns; one whose type
// does not hold the result changes nothing.
func converted(features []*feature, f func(*feature, float64) float64) func(map[string]any) (map[string]any, bool) {
	return func(input map[string]any) (map[string]any, bool) {
		out, changed := copied(input), false
		for _, c := range features {
			if x, ok := c.number(input); ok {
				changed = c.put(out, f(c, x)) || changed
			}
		}
		return out, changed
	}
}

// unit tries other units, of one column and of all, and a standardisation
// that is missing or there twice; of many columns the first, for another third.
func unit(l *lab) (found []hypothesis) {
	numbers := l.numbers()
	groups := [][]*feature{}
	for _, f := range numbers[:min(len(numbers), l.room/6/(len(conversions)+2))] {
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
