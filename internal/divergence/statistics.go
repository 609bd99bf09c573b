package divergence

import (
	"math"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
)

// spread is the running deviation of an output's numbers (Welford), the unit
// that distances are told in.
type spread struct {
	fixed    float64 // of the training data, where that is known
	n        float64
	mean, m2 float64
}

// settled is how many numbers make a deviation worth the name.
const settled = 30

func (s *spread) add(v float64) {
	if s.fixed > 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return
	}
	s.n++
	d := v - s.mean
	s.mean += d / s.n
	s.m2 += d * (v - s.mean)
}

// scale is the deviation. Where it is not known yet, or all numbers are equal,
// it is their root mean square, which is no smaller; where that is 0, or too
// large for a number, 1.
func (s *spread) scale() float64 {
	if s.fixed > 0 {
		return s.fixed
	}
	deviation := math.Sqrt(s.m2 / max(s.n, 1))
	if s.n < settled || deviation <= 1e-9*math.Abs(s.mean) {
		deviation = math.Hypot(deviation, s.mean)
	}
	if !(deviation > 0) || math.IsInf(deviation, 1) {
		return 1
	}
	return deviation
}

// histogram counts positive numbers in buckets that are a 32nd part of a power
// of two wide, so that a quantile is 2 % off at most. It grows with the range
// of the numbers, not with how many there are: to 65,504 buckets at most.
type histogram struct {
	n, zeros int
	sum, max float64
	first    int // the bucket of counts[0]
	counts   []int
}

// bucketShift leaves exponent and five bits of the fraction of a float64.
const bucketShift = 47

func (h *histogram) add(v float64) {
	h.n++
	h.sum += v
	h.max = max(h.max, v)
	if v <= 0 {
		h.zeros++
		return
	}
	b := int(math.Float64bits(v) >> bucketShift)
	h.reach(b)
	h.counts[b-h.first]++
}

// reach makes room for bucket b.
func (h *histogram) reach(b int) {
	switch {
	case h.counts == nil:
		h.first, h.counts = b, make([]int, 1)
	case b < h.first:
		grown := make([]int, h.first-b+len(h.counts))
		copy(grown[h.first-b:], h.counts)
		h.first, h.counts = b, grown
	case b-h.first >= len(h.counts):
		h.counts = append(h.counts, make([]int, b-h.first+1-len(h.counts))...)
	}
}

// quantile is the number that a share of q of all numbers does not exceed.
func (h *histogram) quantile(q float64) float64 {
	rank := int(math.Ceil(q * float64(h.n)))
	seen := h.zeros
	if rank <= seen {
		return 0
	}
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			bits := uint64(h.first+i) << bucketShift
			return min(h.max, math.Float64frombits(bits|1<<(bucketShift-1))) // the middle of the bucket
		}
	}
	return h.max
}

func (h *histogram) addTime(d time.Duration) { h.add(d.Seconds()) }

// quantiles tells the middle and the end in parts of a scale.
func (h *histogram) quantiles(scale float64) wire.Quantiles {
	return wire.Quantiles{P50: finite(h.quantile(0.5) / scale), P99: finite(h.quantile(0.99) / scale)}
}

// finite keeps what is told within what JSON can say.
func finite(v float64) float64 { return min(v, math.MaxFloat64) }
