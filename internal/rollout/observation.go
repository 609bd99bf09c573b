package rollout

import "time"

// Side is one of the two versions.
type Side uint8

// The sides.
const (
	Stable Side = iota
	Canary
)

// Kind says what an Observation is about.
type Kind uint8

// The kinds.
const (
	// Began: a request is given to the version of Side. With Copied, it is a copy
	// that no client waits for, and what the other version did is in Runs.
	Began Kind = iota
	// Ended: a client's request on Side has its answer. What Side did is in Runs;
	// if the canary failed and the stable version was asked in its place, so is
	// what that did.
	Ended
	// Compared: a copy that began on Side has ended. Both Runs are of the same body.
	Compared
)

// Outcome is how a version answered.
type Outcome uint8

// The outcomes. The zero value says nothing: the version was not asked, or the
// caller went away.
const (
	Unknown Outcome = iota
	OK
	Failed  // the server's fault: 5xx, a process that died, a deadline
	Refused // the client's fault: 4xx
)

// Run is what one version did with a request.
type Run struct {
	Outcome Outcome
	// Time from begin to end; of a copy and its original, of the run alone.
	Time time.Duration
	// Invalid is how many rows have an answer that is not a number, none of the
	// known classes, or no probability.
	Invalid int
	// Code is what the error is called, for the reason; it may be empty.
	Code string
}

// within is the run of somebody who waits no longer than patience.
func (r Run) within(patience time.Duration) Run {
	if r.Time > patience {
		r.Outcome = Failed
	}
	return r
}

// Observation is something that happened to a request. They come in the order
// of At, which is never before the Tally's begin.
type Observation struct {
	Kind   Kind
	At     time.Time
	ID     uint64 // of the request; a copy has its original's
	Side   Side
	Copied bool // Began: off the callers' path
	Rows   int
	// Runs by Side.
	Runs [2]Run
	// Differing is how many rows the versions answered otherwise (Compared, both OK).
	Differing int
}

// failsBoth reports whether the stable version failed in the canary's place, too:
// then it is the request, or the machine.
func (o *Observation) failsBoth() bool {
	return o.Side == Canary && o.Runs[Canary].Outcome == Failed && o.Runs[Stable].Outcome == Failed
}
