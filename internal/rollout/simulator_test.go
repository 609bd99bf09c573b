package rollout

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
)

// A body is what a request brings along; both versions meet the same one.
type body struct {
	caller  float64 // from 0 to 1; a sticky one is on the canary below its share
	sticky  bool
	kind    float64 // from 0 to 1: what a fault may look for
	work    float64 // as a factor of a version's time
	rows    int
	refused bool // by both
	fails   bool // on both
	invalid bool // in both
}

// A version answers bodies.
type version struct {
	base   float64 // seconds in the middle, for work 1
	noise  float64 // deviation of its logarithm
	pauses float64 // share of the runs that a garbage collector stops
	pause  float64 // for up to twice as many seconds
	fails  float64 // by chance
	nan    float64 // by chance
	differ float64 // share of the rows (of the canary)
	whole  bool    // which differ all at once
	cold   int     // runs that take ten times as long, at first
}

// A scenario says how streams of one kind come about.
type scenario struct {
	name           string
	least, most    float64 // requests a second; a stream has one between them
	pulse          func(t float64) float64
	steps          []int
	body           func(*rand.Rand, *body)
	machine        func(t float64) (factor, wait float64) // what befalls both
	outage         func(t float64) bool                   // of both
	stable, canary version
	// fault is what makes it bad: at t seconds after its start it changes a run.
	fault func(s *sim, b *body, t float64, r *Run, differ *float64)
	// late is the most seconds before the fault starts; it is bad since grace later.
	late, grace float64
}

const hangsForever = 1e6 // seconds

var epoch = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)

// at is a moment to the microsecond, as recordings have it.
func at(t float64) time.Time          { return epoch.Add(seconds(t).Round(time.Microsecond)) }
func seconds(t float64) time.Duration { return time.Duration(t * 1e9) }

// A sim plays a server with a stable version and a canary, and follows the
// decisions as a server does.
type sim struct {
	scenario
	r       *rand.Rand
	limits  Limits
	tally   *Tally
	traffic wire.Canary
	running bool // the canary takes traffic
	starts  float64
	pending pending
	ids     uint64
	tokens  float64 // for copies
	spent   float64 // when they were counted
	copying int
	calls   int     // of the canary
	down    float64 // until when its process is
	record  func(Observation)
	decided func(t float64, d Decision)

	requests, hurt int
	last           Decision
	ended          float64
}

// The mirror of a server: that many copies a second, and at once.
const copyRate, copiesAtOnce, copyDeadline = 20, 8, 10

func newSim(sc scenario, limits Limits, seed uint64) *sim {
	s := &sim{scenario: sc, r: rand.New(rand.NewPCG(seed, 20)), limits: limits, running: true}
	s.tally = NewTally(limits, epoch)
	s.traffic = wire.Canary{Version: 2, Steps: sc.steps}
	if len(sc.steps) == 0 {
		s.traffic.Steps = []int{1, 5, 25, 50}
	}
	if sc.fault == nil && len(sc.steps) == 0 && seed%10 > 0 {
		s.traffic.Steps = []int{5, 25, 50} // a step of 1 % takes 10,000 requests, and so most of the test's time
	}
	s.starts = s.r.Float64() * sc.late
	return s
}

// run plays until the canary's end or, if it is bad, 30 s from when it is bad.
func (s *sim) run() {
	rate := s.least * math.Pow(s.most/s.least, s.r.Float64())
	until := 3600.0
	if s.fault != nil {
		until = s.starts + s.grace + 30
	}
	decide := 1.0
	for t := 0.0; t < until; {
		step := s.r.ExpFloat64() / rate
		if s.pulse != nil {
			step /= max(s.pulse(t), 0.001)
		}
		t += min(step, 1) // no longer, so that a pulse is seen
		for ; decide <= t && s.running; decide++ {
			s.flush(decide)
			s.follow(decide)
		}
		if !s.running && s.fault == nil {
			return
		}
		if step <= 1 {
			s.flush(t)
			s.arrive(t)
		}
	}
}

func (s *sim) observe(o Observation) {
	if s.record != nil {
		s.record(o)
	}
	s.tally.Observe(o)
}

func (s *sim) follow(t float64) {
	s.last = s.tally.Decide(s.traffic, at(t))
	if s.decided != nil && s.last.Action != Hold {
		s.decided(t, s.last)
	}
	switch s.last.Action {
	case Advance:
		s.traffic.Step++
		s.tally.NextStep(at(t))
	case Promote, RollBack:
		s.running, s.ended = false, t
	}
}

// arrive routes a request of a client.
func (s *sim) arrive(t float64) {
	s.requests++
	if !s.running {
		return
	}
	s.ids++
	b := s.newBody()
	side := Stable
	if share := float64(s.traffic.Share()) / 100; b.sticky && b.caller < share || !b.sticky && s.r.Float64() < share {
		side = Canary
	}
	id := s.ids
	s.observe(Observation{Kind: Began, At: at(t), ID: id, Side: side, Rows: b.rows})
	o := Observation{Kind: Ended, ID: id, Side: side, Rows: b.rows}
	r, differ := s.answer(side, &b, t)
	o.Runs[side] = r
	end := t + r.Time.Seconds()
	if side == Canary {
		end = s.serveCanary(&o, &b, t, differ)
	}
	if end >= t+hangsForever {
		return
	}
	o.At = at(end)
	s.pending.add(o)
	if o.Runs[side].Outcome != Unknown && s.mayCopy(t) {
		s.copy(&b, o, differ)
	}
}

// serveCanary fails over where the canary fails or hangs, and counts who is hurt.
func (s *sim) serveCanary(o *Observation, b *body, t, differ float64) (end float64) {
	r := &o.Runs[Canary]
	stable, _ := s.answer(Stable, b, t)
	total := r.Time
	if patience := s.tally.Patience(); r.Outcome == Failed || r.Time > patience {
		r.Outcome, r.Time = Failed, min(r.Time, patience)
		o.Runs[Stable] = stable
		total = r.Time + stable.Time
	}
	slow := stable.Outcome == OK && total > s.limits.tooSlow(stable.Time)
	wrong := r.Outcome == Refused && !b.refused || r.Invalid > 0 && !b.invalid ||
		r.Outcome == OK && s.rowsThat(differ, b) > 0
	if s.fault != nil && t >= s.starts && (slow || wrong) {
		s.hurt++
	}
	return t + total.Seconds()
}

func (s *sim) mayCopy(t float64) bool {
	s.tokens = min(copyRate/4, s.tokens+copyRate*(t-s.spent))
	s.spent = t
	if s.tokens < 1 || s.copying >= copiesAtOnce {
		return false
	}
	s.tokens--
	s.copying++
	return true
}

// copy runs an answered request on the other side, off the caller's path.
func (s *sim) copy(b *body, original Observation, differ float64) {
	o := original
	o.Side, o.Copied = 1-o.Side, true
	o.Kind = Began
	s.pending.add(o)
	t := o.At.Sub(epoch).Seconds()
	r, d := s.answer(o.Side, b, t)
	if o.Side == Canary {
		differ = d
	}
	if r.Time > seconds(copyDeadline) {
		r = Run{Outcome: Failed, Time: seconds(copyDeadline)}
	}
	o.Kind, o.Copied, o.At = Compared, false, o.At.Add(r.Time)
	o.Runs[o.Side] = r
	o.Differing = s.rowsThat(differ, b)
	s.pending.add(o)
}

func (s *sim) rowsThat(differ float64, b *body) int {
	if s.canary.whole {
		return b.rows * int(one(s.r.Float64() < differ))
	}
	n := 0
	for range b.rows {
		n += int(one(s.r.Float64() < differ))
	}
	return n
}

func (s *sim) newBody() body {
	b := body{caller: s.r.Float64(), kind: s.r.Float64(), work: 1, rows: 1 + s.r.IntN(4)}
	if s.body != nil {
		s.body(s.r, &b)
	}
	return b
}

// answer is what a version does with a body at t, and which share of its rows
// it answers otherwise than the stable one.
func (s *sim) answer(side Side, b *body, t float64) (Run, float64) {
	v := s.stable
	if side == Canary {
		v = s.canary
		s.calls++
	}
	d := v.base * b.work * math.Exp(v.noise*s.r.NormFloat64())
	if side == Canary && s.calls <= v.cold {
		d *= 10
	}
	if v.pauses > 0 && s.r.Float64() < v.pauses {
		d += 2 * v.pause * s.r.Float64()
	}
	if s.machine != nil {
		factor, wait := s.machine(t)
		d = d*factor + wait
	}
	r := Run{Outcome: OK, Time: seconds(d)}
	switch {
	case b.fails || s.outage != nil && s.outage(t) || v.fails > 0 && s.r.Float64() < v.fails:
		r.Outcome = Failed
	case b.refused:
		r.Outcome = Refused
	case b.invalid || v.nan > 0 && s.r.Float64() < v.nan:
		r.Invalid = b.rows
	}
	differ := v.differ
	if side == Canary && s.fault != nil && t >= s.starts && r.Outcome == OK {
		s.fault(s, b, t-s.starts, &r, &differ)
	}
	return r, differ
}

// pending are observations to come, a heap by time.
type pending []Observation

func (p *pending) add(o Observation) {
	*p = append(*p, o)
	h := *p
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].At.Before(h[up].At) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func (p *pending) pop() Observation {
	h := *p
	first := h[0]
	h[0] = h[len(h)-1]
	h = h[:len(h)-1]
	for i := 0; ; {
		low := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(h); c++ {
			if h[c].At.Before(h[low].At) {
				low = c
			}
		}
		if low == i {
			break
		}
		h[i], h[low] = h[low], h[i]
		i = low
	}
	*p = h
	return first
}

// flush observes what has happened until t.
func (s *sim) flush(t float64) {
	for len(s.pending) > 0 && !s.pending[0].At.After(at(t)) {
		o := s.pending.pop()
		if o.Kind == Compared {
			s.copying--
		}
		if s.running {
			s.observe(o)
		}
	}
}
