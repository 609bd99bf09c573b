package trial

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/divergence"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/rollout"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/host"
)

const (
	// restFactor and leastRest keep copies from taking more than a fifth of one
	// core, and from coming more often than there is something to learn.
	restFactor = 4
	leastRest  = 10 * time.Millisecond
)

// pair compares a version on trial with the stable one.
type pair struct {
	trial   *trial
	version int
	copies  chan *host.Event // to ask the other version; it holds one

	mu         sync.Mutex
	rests      time.Time // no copy is made before
	comparison *divergence.Comparison
}

func newPair(t *trial, version int) *pair {
	return &pair{trial: t, version: version, copies: make(chan *host.Event, 1)}
}

// offer has the request asked once more, unless it is not this pair's or it is
// too soon; the trial's lock is held.
func (p *pair) offer(e *host.Event) {
	if e.Role == host.Canary && e.Version != p.version || outcome(e.Err) == rollout.Unknown {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.trial.watch.Now().Before(p.rests) {
		select {
		case p.copies <- e:
			return
		default:
		}
	}
	if p.comparison != nil {
		p.comparison.Skip()
	}
}

// run makes copies until ctx ends.
func (p *pair) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-p.copies:
			p.copy(ctx, e)
		}
	}
}

// copy asks the other version what e asked, and compares.
func (p *pair) copy(ctx context.Context, e *host.Event) {
	t := p.trial
	to, side := p.version, rollout.Canary
	if e.Role == host.Canary {
		to, side = e.Routes.Stable, rollout.Stable
	}
	lease, err := t.watch.Host.Mirror(t.model, to)
	if err != nil {
		return // it is not loaded any more
	}
	defer lease.Release()
	o, patience := t.began(p, e, side)
	asked := ask(ctx, lease, e, patience)
	if ctx.Err() != nil {
		return
	}
	p.compared(e, asked, lease.Version, o)
}

// began tells the tally that a copy is on its way, and how long it may take.
func (t *trial) began(p *pair, e *host.Event, side rollout.Side) (rollout.Observation, time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := rollout.Observation{Kind: rollout.Began, At: t.watch.Now(), ID: t.id(), Side: side, Copied: true, Rows: e.Rows}
	o.Runs[1-side] = t.runAlone(e)
	if t.counts(p) {
		t.tally.Observe(o)
		return o, t.tally.Patience()
	}
	return o, max(time.Second, 10*e.Took)
}

// counts reports whether a pair is the canary's, whose fate the tally decides.
func (t *trial) counts(p *pair) bool { return t.tally != nil && t.routes.Canary.Version == p.version }

func (t *trial) runAlone(e *host.Event) rollout.Run {
	r := t.runOf(e)
	r.Time = e.Timing.Run
	return r
}

// ask runs the request of e on another version.
func ask(ctx context.Context, lease host.Lease, e *host.Event, patience time.Duration) *host.Event {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	asked := lease.Ask(ctx, func(frame *tensor.Frame) error {
		err := e.Decode(frame)
		if err == nil && frame.Rows != e.Rows {
			err = divergence.OtherRows(frame.Rows, e.Rows)
		}
		return err
	})
	return &host.Event{Version: lease.Number, Rows: e.Rows, Outputs: asked.Outputs, Timing: asked.Timing, Err: asked.Err}
}

// compared counts a copy and its original, and rests.
func (p *pair) compared(e, asked *host.Event, v *host.Version, o rollout.Observation) {
	t := p.trial
	t.mu.Lock()
	defer t.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	now := t.watch.Now()
	p.rests = now.Add(rest(asked))
	stable, on := e, asked
	if o.Side == rollout.Stable {
		stable, on = asked, e
	}
	found := p.add(e, stable, on)
	o.Kind, o.At, o.Differing = rollout.Compared, now, found.Disagree
	o.Runs[o.Side] = rollout.Run{Outcome: outcome(asked.Err), Time: asked.Timing.Run, Code: code(asked.Err)}
	if asked.Err == nil {
		o.Runs[o.Side].Invalid = v.Invalid(asked.Outputs, asked.Rows)
	}
	if t.counts(p) {
		t.tally.Observe(o)
	}
}

// rest is how long no copy is made after this one. It varies, by half of it:
// clients that ask in turn would else be copied always, or never.
func rest(after *host.Event) time.Duration {
	long := max(leastRest, restFactor*after.Timing.Run)
	if fault.Is(after.Err, fault.WorkerDied) { // it did not run, but waited for the process to be there again
		long = leastRest
	}
	return long/2 + rand.N(long)
}

// add compares the answers of the stable version and of the one on trial; p.mu
// is held.
func (p *pair) add(e, stable, on *host.Event) divergence.Found {
	if p.comparison == nil {
		from, to := p.trial.routes.Loaded[stable.Version], p.trial.routes.Loaded[on.Version]
		if from == nil || to == nil {
			return divergence.Found{} // one of them has just gone
		}
		p.comparison = divergence.New(p.trial.model, from.Described(), to.Described(), p.trial.watch.Now())
	}
	return p.comparison.Add(&divergence.Request{
		ID: e.ID, Time: e.At, Rows: e.Rows, Row: e.Row, From: answer(stable), To: answer(on),
	})
}

func answer(e *host.Event) divergence.Answer {
	return divergence.Answer{Outputs: e.Outputs, Run: e.Timing.Run, Err: e.Err}
}

func (p *pair) report() wire.Divergence {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.comparison == nil {
		return p.nothing()
	}
	return p.comparison.Report()
}

// nothing is the report before the first copy.
func (p *pair) nothing() wire.Divergence {
	watch := p.trial.watch
	var from, to divergence.Version
	if routes := watch.Host.Routes(p.trial.model); routes != nil {
		from, to = routes.Loaded[routes.Stable].Described(), routes.Loaded[p.version].Described()
	}
	return divergence.New(p.trial.model, from, to, watch.Now()).Report()
}
