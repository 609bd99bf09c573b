package rollout

import "math"

// Somebody looks after every request, so a test for a fixed number of requests
// would sooner or later find anything. These tests hold at every moment: each
// is the likelihood of the counts, averaged over all rates (Robbins 1970, "the
// method of mixtures"), over their greatest likelihood while the limit is kept
// (Wasserman, Ramdas and Balakrishnan 2020, "universal inference"). While the
// limit is kept that ratio is at most a martingale that starts at 1, so it ever
// reaches 1/α with probability α at most (Ville 1939).
//
// A fault that comes late would drown in the good requests before it, so a new
// test begins with every bucket of a Tally; then false alarms at a canary that
// is exactly at its limit are at least 1/α buckets apart on average (Shekhar and
// Ramdas 2023, arXiv 2309.09111). One that is well inside makes none in practice.
//
// A share of a request (3 of its 4 rows) counts as that share: of all variables
// from 0 to 1 with one mean those of 0 and 1 have the heaviest tails, so the
// tests still hold. Rows are not counted one by one, because those of one
// request go wrong together.

// The logarithms of 1/α. An excess over the stable version has to be beyond
// chance, and the limit, which is a margin, to be passed in all likelihood.
// Shares of the canary alone have to be beyond their limit beyond chance.
var (
	beyondChance = math.Log(10_000)
	likely       = math.Log(20)
)

// Weights of the mixtures (Dirichlet) say where rates are looked for: a half is
// Jeffreys', everywhere; a tenth, near nothing, where the stable version's are;
// two, for what goes right: rates of some per cent are the hard ones to find.
const jeffreys, hardly, mostly = 0.5, 0.1, 2

// evidence is one way in which versions were counted.
type evidence interface {
	// against is the logarithm of the evidence that limit is passed, 0 if it is kept.
	against(limit float64) float64
	// convinces reports whether that is enough to end a canary.
	convinces(limit float64) bool
	// excess is what was counted, variance the square of its deviation.
	excess() float64
	variance() float64
}

// single is k of n.
type single struct{ n, k float64 }

func (s single) against(limit float64) float64 {
	if s.k <= limit*s.n {
		return 0
	}
	return mixture([]float64{s.k, s.n - s.k}, []float64{jeffreys, jeffreys}) -
		xlog(s.k, limit) - xlog(s.n-s.k, 1-limit)
}

func (s single) rate() float64     { return s.k / max(s.n, 1) }
func (s single) excess() float64   { return s.rate() }
func (s single) variance() float64 { return s.rate() * (1 - s.rate()) / max(s.n, 1) }

func (s single) convinces(limit float64) bool { return s.against(limit) >= beyondChance }

// split are counts of two groups, by Side; what counts is how much more the
// canary's rate is, and limits are margins.
type split [2]single

func (s split) excess() float64   { return s[Canary].rate() - s[Stable].rate() }
func (s split) variance() float64 { return s[Canary].variance() + s[Stable].variance() }

func (s split) against(margin float64) float64 {
	c, b := s[Canary], s[Stable]
	if c.k == 0 || s.excess() <= margin {
		return 0
	}
	return mixture([]float64{c.k, c.n - c.k}, []float64{jeffreys, mostly}) +
		mixture([]float64{b.k, b.n - b.k}, []float64{hardly, hardly}) -
		peak(1-margin, []term{{c.k, margin, 1}, {c.n - c.k, 1 - margin, -1}, {b.k, 0, 1}, {b.n - b.k, 1, -1}})
}

func (s split) convinces(margin float64) bool {
	return s.against(margin) >= likely && s.against(0) >= beyondChance
}

// matched are counts of n copies: where only the canary did it, only the stable
// version, and both; limits are margins, too.
type matched struct{ n, canary, stable, both float64 }

func (m matched) excess() float64   { return (m.canary - m.stable) / max(m.n, 1) }
func (m matched) variance() float64 { return (m.canary + m.stable) / max(m.n*m.n, 1) }

func (m matched) against(margin float64) float64 {
	if m.canary == 0 || m.excess() <= margin {
		return 0
	}
	if margin == 0 { // a coin decides which side it is, and how many there are tells nothing
		return mixture([]float64{m.canary, m.stable}, []float64{jeffreys, hardly}) + (m.canary+m.stable)*math.Ln2
	}
	same := max(0, m.n-m.canary-m.stable)
	return mixture([]float64{m.canary, m.stable, same}, []float64{jeffreys, hardly, mostly}) -
		peak((1-margin)/2, []term{{m.canary, margin, 1}, {m.stable, 0, 1}, {same, 1 - margin, -2}})
}

func (m matched) convinces(margin float64) bool {
	return m.against(margin) >= likely && m.against(0) >= beyondChance
}

// known are copies beside all that is known of the stable version. Where the
// versions fail alike, by chance, the few copies may find it lucky.
type known struct {
	matched
	all split
}

func (m matched) beside(clients single) known {
	return known{m, split{
		Stable: {m.n + clients.n, m.stable + m.both + clients.k},
		Canary: {m.n, m.canary + m.both},
	}}
}

func (k known) convinces(margin float64) bool {
	return k.matched.convinces(margin) && k.all.against(0) >= likely
}

// mixture is the log-likelihood of counts, averaged over all rates by a
// Dirichlet distribution.
func mixture(counts, weights []float64) float64 {
	var sum, n, w float64
	for i, c := range counts {
		sum += lgamma(c+weights[i]) - lgamma(weights[i])
		n, w = n+c, w+weights[i]
	}
	return sum + lgamma(w) - lgamma(n+w)
}

// A term is the log-likelihood of count things whose rate is base + slope·p.
type term struct{ count, base, slope float64 }

// peak is the greatest sum of the terms for a p from 0 to high. It is concave,
// so the place where its slope changes sign is found by halving.
func peak(high float64, terms []term) float64 {
	low := 0.0
	for range 40 {
		p := (low + high) / 2
		slope := 0.0
		for _, t := range terms {
			if t.count > 0 {
				slope += t.count * t.slope / (t.base + t.slope*p)
			}
		}
		if slope > 0 {
			low = p
		} else {
			high = p
		}
	}
	sum := 0.0
	for _, t := range terms {
		sum += xlog(t.count, t.base+t.slope*(low+high)/2)
	}
	return sum
}

// xlog is x·ln(y), and 0 where there is no x.
func xlog(x, y float64) float64 {
	if x <= 0 {
		return 0
	}
	return x * math.Log(y)
}

func lgamma(x float64) float64 {
	v, _ := math.Lgamma(x)
	return v
}
