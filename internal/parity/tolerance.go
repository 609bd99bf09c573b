package parity

import (
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

// allowed is how far a number may be from the expected one. scale is the
// largest finite expected value of the output, so that abs is relative to the
// output's own size. Beside NaN and the infinities nothing is near.
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
