package rollout

import (
	"fmt"
	"iter"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
)

// Action is what shall be done with a canary.
type Action uint8

// The actions.
const (
	Hold     Action = iota // nothing
	Advance                // the next step
	Promote                // it becomes the stable version
	RollBack               // it takes no more traffic
)

func (a Action) String() string {
	return [...]string{"held", "advanced", "promoted", "rolled back"}[a]
}

// Decision is an action with its reason, a sentence without its capital that is
// kept in the model's log.
type Decision struct {
	Action Action
	Reason string
}

func (d Decision) String() string { return d.Action.String() + ": " + d.Reason }

const (
	// enoughCopies must have been compared before a step is taken, or all that
	// min_requests asks for: without copies nobody knows whether answers differ.
	enoughCopies = 100
	// A server that made fewCopies or less while the stable version was asked
	// manyRequests does not copy. Then clients are all there is to judge by.
	fewCopies, manyRequests = 30, 1000
	// hangs end a canary, if the stable version does not hang as often.
	hangs = 3
)

// Decide looks at what was seen in the canary's step until now. It may be asked
// at any time and as often as wanted, at least every second.
func (t *Tally) Decide(canary wire.Canary, now time.Time) Decision {
	t.wait(now)
	spans := t.spans()
	if why := t.broken(spans); why != "" {
		return Decision{RollBack, why}
	}
	if why := t.missing(&spans[0].counts, now); why != "" {
		return Decision{Hold, why}
	}
	if why := t.suspicion(spans); why != "" {
		return Decision{Hold, why + ": that may be chance, more is needed"}
	}
	why := fmt.Sprintf("%d requests and %s comparisons in %s, all limits kept",
		spans[0].answered, number(spans[0].copies[failed].n), short(now.Sub(t.began)))
	if canary.Step+1 < len(canary.Steps) {
		return Decision{Advance, why}
	}
	return Decision{Promote, why}
}

// A span is what was seen in the last time, or in the whole step (0).
type span struct {
	counts
	last time.Duration
}

// spans are the whole step, and then every test that began with a bucket, the
// longest first.
func (t *Tally) spans() []span {
	all := make([]span, buckets+1)
	var sum counts
	for i := range buckets {
		if i <= t.current {
			sum.add(&t.recent[(t.current-i)%buckets])
		}
		all[buckets-i] = span{sum, time.Duration(i+1) * bucket}
	}
	sum.add(&t.older)
	all[0] = span{counts: sum}
	return all
}

// broken says which limit is broken, or nothing.
func (t *Tally) broken(spans []span) string {
	if t.hangs() {
		return fmt.Sprintf("%d of %d requests had no answer within %s, and %d of %d to the stable version, whose p99 is %s",
			t.hung[Canary], t.runs[Canary], short(t.Patience()), t.hung[Stable], t.runs[Stable], short(max(t.waited.p99, t.ran.p99)))
	}
	for f := range t.findings(spans) {
		if f.convinces(f.limit) {
			return t.sentence(f)
		}
	}
	return ""
}

// suspicion says what is beyond its limit, if not surely: in the step by more
// than a deviation, in a shorter span by more evidence for it than against it.
func (t *Tally) suspicion(spans []span) string {
	for f := range t.findings(spans) {
		beyond := f.excess() - f.limit
		if f.last == 0 && beyond > 0 && beyond*beyond > f.variance() || f.against(f.limit) > 0 {
			return t.sentence(f)
		}
	}
	return ""
}

// A finding is what was counted of one measure in one span, in one way.
type finding struct {
	evidence
	measure
	last  time.Duration // 0: the whole step
	limit float64
}

// findings are all there are. Where copies are compared, the requests of
// clients only tell of failures (see the package comment).
func (t *Tally) findings(spans []span) iter.Seq[finding] {
	blind := t.compared < fewCopies && t.runs[Stable] >= manyRequests
	return func(yield func(finding) bool) {
		for i := range spans {
			c := &spans[i]
			for m := range measures {
				f := finding{measure: m, last: c.last, limit: m.limit(t.limits)}
				f.evidence = c.copied(m)
				if !yield(f) {
					return
				}
				f.evidence = c.clients[m]
				if (m == failed || blind) && !yield(f) {
					return
				}
			}
		}
	}
}

// hangs reports whether requests to the canary hang, and those to the stable
// version do not. There is no margin: some hang, or none does.
func (t *Tally) hangs() bool {
	s := split{{float64(t.runs[Stable]), float64(t.hung[Stable])}, {float64(t.runs[Canary]), float64(t.hung[Canary])}}
	return t.hung[Canary] >= hangs && s.convinces(0)
}

// missing says what has not been seen yet, or nothing.
func (t *Tally) missing(c *counts, now time.Time) string {
	copies := min(t.limits.MinRequests, enoughCopies)
	switch {
	case c.answered == 0:
		return "no requests"
	case c.answered < t.limits.MinRequests:
		return fmt.Sprintf("%d of %d requests seen", c.answered, t.limits.MinRequests)
	case c.copies[failed].n < float64(copies):
		return fmt.Sprintf("%s of %d comparisons with the stable version made", number(c.copies[failed].n), copies)
	case now.Sub(t.began) < t.limits.MinTime:
		return fmt.Sprintf("%s of %s passed", short(now.Sub(t.began)), short(t.limits.MinTime))
	}
	return ""
}
