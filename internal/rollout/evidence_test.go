package rollout

import (
	"math"
	"math/rand/v2"
	"testing"
)

// ever is in how many of 400 streams the evidence is enough at some moment of
// 1000 requests. An α of 1 in 20 may be reached in 20 of them, and by chance
// (three deviations) in 33.
func ever(enough func(look func(p float64) float64) bool) int {
	n := 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		if enough(func(p float64) float64 { return one(r.Float64() < p) }) {
			n++
		}
	}
	return n
}

// A canary that is exactly at its limit: the tests keep what they promise,
// although they are made after every request.
func TestEvidenceHoldsAtEveryMoment(t *testing.T) {
	const margin = 0.02
	tests := map[string]func(flip func(p float64) float64) bool{
		"single": func(flip func(p float64) float64) bool {
			var s single
			for range 1000 {
				s.n++
				s.k += flip(margin)
				if s.against(margin) >= likely {
					return true
				}
			}
			return false
		},
		"split": func(flip func(p float64) float64) bool {
			var s split
			for range 500 {
				s[Stable].n++
				s[Canary].n++
				s[Stable].k += flip(0.01)
				s[Canary].k += flip(0.01 + margin)
				if s.against(margin) >= likely {
					return true
				}
			}
			return false
		},
		"matched": func(flip func(p float64) float64) bool {
			var m matched
			for range 1000 {
				m.n++
				m.canary += flip(0.01 + margin)
				m.stable += flip(0.01)
				if m.against(margin) >= likely {
					return true
				}
			}
			return false
		},
		"matched, equal": func(flip func(p float64) float64) bool {
			var m matched
			for range 1000 {
				m.n++
				m.canary += flip(0.03)
				m.stable += flip(0.03)
				if m.against(0) >= likely {
					return true
				}
			}
			return false
		},
	}
	for name, enough := range tests {
		if n := ever(enough); n > 33 {
			t.Errorf("%s: %d of 400 streams at their limit were found beyond it; 20 are allowed", name, n)
		}
	}
}

// A test that looks at the counts as if each look were the only one is what
// these are not: it is wrong in far more streams.
func TestPlainTestWouldNotHold(t *testing.T) {
	n := ever(func(flip func(p float64) float64) bool {
		var s single
		for range 1000 {
			s.n++
			s.k += flip(0.02)
			if s.n > 100 && s.k/s.n-0.02 > 1.645*math.Sqrt(0.02*0.98/s.n) { // 1 in 20, once
				return true
			}
		}
		return false
	})
	if n < 60 {
		t.Errorf("only %d of 400 streams; the test above shows nothing then", n)
	}
}

func TestEvidence(t *testing.T) {
	tests := []struct {
		name   string
		e      evidence
		limit  float64
		enough bool
	}{
		{"nothing", single{}, 0.1, false},
		{"nothing", split{}, 0.01, false},
		{"nothing", matched{}, 0.01, false},
		{"all of a few", single{5, 5}, 0.1, true},
		{"at the limit", single{1000, 100}, 0.1, false},
		{"everything is allowed", single{1000, 1000}, 1, false},
		{"everything is allowed", split{{1000, 0}, {1000, 1000}}, 1, false},
		{"everything is allowed", matched{1000, 1000, 0, 0}, 1, false},
		{"nothing is allowed", single{10000, 1}, 0, true},
		{"3 of 61, none of 412", split{{412, 0}, {61, 3}}, 0.01, false},
		{"7 of 61, none of 412", split{{412, 0}, {61, 7}}, 0.01, true},
		{"9 of 61, as many of the stable version's", split{{412, 61}, {61, 9}}, 0.01, false},
		{"within the margin", split{{1e6, 0}, {1e6, 9000}}, 0.01, false},
		{"beyond chance, not beyond the margin", split{{1e5, 0}, {1e4, 110}}, 0.01, false},
		{"30 of 600 copies", matched{600, 30, 0, 0}, 0.01, true},
		{"30 of 600, and 25 the other way", matched{600, 30, 25, 0}, 0.01, false},
		{"all copies", matched{20, 20, 0, 0}, 0.01, true},
		{"copies, and the stable version is known to be good", matched{600, 30, 0, 0}.beside(single{3000, 0}), 0.01, true},
		{"copies found the stable version lucky", matched{600, 30, 0, 0}.beside(single{3000, 150}), 0.01, false},
		{"many are refused by both, some by the canary alone", matched{600, 60, 0, 120}.beside(single{3000, 600}), 0.01, true},
	}
	for _, tt := range tests {
		if got := tt.e.convinces(tt.limit); got != tt.enough {
			t.Errorf("%s %v beyond %v: %v (%.1f, %.1f)", tt.name, tt.e, tt.limit, got, tt.e.against(tt.limit), tt.e.against(0))
		}
	}
}
