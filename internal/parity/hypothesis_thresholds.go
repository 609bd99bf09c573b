package parity

import (
	"fmt"
	"math"
	"slices"

	"github.com/tenon-ml/tenon/internal/tensor"
)

// Hypotheses on rows that sit on thresholds.

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

// nudged tries whether rows sit on thresholds. One smallest step in one
// direction for all rows is a comparison turned round; anything else, and a
// step of float32 where the column has more digits, is rounding first.
func nudged(l *lab) []hypothesis {
	numbers := slices.DeleteFunc(l.numbers(), func(f *feature) bool { return !f.in.Type.IsFloat() })
	if len(numbers) == 0 {
		return nil
	}
	if !l.anyMoves(numbers) {
		return nil
	}
	near := make([]bool, len(l.failing)) // explained by any nudge
	turned := make([]hypothesis, 2)      // by the smallest steps of the column's own type, and of float32
	for i, n := range nudges {
		for _, up := range []float64{-1, 1} {
			explained := l.moved(numbers, near, func(f *feature, x float64) float64 { return n.by(f, x, up) })
			if n.code == "less-or-equal" && explained > turned[i].explains {
				turned[i] = hypothesis{code: n.code, explains: explained, of: len(l.failing), says: fmt.Sprintf(
					"Rows on thresholds look compared otherwise (< for <=): moved %s by the smallest step,", direction(up))}
			}
		}
	}
	var found []hypothesis
	if l.convincesIn(turned[0], 4) {
		found = append(found, turned[0])
	}
	h := hypothesis{code: "rounded-to-float32", of: len(l.failing), explains: count(near)}
	h.says = "Off at thresholds, as by a float32 scaler before a tree or by rounded thresholds: moved by about the precision of float32,"
	tries := 2 * len(nudges)
	if 4*h.explains >= h.of && !l.convincesIn(h, tries) {
		tries += l.movedAlone(numbers, near)
		h.explains = count(near)
	}
	if l.convincesIn(h, tries) {
		found = append(found, h)
	}
	if len(found) < 2 && l.convincesIn(turned[1], 4) {
		found = append(found, turned[1])
	}
	return found
}

// anyMoves is a first look at some rows, because most differences lie elsewhere.
func (l *lab) anyMoves(numbers []*feature) bool {
	look := *l
	look.failing = spread(l.failing, 10)
	near := make([]bool, len(look.failing))
	for _, n := range nudges {
		for _, up := range []float64{-1, 1} {
			look.moved(numbers, near, func(f *feature, x float64) float64 { return n.by(f, x, up) })
		}
	}
	l.asked = look.asked
	return count(near) > 0
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
// It returns how many moves it tried.
func (l *lab) movedAlone(features []*feature, near []bool) (tries int) {
	for _, f := range features[:min(len(features), 16)] {
		for _, n := range nudges[1:] {
			for _, up := range []float64{-1, 1} {
				if count(near) == len(near) {
					return tries
				}
				tries++
				l.moved([]*feature{f}, near, func(f *feature, x float64) float64 { return n.by(f, x, up) })
			}
		}
	}
	return tries
}
