package rollout

import "time"

const (
	// bucket is how often a new test begins: a fault loses at most that long.
	bucket = 5 * time.Second
	// buckets that are kept apart; what is older is only in the step's total.
	buckets = 7
)

// Tally is what was seen of a canary since its step began, in a fixed amount of
// memory. It is for one caller at a time.
type Tally struct {
	limits Limits
	began  time.Time // the step

	older   counts // of this step, before the buckets
	recent  [buckets]counts
	current int // the number of the newest bucket; it lies at current % buckets

	// Of the stable version, over all steps: what clients waited, and the runs
	// beside copies.
	waited, ran latencies

	patience time.Duration
	flights  flights
	// Over all steps, by Side: runs that began, and those that never ended.
	runs, hung [2]int
	compared   int // copies, over all steps
	// What the canary's last failure and its last refusal are called.
	codes [refused + 1]string
}

// NewTally starts to watch a canary whose step began at the time.
func NewTally(limits Limits, began time.Time) *Tally {
	return &Tally{limits: limits, began: began, patience: blindPatience, flights: flights{open: map[flightKey]flight{}}}
}

// NextStep counts anew: the shares have changed, so what was seen before is not
// like what comes. Requests that are running are taken along.
func (t *Tally) NextStep(at time.Time) {
	t.wait(at)
	t.began, t.current = at, 0
	t.older, t.recent = counts{}, [buckets]counts{}
	t.learn()
}

// Patience is how long a request may run before it counts as hung; when a
// client's hangs on the canary, it is time to ask the stable version. It is one
// for all requests of a step: if it followed the times more closely, a machine
// that stops would let one version wait longer than the other.
func (t *Tally) Patience() time.Duration { return t.patience }

// learn sets the patience by what is known of the stable version.
func (t *Tally) learn() {
	if max(t.waited.n, t.ran.n) >= someTimes {
		t.patience = max(leastPatience, patienceFactor*max(t.waited.p99, t.ran.p99))
	}
}

// Observe folds one observation in.
func (t *Tally) Observe(o Observation) {
	t.wait(o.At)
	if o.Kind == Began {
		if t.flights.begin(o, t.patience) {
			t.runs[o.Side]++
		}
		return
	}
	f, open := t.flights.end(flightKey{o.ID, o.Kind == Compared})
	switch {
	case open && o.Kind == Ended && o.Runs[o.Side].Time > f.patience && !o.failsBoth():
		t.giveUp(f) // the caller may learn of it only now
	case open && o.Kind == Ended:
		// The canary's callers do not wait longer, so nobody's may: what stops both
		// versions for a while is no difference between them.
		t.client(o, o.Runs[o.Side].within(f.patience))
	case open:
		t.compare(o, o.Runs[Stable].within(f.patience), o.Runs[Canary].within(f.patience))
	}
	if r := o.Runs[Stable]; o.Kind == Ended && o.Side == Stable && r.Outcome == OK {
		t.waited.add(r.Time) // also what was given up, or patience would never grow
	}
	if t.patience == blindPatience {
		t.learn()
	}
}

// wait lets the time pass: buckets grow old and requests are given up.
func (t *Tally) wait(now time.Time) {
	n := int(now.Sub(t.began) / bucket)
	t.current = max(t.current, n-buckets) // a long silence changes them all, once
	for t.current < n {
		t.current++
		t.older.add(t.now())
		*t.now() = counts{}
	}
	t.flights.giveUp(now, t.giveUp)
}

func (t *Tally) now() *counts { return &t.recent[t.current%buckets] }

// giveUp counts a request that hangs as failed, without waiting for its end.
func (t *Tally) giveUp(f flight) {
	t.hung[f.side]++
	if !f.copied {
		t.now().client(failed, f.side, 1)
		return
	}
	var runs [2]float64
	runs[f.side], runs[1-f.side] = 1, one(f.original.within(f.patience).Outcome == Failed)
	t.now().compared(failed, runs[Stable], runs[Canary])
}

// note keeps what the canary's error is called.
func (t *Tally) note(r Run) {
	switch r.Outcome {
	case Failed:
		t.codes[failed] = r.Code
	case Refused:
		t.codes[refused] = r.Code
	}
}

// client counts a client's request.
func (t *Tally) client(o Observation, r Run) {
	c := t.now()
	if r.Outcome == Unknown || o.failsBoth() {
		return
	}
	if o.Side == Canary {
		t.note(r)
	}
	c.client(failed, o.Side, one(r.Outcome == Failed))
	if r.Outcome == Failed {
		return
	}
	if o.Side == Canary {
		c.answered++
	}
	c.client(refused, o.Side, one(r.Outcome == Refused))
	if r.Outcome == Refused {
		return
	}
	c.client(invalid, o.Side, share(r.Invalid, o.Rows))
	if t.waited.n >= someTimes {
		c.client(tail, o.Side, one(r.Time > t.limits.tooSlow(t.waited.p99)))
		c.client(slower, o.Side, one(r.Time > t.limits.tooSlow(t.waited.p50)))
	}
}

// compare counts a copy and its original.
func (t *Tally) compare(o Observation, stable, canary Run) {
	c := t.now()
	if stable.Outcome == Unknown || canary.Outcome == Unknown {
		return
	}
	t.compared++
	t.note(canary)
	c.compared(failed, one(stable.Outcome == Failed), one(canary.Outcome == Failed))
	if stable.Outcome == Failed || canary.Outcome == Failed {
		return
	}
	c.compared(refused, one(stable.Outcome == Refused), one(canary.Outcome == Refused))
	if stable.Outcome == Refused || canary.Outcome == Refused {
		return
	}
	c.compared(invalid, share(stable.Invalid, o.Rows), share(canary.Invalid, o.Rows))
	c.compared(differing, 0, share(o.Differing, o.Rows))
	c.compared(slower, 0, one(canary.Time > t.limits.tooSlow(stable.Time)))
	if t.ran.n >= someTimes {
		limit := t.limits.tooSlow(t.ran.p99)
		c.compared(tail, one(stable.Time > limit), one(canary.Time > limit))
	}
	t.ran.add(stable.Time)
}
