package rollout

import (
	"math"
	"time"
)

const (
	// perOctave makes a bucket 9 % wide, finer than any limit.
	perOctave = 8
	// fadeAt is where counts are halved, so that quantiles follow the day.
	fadeAt = 1 << 15
)

// latencies is a histogram with buckets that grow by the logarithm. Its
// quantiles are refreshed as it grows, not with every time that is added.
type latencies struct {
	buckets  [42 * perOctave]uint32 // from 1 ns to 73 minutes
	n, next  uint32
	p50, p99 time.Duration
}

func (h *latencies) add(d time.Duration) {
	i := 0
	if d > 0 {
		i = min(int(perOctave*math.Log2(float64(d))), len(h.buckets)-1)
	}
	h.buckets[i]++
	if h.n++; h.n >= fadeAt {
		h.fade()
	}
	if h.n >= h.next {
		h.p50, h.p99 = h.quantile(0.5), h.quantile(0.99)
		h.next = h.n + h.n/16 + 1
	}
}

func (h *latencies) fade() {
	h.n, h.next = 0, 0
	for i := range h.buckets {
		h.buckets[i] /= 2
		h.n += h.buckets[i]
	}
}

// quantile is the upper end of the bucket where the share q is reached.
func (h *latencies) quantile(q float64) time.Duration {
	rest := q * float64(h.n)
	for i, n := range h.buckets {
		if rest -= float64(n); rest <= 0 {
			return time.Duration(math.Exp2(float64(i+1) / perOctave))
		}
	}
	return math.MaxInt64
}
