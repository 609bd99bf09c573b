package rollout

import (
	"math"
	"math/rand/v2"
)

// usual is a version that takes 10 ms, more or less.
var usual = version{base: 0.010, noise: 0.3}

// sc is a scenario of 20 to 100 requests a second and two usual versions.
func sc(name string, change func(*scenario)) scenario {
	s := scenario{name: name, least: 20, most: 100, stable: usual, canary: usual}
	change(&s)
	return s
}

// both gives the two versions the same change.
func both(change func(*version)) func(*scenario) {
	return func(s *scenario) { change(&s.stable); change(&s.canary) }
}

// trial changes the canary alone.
func trial(change func(*version)) func(*scenario) { return func(s *scenario) { change(&s.canary) } }

func bodies(f func(*rand.Rand, *body)) func(*scenario) { return func(s *scenario) { s.body = f } }

func machine(f func(t float64) (factor, wait float64)) func(*scenario) {
	return func(s *scenario) { s.machine = f }
}

func rates(least, most float64) func(*scenario) {
	return func(s *scenario) { s.least, s.most = least, most }
}

// all applies changes in turn.
func all(changes ...func(*scenario)) func(*scenario) {
	return func(s *scenario) {
		for _, c := range changes {
			c(s)
		}
	}
}

// every is true for the first seconds of each period.
func every(period, seconds float64) func(t float64) bool {
	return func(t float64) bool { return math.Mod(t, period) > period-seconds }
}

// heavy makes a share of the bodies that many times as much work.
func heavy(share, times float64) func(*rand.Rand, *body) {
	return func(r *rand.Rand, b *body) {
		if r.Float64() < share {
			b.work, b.rows = times, 16
		}
	}
}

// sticks lets half of the requests come from callers that stay on one side;
// which is which depends on where the caller stands.
func sticks(caller func(b *body)) func(*rand.Rand, *body) {
	return func(r *rand.Rand, b *body) {
		if b.sticky = r.Float64() < 0.5; b.sticky {
			b.caller = (math.Floor(b.caller*20) + 0.5) / 20 // one of twenty
			caller(b)
		}
	}
}

// noisy is a machine with others on it: every 7 s another speed.
func noisy(t float64) (factor, wait float64) {
	phase := uint64(t / 7)
	return 1 + 3*rand.New(rand.NewPCG(phase, 7)).Float64(), 0
}

// freezes stops the machine for the last seconds of each period.
func freezes(period, seconds float64) func(t float64) (factor, wait float64) {
	return func(t float64) (float64, float64) {
		return 1, one(every(period, seconds)(t)) * (period - math.Mod(t, period))
	}
}

var goodOnes = []scenario{
	// Times.
	sc("times vary a little", both(func(v *version) { v.noise = 0.05 })),
	sc("times vary", both(func(v *version) {})),
	sc("times vary widely", both(func(v *version) { v.noise = 1 })),
	sc("every tenth request is ten times the work", bodies(heavy(0.1, 10))),
	sc("every hundredth request is fifty times the work", bodies(heavy(0.01, 50))),
	sc("rare requests of two seconds", bodies(heavy(0.003, 200))),
	sc("collector pauses in both", both(func(v *version) { v.pauses, v.pause = 0.02, 0.05 })),
	sc("long and rare collector pauses in both", both(func(v *version) { v.pauses, v.pause = 0.002, 0.5 })),
	sc("a tiny model", both(func(v *version) { v.base = 0.0001 })),
	sc("a tiny model, the canary five times as slow", all(
		both(func(v *version) { v.base = 0.0001 }), trial(func(v *version) { v.base *= 5 }))),
	sc("a large model", all(rates(20, 60), both(func(v *version) { v.base = 0.3 }))),
	sc("a first run that takes long", trial(func(v *version) { v.cold = 4 })),
	sc("a canary of half the time", trial(func(v *version) { v.base /= 2 })),
	sc("a canary of a tenth of the time", trial(func(v *version) { v.base /= 10 })),
	sc("a canary of 1.2 times the time", trial(func(v *version) { v.base *= 1.2 })),
	sc("a canary of 1.5 times the time", trial(func(v *version) { v.base *= 1.5 })),
	sc("a canary of 1.5 times the time that varies widely", all(
		both(func(v *version) { v.noise = 0.7 }), trial(func(v *version) { v.base *= 1.5 }))),
	sc("a canary of 1.5 times the time, some requests are heavy", all(
		bodies(heavy(0.05, 10)), trial(func(v *version) { v.base *= 1.5 }))),
	sc("a canary whose collector pauses half as often again", all(
		both(func(v *version) { v.pauses, v.pause = 0.02, 0.05 }), trial(func(v *version) { v.pauses = 0.03 }))),

	// Traffic.
	sc("few requests", all(rates(2, 5), func(s *scenario) { s.steps = []int{25, 50} })),
	sc("two thousand requests a second", all(rates(2000, 2000), func(s *scenario) { s.steps = []int{5} })),
	sc("one step", func(s *scenario) { s.steps = []int{50} }),
	sc("many steps", func(s *scenario) { s.steps = []int{5, 10, 20, 30, 50, 75, 99} }),
	sc("ten times the traffic for 2 of 20 seconds", func(s *scenario) {
		s.pulse = func(t float64) float64 { return 1 + 9*one(every(20, 2)(t)) }
	}),
	sc("waves of traffic", func(s *scenario) {
		s.pulse = func(t float64) float64 { return 1.1 + math.Sin(t/20) }
	}),
	sc("silence for 20 of 60 seconds", func(s *scenario) {
		s.pulse = func(t float64) float64 { return 1 - one(every(60, 20)(t)) }
	}),
	sc("silence for two minutes of ten", func(s *scenario) {
		s.pulse = func(t float64) float64 { return 1 - one(every(600, 120)(t+500)) }
	}),
	sc("callers that stay on one side", bodies(sticks(func(*body) {}))),
	sc("some callers on one side send heavy requests", bodies(sticks(func(b *body) { b.work = 1 + 20*one(b.caller < 0.1) }))),
	sc("some callers on one side are refused", bodies(sticks(func(b *body) { b.refused = b.caller < 0.2 }))),
	sc("some callers on one side fail both versions", bodies(sticks(func(b *body) { b.fails = b.caller < 0.1 }))),
	sc("some callers on one side get no numbers", bodies(sticks(func(b *body) { b.invalid = b.caller < 0.1 }))),

	// The machine.
	sc("a noisy machine", machine(noisy)),
	sc("a noisy machine and a canary of 1.4 times the time", all(machine(noisy), trial(func(v *version) { v.base *= 1.4 }))),
	sc("the machine stops for half a second", machine(freezes(15, 0.5))),
	sc("the machine stops for two and a half seconds", machine(freezes(40, 2.5))),
	sc("a machine that becomes slower", machine(func(t float64) (float64, float64) { return 1 + t/100, 0 })),
	sc("neither answers for a second", func(s *scenario) { s.outage = every(20, 1) }),
	sc("neither answers for ten seconds", func(s *scenario) { s.outage = every(90, 10) }),
	sc("neither answers while there is little traffic", func(s *scenario) {
		s.outage = every(30, 3)
		s.pulse = func(t float64) float64 { return 1 - 0.9*one(s.outage(t)) }
	}),

	// Faults that both have.
	sc("1 % of errors in both", both(func(v *version) { v.fails = 0.01 })),
	sc("3 % of errors in both", both(func(v *version) { v.fails = 0.03 })),
	sc("10 % of errors in both", both(func(v *version) { v.fails = 0.10 })),
	sc("3 % of the requests fail both", bodies(func(r *rand.Rand, b *body) { b.fails = r.Float64() < 0.03 })),
	sc("20 % of the requests are refused by both", bodies(func(r *rand.Rand, b *body) { b.refused = r.Float64() < 0.2 })),
	sc("5 % of invalid answers by chance in both", both(func(v *version) { v.nan = 0.05 })),
	sc("a canary without the 5 % of errors of the stable version", func(s *scenario) { s.stable.fails = 0.05 }),

	// Answers that differ, as a model that was trained anew gives.
	sc("1 % of the rows differ", trial(func(v *version) { v.differ = 0.01 })),
	sc("4 % of the rows differ", trial(func(v *version) { v.differ = 0.04 })),
	sc("6 % of the requests differ, with all their rows", trial(func(v *version) { v.differ, v.whole = 0.06, true })),
	sc("8 % of the rows differ", trial(func(v *version) { v.differ = 0.08 })),

	sc("all of it at once", all(
		both(func(v *version) { v.fails, v.pauses, v.pause, v.noise = 0.02, 0.01, 0.05, 0.5 }),
		trial(func(v *version) { v.base, v.differ = v.base*1.3, 0.05 }),
		machine(noisy),
		bodies(sticks(func(b *body) { b.refused, b.work = b.caller < 0.1, 1+5*one(b.caller > 0.9) })),
		func(s *scenario) { s.pulse = func(t float64) float64 { return 1 + 5*one(every(25, 3)(t)) } })),
}

var badOnes = []scenario{
	bad("5 % of errors", 60, func(s *sim, _ *body, _ float64, r *Run, _ *float64) {
		fail(r, s.r.Float64() < 0.05)
	}),
	bad("three times as slow", 0, func(_ *sim, _ *body, _ float64, r *Run, _ *float64) { r.Time *= 3 }),
	bad("not a number in 8 % of the answers", 0, func(_ *sim, b *body, _ float64, r *Run, _ *float64) {
		if b.kind < 0.08 {
			r.Invalid = b.rows
		}
	}),
	bad("shifted outputs: 30 % of the rows differ", 0, func(_ *sim, _ *body, _ float64, _ *Run, differ *float64) { *differ = 0.3 }),
	bad("its process ends with every 40th call", 60, func(s *sim, _ *body, t float64, r *Run, _ *float64) {
		if s.calls%40 == 0 && t > s.down {
			s.down = t + 0.5
		}
		fail(r, t < s.down)
	}),
	bad("hanging", 60, func(s *sim, _ *body, _ float64, r *Run, _ *float64) {
		if s.r.Float64() < 0.5 {
			r.Time = seconds(hangsForever)
		}
	}),
	bad("out of memory: 2 s without an answer every 9 s", 60, func(_ *sim, _ *body, t float64, r *Run, _ *float64) {
		fail(r, every(9, 2)(t))
	}),
	bad("two labels exchanged", 0, func(_ *sim, _ *body, _ float64, _ *Run, differ *float64) { *differ = 0.66 }),
	bad("refusing 8 % of the requests", 0, func(_ *sim, b *body, _ float64, r *Run, _ *float64) {
		if b.kind < 0.08 {
			r.Outcome = Refused
		}
	}),
	bad("slow in the tail: p99 five times as long", 60, func(s *sim, _ *body, _ float64, r *Run, _ *float64) {
		if s.r.Float64() < 0.06 {
			r.Time = seconds(5 * 0.020 * math.Exp(0.2*s.r.NormFloat64()))
		}
	}),
	bad("failing for one caller of twelve", 0, func(_ *sim, b *body, _ float64, r *Run, _ *float64) {
		b.sticky = true
		fail(r, b.caller > 1-1.0/12)
	}),
	bad("slower and slower, from twice the time on", 60, func(_ *sim, _ *body, t float64, r *Run, _ *float64) {
		r.Time = seconds(r.Time.Seconds() * (1 + t/10))
	}),
}

func fail(r *Run, yes bool) {
	if yes {
		r.Outcome = Failed
	}
}

func bad(name string, late float64, fault func(*sim, *body, float64, *Run, *float64)) scenario {
	s := sc(name, func(s *scenario) { s.most, s.late, s.fault = 300, late, fault })
	switch name {
	case "slower and slower, from twice the time on":
		s.grace, s.late = 10, 20
	case "failing for one caller of twelve":
		s.body = sticks(func(*body) {})
	}
	return s
}
