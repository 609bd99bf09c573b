package divergence

import (
	"bytes"
	"math"
	"slices"

	"github.com/tenon-ml/tenon/internal/tensor"
)

// A row disagrees where a label is another one, and where a number is further
// off than one of these. A tenth of a probability is what moves a decision
// that hangs on a threshold; a tenth of the spread of the answers is about as
// visible in numbers.
const (
	maxProbability = 0.1 // the largest difference of one class's probability
	maxValue       = 0.1 // the largest difference of one number, in parts of the scale
)

// output gathers one output that both versions have.
type output struct {
	name, kind string
	from, to   int // its place in the answers

	rows, agree  int
	incomparable int // rows without a distance; they disagree
	measured     bool
	distances    histogram // in the output's own unit, so that a scale that is known better later holds for all
	spread       spread    // of the numbers of from
	changes      changes
	classes      []classPair // of probabilities, once they are known
}

// classPair is where both sides have the probability of one class; -1: not at
// all, which is a probability of 0.
type classPair struct{ from, to int }

// cells is one output's values by row.
type cells struct {
	*tensor.Output
	shape []int64
	width int // elements of a row
}

func cellsOf(o *tensor.Output) cells {
	c := cells{Output: o, shape: o.Shape}
	if o.Whole {
		c.shape = o.Values.Shape
	}
	c.width = int(tensor.Count(c.shape))
	return c
}

func (c *cells) start(row int) int { return row*c.Stride + c.Offset }

func (c *cells) exact() bool { return c.Type == tensor.String || c.Type == tensor.Bool }

// add compares one request's answers and notes what each row shows. An output
// that is not batched is compared once, and what it shows is the first row's.
func (o *output) add(from, to *tensor.Output, number int, found []rowFound) {
	a, b := cellsOf(from), cellsOf(to)
	rows := len(found)
	if from.Whole || to.Whole {
		rows = min(rows, 1)
	}
	o.rows += rows
	switch {
	case from.Whole != to.Whole:
		for row := range rows {
			o.unlike(number, &found[row])
		}
	case a.Classes != nil && b.Classes != nil:
		o.probabilities(&a, &b, number, found[:rows])
	case o.kind == kindLabel || a.exact() || b.exact():
		o.equal(&a, &b, number, found[:rows])
	default:
		o.numbers(&a, &b, number, found[:rows])
	}
}

func (o *output) unlike(number int, f *rowFound) {
	o.incomparable++
	f.note(number, classIncomparable, 0, true)
}

// measure counts one distance, in parts of scale it is held to limit.
func (o *output) measure(distance, scale, limit float64, number int, f *rowFound) {
	if math.IsInf(distance, 1) {
		o.unlike(number, f)
		return
	}
	o.measured = true
	o.distances.add(distance)
	parts := distance / scale
	agrees := parts <= limit
	if agrees {
		o.agree++
	}
	f.note(number, classNear, parts, !agrees)
}

func (o *output) probabilities(a, b *cells, number int, found []rowFound) {
	if o.classes == nil {
		o.classes = pairs(a.Classes, b.Classes)
	}
	for row := range found {
		i, j := a.start(row), b.start(row)
		worst := 0.0
		for _, k := range o.classes {
			var p, q float64
			if k.from >= 0 {
				p = number64(a.Values, i+k.from)
			}
			if k.to >= 0 {
				q = number64(b.Values, j+k.to)
			}
			worst = max(worst, apart(p, q))
		}
		o.measure(worst, 1, maxProbability, number, &found[row])
	}
}

// pairs finds the classes of both sides, by their keys.
func pairs(from, to [][]byte) []classPair {
	var out []classPair
	index := func(list [][]byte, key []byte) int {
		return slices.IndexFunc(list, func(k []byte) bool { return bytes.Equal(k, key) })
	}
	for i, key := range from {
		out = append(out, classPair{i, index(to, key)})
	}
	for j, key := range to {
		if index(from, key) < 0 {
			out = append(out, classPair{-1, j})
		}
	}
	return out
}

// equal compares labels, strings and bools.
func (o *output) equal(a, b *cells, number int, found []rowFound) {
	alike := slices.Equal(a.shape, b.shape)
	for row := range found {
		i, j := a.start(row), b.start(row)
		same := alike
		for k := 0; same && k < a.width; k++ {
			same = sameElement(a, i+k, b, j+k)
		}
		if same {
			o.agree++
			continue
		}
		if a.width == 1 && b.width == 1 {
			o.changes.add(change{text(a, i), text(b, j)})
		}
		found[row].note(number, classFlip, 0, true)
	}
}

// numbers compares values element by element. All rows of a request are taken
// into the spread before the first is held against it.
func (o *output) numbers(a, b *cells, number int, found []rowFound) {
	for row := range found {
		for k, i := 0, a.start(row); k < a.width; k++ {
			o.spread.add(number64(a.Values, i+k))
		}
	}
	scale := o.spread.scale()
	alike := slices.Equal(a.shape, b.shape)
	for row := range found {
		if !alike {
			o.unlike(number, &found[row])
			continue
		}
		i, j := a.start(row), b.start(row)
		worst := 0.0
		for k := range a.width {
			worst = max(worst, apart(number64(a.Values, i+k), number64(b.Values, j+k)))
		}
		o.measure(worst, scale, maxValue, number, &found[row])
	}
}

// apart is the distance of two numbers: infinite between a finite one and NaN
// or infinity, and 0 between two that are the same, NaN with NaN.
func apart(a, b float64) float64 {
	d := math.Abs(a - b)
	switch {
	case a == b || a != a && b != b:
		return 0
	case d != d: // one of them is NaN
		return math.Inf(1)
	default:
		return d
	}
}
