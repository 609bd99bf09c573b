package transform

import (
	"math"
	"math/big"

	"github.com/tenon-ml/tenon/internal/tensor"
)

// end is one end of a column's range, as it was written and exactly; the zero
// value is open.
type end struct {
	text  string
	value *big.Rat
}

func endOf(text string) end {
	value, ok := new(big.Rat).SetString(text)
	if !ok {
		return end{}
	}
	return end{text, value}
}

// has reports whether a number is inside; way is 1 for a maximum, -1 for a
// minimum.
func (e end) has(number string, way int) bool {
	v, ok := new(big.Rat).SetString(number)
	return e.value == nil || !ok || v.Cmp(e.value)*way <= 0
}

// narrower reports whether an end refuses numbers that another took.
func (e end) narrower(was end, way int) bool {
	return e.value != nil && (was.value == nil || e.value.Cmp(was.value)*way < 0)
}

// inputRange holds that numbers which were taken still are. The kit writes
// ranges where scikit-learn raises, most of them for infinities and for what is
// one in float32; nobody's features lie there, and a model that is exported
// again must not be refused for that. A frame of float32 overflows in squares
// already, so its ranges end earlier. Of a closed domain only its values count.
func (d *diff) inputRange(was, is accepts) {
	if was.values != nil || is.values != nil {
		return
	}
	low, high := was.limits()
	whole := was.narrowest().IsInteger()
	far := math.MaxFloat32
	if was.narrowest() == tensor.Float32 {
		far = 1e30
	}
	d.end(was.least, is.least, -1, whole, math.Min(-low, far))
	d.end(was.most, is.most, 1, whole, math.Min(high, far))
}

// end compares the ends of one side; far is the magnitude of the last number
// that matters there; of whole ones that is the last one that there is.
func (d *diff) end(was, is end, way int, whole bool, far float64) {
	side := "above"
	if way < 0 {
		side = "below"
	}
	switch {
	case was.narrower(is, way):
		d.note(ChangeRange, "numbers %s %s are taken, too", side, was.text)
	case !is.narrower(was, way), whole && outward(is.value, way) >= far:
	case outward(is.value, way) >= far:
		d.note(ChangeRange, "infinities and numbers %s %s are refused now", side, is.text)
	default:
		d.breaks(ChangeRange, "refuses numbers %s %s now", side, is.text)
	}
}

// outward is how far out an end lies.
func outward(v *big.Rat, way int) float64 {
	f, _ := v.Float64()
	return f * float64(way)
}
