package reportpage

import (
	"fmt"
	"math"
	"slices"
)

// axis maps values to places on the page, and says where its ticks are.
type axis struct {
	low, high float64 // of the values shown
	from, to  float64 // the places of low and high
	log       bool    // low and high are powers of ten
	zero      float64 // the place of 0, where log
}

// tick is a mark on an axis.
type tick struct {
	At    float64
	Label string
}

// at is a value's place, and whether it is beyond the axis and stands at its
// edge.
func (a *axis) at(v float64) (place float64, beyond bool) {
	if a.log {
		if v <= 0 {
			return a.zero, false
		}
		v = math.Log10(v)
	}
	if v < a.low || v > a.high {
		beyond = true
		v = min(max(v, a.low), a.high)
	}
	return round(a.from + (v-a.low)/(a.high-a.low)*(a.to-a.from)), beyond
}

func (a *axis) ticks() []tick {
	var list []tick
	for _, v := range steps(a.low, a.high, a.log) {
		label := num(v)
		if a.log {
			label = fmt.Sprintf("1e%d", int(v))
		}
		list = append(list, tick{round(a.from + (v-a.low)/(a.high-a.low)*(a.to-a.from)), label})
	}
	if a.log {
		list = append(list, tick{a.zero, "0"})
	}
	return list
}

// steps are round numbers within a range, about five; whole ones where asked.
func steps(low, high float64, whole bool) []float64 {
	raw := (high - low) / 5
	unit := math.Pow(10, math.Floor(math.Log10(raw)))
	step := 10 * unit
	for _, m := range []float64{1, 2, 5} {
		if raw <= m*unit {
			step = m * unit
			break
		}
	}
	if whole {
		step = max(math.Ceil(step), 1)
	}
	var list []float64
	for i := math.Ceil(low / step); i*step <= high && len(list) < 12; i++ {
		list = append(list, i*step)
	}
	return list
}

// linear is an axis over values. One whose ends are far from where most values
// are shows where most are, and the others stand at its edge: rows of extreme
// magnitude would press all else into one point.
func linear(values []float64, from, to float64) axis {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	low, high := sorted[0], sorted[n-1]
	inner, outer := sorted[n/20], sorted[n-1-n/20]
	if width := outer - inner; width > 0 && high-low > 20*width {
		low, high = max(low, inner-width/2), min(high, outer+width/2)
	}
	pad := 0.04 * (high - low)
	if pad == 0 {
		pad = max(math.Abs(low)*0.1, 1e-3)
	}
	return axis{low: low - pad, high: high + pad, from: from, to: to}
}

// logarithmic is an axis over distances, of which some are greater than 0.
func logarithmic(values []float64, from, to, zero float64) axis {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if v > 0 {
			low, high = min(low, math.Log10(v)), max(high, math.Log10(v))
		}
	}
	return axis{low: math.Floor(low), high: math.Floor(high) + 1, from: from, to: to, log: true, zero: zero}
}

// round keeps the page small: a tenth of a pixel is nothing.
func round(v float64) float64 { return math.Round(10*v) / 10 }
