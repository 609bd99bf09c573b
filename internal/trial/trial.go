package trial

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/rollout"
	"github.com/tenon-ml/tenon/runtime/host"
)

// trial is what is known of the versions on trial of one model.
type trial struct {
	watch *Watch
	model string
	end   context.CancelFunc
	pairs []*pair // with the stable version: of the canary, of the shadow

	mu     sync.Mutex
	routes *host.Routes
	tally  *rollout.Tally // nil where there is no canary
	ids    uint64
	said   rollout.Decision // the last time
	acting bool             // a decision is being carried out
}

func (w *Watch) begin(ctx context.Context, routes *host.Routes) *trial {
	ctx, end := context.WithCancel(ctx)
	t := &trial{watch: w, model: routes.Model, end: end, routes: routes}
	if c := routes.Canary; c != nil {
		limits, err := rollout.Resolve(w.Limits, routes.Limits)
		if err != nil { // lifecycle refuses those; another release may have other bounds
			w.Log.Error("a canary's limits are not understood, and the server's are taken", "model", t.model, "error", err)
			limits = w.Limits
		}
		t.tally = rollout.NewTally(limits, w.Now()) // by this clock, not by the record's: servers' clocks differ
		t.pairs = append(t.pairs, newPair(t, c.Version))
	}
	if routes.Shadow != 0 {
		t.pairs = append(t.pairs, newPair(t, routes.Shadow))
	}
	for _, p := range t.pairs {
		w.work.Go(func() { p.run(ctx) })
	}
	return t
}

func (t *trial) deployment() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.routes.Deployment
}

// follow takes later routes of the same deployment.
func (t *trial) follow(routes *host.Routes) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.routes = routes
}

// next takes a deployment that only differs by the canary's step, and reports
// whether it is one.
func (t *trial) next(routes *host.Routes) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := &t.routes.Traffic
	same := before.Canary != nil && routes.Canary != nil && before.Canary.Version == routes.Canary.Version &&
		before.Stable == routes.Stable && before.Shadow == routes.Shadow && reflect.DeepEqual(routes.Limits, before.Limits)
	if same {
		t.routes = routes
		t.tally.NextStep(t.watch.Now())
		t.said = rollout.Decision{}
	}
	return same
}

// observe takes in a request of a client.
func (t *trial) observe(e *host.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tally != nil {
		t.client(e)
	}
	for _, p := range t.pairs {
		p.offer(e)
	}
}

// client counts a client's request; t.mu is held.
func (t *trial) client(e *host.Event) {
	side := sideOf(e)
	o := rollout.Observation{Kind: rollout.Began, At: t.watch.Now(), ID: t.id(), Side: side, Rows: e.Rows}
	t.tally.Observe(o)
	o.Kind = rollout.Ended
	o.Runs[side] = t.runOf(e)
	if e.Instead != nil {
		o.Runs[rollout.Stable] = t.runOf(e.Instead)
	}
	t.tally.Observe(o)
}

func (t *trial) id() uint64 {
	t.ids++
	return t.ids
}

func sideOf(e *host.Event) rollout.Side {
	if e.Role == host.Canary {
		return rollout.Canary
	}
	return rollout.Stable
}

func (t *trial) runOf(e *host.Event) rollout.Run {
	r := rollout.Run{Outcome: outcome(e.Err), Time: e.Took, Code: code(e.Err)}
	if r.Outcome == rollout.OK {
		if v := t.routes.Loaded[e.Version]; v != nil {
			r.Invalid = v.Invalid(e.Outputs, e.Rows)
		}
	}
	return r
}

// outcome says whose fault an error is.
func outcome(err error) rollout.Outcome {
	if err == nil {
		return rollout.OK
	}
	e := fault.As(err)
	switch {
	case e == nil:
		return rollout.Failed
	case e.Kind == fault.Canceled:
		return rollout.Unknown
	case e.Kind == fault.Internal, e.Kind == fault.Unavailable, e.Kind == fault.Timeout:
		return rollout.Failed
	default:
		return rollout.Refused
	}
}

// code is what an error is called, as callers see it.
func code(err error) string {
	if e := fault.As(err); e != nil {
		return string(e.Code)
	}
	return ""
}

// decide asks what to do, and has it done.
func (t *trial) decide(ctx context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tally == nil || t.acting {
		return
	}
	if v := t.routes.Loaded[t.routes.Canary.Version]; v != nil {
		v.SetPatience(t.tally.Patience())
	}
	t.said = t.decision()
	if t.said.Action == rollout.Hold {
		return
	}
	t.acting = true
	said, deployment := t.said, t.routes.Deployment
	t.watch.work.Go(func() {
		err := t.watch.Actor.Step(ctx, t.model, deployment, said)
		if err != nil && !fault.Is(err, fault.StaleExpected) {
			t.watch.Log.Error("what was decided about a canary could not be done; it is tried again",
				"model", t.model, "deployment", deployment, "decision", said.String(), "error", err)
		}
		t.mu.Lock()
		t.acting = false
		t.mu.Unlock()
	})
}

// decision is the present one; t.mu is held.
func (t *trial) decision() rollout.Decision {
	n := t.routes.Canary.Version
	if why := t.routes.Failed[n]; why != nil && t.routes.Loaded[n] == nil && !fault.Is(why, fault.NotReady) {
		return rollout.Decision{Action: rollout.RollBack, Reason: fmt.Sprintf("version %d could not be loaded", n)}
	}
	return t.tally.Decide(*t.routes.Canary, t.watch.Now())
}

// state is what was decided the last time, and why.
func (t *trial) state(unless string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.said.Reason == "" {
		return unless
	}
	return t.said.String()
}
