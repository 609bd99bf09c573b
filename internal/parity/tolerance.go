package parity

import (
	"cmp"
	"math"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/tensor"
)

// Defaults by what an output is (design §7): what is lowered in float64 agrees
// to the last digits, networks in float32 to about four.
var (
	lowered       = wire.ToleranceUsed{Rel: 1e-9, Abs: 1e-12}
	network       = wire.ToleranceUsed{Rel: 1e-4, Abs: 1e-5}
	probabilities = wire.ToleranceUsed{Abs: 1e-5} // of networks
	exact         = wire.ToleranceUsed{Exact: true}
)

// toleranceOf returns the rule for an output: the signature's own where it
// declares one, else the default of its kind and type.
func toleranceOf(o *bundle.Output) wire.ToleranceUsed {
	if t := o.Tolerance; t != nil {
		return wire.ToleranceUsed{
			Rel: value(t.Rel), Abs: value(t.Abs), Agreement: t.Agreement, Cosine: t.Cosine, Declared: true,
			Exact: t.Agreement == nil && t.Cosine == nil && value(t.Rel) == 0 && value(t.Abs) == 0,
		}
	}
	switch {
	case o.Kind == bundle.KindLabel, !o.Type.IsFloat():
		return exact
	case o.Type == tensor.Float64:
		return lowered
	case o.Kind == bundle.KindProbabilities:
		return probabilities
	default:
		return network
	}
}

func value(f *float64) float64 {
	if f == nil {
		return 0
	}
	return *f
}

// sizes gathers, over the golden set, how many rows there are of an output and
// how large its expected numbers are.
type sizes struct {
	rows, ofData          int     // all rows, and those of the data
	largest, largestOfAll float64 // finite magnitudes of the data's rows, and of all
}

func (s *sizes) add(why string, expected *answer, o *bundle.Output) {
	for row := range expected.rows() {
		v, ok := expected.at(o.Name, row)
		if !ok {
			continue
		}
		most := largest(v, o.Type)
		s.rows++
		s.largestOfAll = max(s.largestOfAll, most)
		if natural(why) {
			s.ofData++
			s.largest = max(s.largest, most)
		}
	}
}

// scale is the size of an output: that of the rows of the data, because a huge
// answer to a made-up row would blunt the comparison of all others. Where there
// are none, all rows count.
func (s *sizes) scale() float64 {
	most := s.largest
	if s.ofData == 0 {
		most = s.largestOfAll
	}
	return cmp.Or(most, 1)
}

// largest is the largest finite magnitude in a value, 0 where there is none.
func largest(v any, t tensor.Type) float64 {
	most := 0.0
	if !t.IsFloat() {
		return most
	}
	leaves(v, "", func(_ string, leaf any) {
		if f, ok := number(leaf, t); ok && !math.IsInf(f, 0) && f == f {
			most = max(most, math.Abs(f))
		}
	})
	return most
}

// allowed is how far a number may be from the expected one; scale makes abs
// relative to the size of the output. Beside NaN and the infinities nothing is near.
func allowed(t wire.ToleranceUsed, expected, scale float64) float64 {
	if math.IsInf(expected, 0) || expected != expected {
		return 0
	}
	return min(t.Abs*scale+t.Rel*math.Abs(expected), math.MaxFloat64)
}

// distance of two numbers; NaN equals NaN and infinities equal themselves, and
// each is infinitely far from everything else.
func distance(expected, got float64) float64 {
	switch {
	case expected == got, expected != expected && got != got:
		return 0
	case expected != expected || got != got || math.IsInf(expected, 0) || math.IsInf(got, 0):
		return math.Inf(1)
	default:
		return math.Abs(expected - got)
	}
}
