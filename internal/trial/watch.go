package trial

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/rollout"
	"github.com/tenon-ml/tenon/runtime/host"
)

// Actor does what was decided about the canary of a deployment. A stale
// deployment, which another change has replaced, is a conflict.
type Actor interface {
	Step(ctx context.Context, model string, deployment int, d rollout.Decision) error
}

// Options are what a Watch is made of; all are needed but Now.
type Options struct {
	Host   *host.Host
	Actor  Actor
	Limits rollout.Limits // of canaries whose deployment has none of its own
	Log    *slog.Logger
	Ticks  <-chan time.Time // when decisions are made, once a second or so
	Now    func() time.Time // nil is the system's clock
}

// Watch watches all versions that are on trial. It is safe for concurrent use.
type Watch struct {
	Options
	work sync.WaitGroup

	mu     sync.Mutex
	trials map[string]*trial  // by model
	past   map[string][]*pair // comparisons that have ended, by model, oldest first
}

// keptPairs is how many comparisons of a model are kept after their end.
const keptPairs = 8

// New returns a Watch that watches nothing until Run.
func New(o Options) *Watch {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Watch{Options: o, trials: map[string]*trial{}, past: map[string][]*pair{}}
}

// Run watches until ctx ends, and returns when nothing of it runs any more.
// More observers may be told of the same events.
func (w *Watch) Run(ctx context.Context, observers ...func(*host.Event)) {
	w.work.Go(func() { w.Host.Observe(ctx, append(observers, func(e *host.Event) { w.observe(ctx, e) })...) })
	for {
		select {
		case <-ctx.Done():
			w.mu.Lock()
			for _, t := range w.trials {
				t.end()
			}
			w.mu.Unlock()
			w.work.Wait()
			return
		case <-w.Ticks:
			w.look(ctx)
		}
	}
}

// observe takes in what became of one request.
func (w *Watch) observe(ctx context.Context, e *host.Event) {
	w.mu.Lock()
	t := w.sync(ctx, w.Host.Routes(e.Model))
	w.mu.Unlock()
	if t != nil && t.deployment() == e.Routes.Deployment {
		t.observe(e)
	}
}

// look decides about every canary.
func (w *Watch) look(ctx context.Context) {
	w.mu.Lock()
	var all []*trial
	for _, routes := range w.Host.All() {
		if t := w.sync(ctx, routes); t != nil {
			all = append(all, t)
		}
	}
	w.mu.Unlock()
	for _, t := range all {
		t.decide(ctx)
	}
}

// sync returns the trial of a model as its routes have it, nil where nothing is
// on trial. It begins and ends trials; w.mu is held.
func (w *Watch) sync(ctx context.Context, routes *host.Routes) *trial {
	if routes == nil {
		return nil
	}
	now := w.trials[routes.Model]
	if now != nil && now.deployment() == routes.Deployment {
		now.follow(routes)
		return now
	}
	if now != nil && now.next(routes) {
		return now
	}
	if now != nil {
		now.end()
		w.keep(now)
		delete(w.trials, routes.Model)
	}
	if routes.Canary == nil && routes.Shadow == 0 {
		return nil
	}
	t := w.begin(ctx, routes)
	w.trials[routes.Model] = t
	return t
}

// keep holds on to what an ended trial has compared, for people to look at.
func (w *Watch) keep(t *trial) {
	kept := w.past[t.model]
	for _, p := range t.pairs {
		kept = slices.DeleteFunc(kept, func(old *pair) bool { return old.version == p.version })
		kept = append(kept, p)
	}
	w.past[t.model] = kept[max(0, len(kept)-keptPairs):]
}

// Describe says how a model's canary is doing, nil where none is on trial.
func (w *Watch) Describe(model string) *wire.Trial {
	routes := w.Host.Routes(model)
	if routes == nil || routes.Canary == nil {
		return nil
	}
	c := routes.Canary
	out := &wire.Trial{Version: c.Version, Share: c.Share(), Step: c.Step, Since: routes.Since, State: "held: it has just begun"}
	w.mu.Lock()
	t := w.trials[model]
	w.mu.Unlock()
	if t != nil && t.deployment() == routes.Deployment {
		out.State = t.state(out.State)
	}
	return out
}

// Divergence reports how far a version's answers are from the stable version's:
// of the trial that it is in, or of the last one.
func (w *Watch) Divergence(model string, version int) (wire.Divergence, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []*pair
	all = append(all, w.past[model]...)
	if t := w.trials[model]; t != nil {
		all = append(all, t.pairs...)
	}
	for _, p := range slices.Backward(all) {
		if p.version == version {
			return p.report(), nil
		}
	}
	if r := w.Host.Routes(model); r != nil && r.Has(version) && version != r.Stable {
		return newPair(&trial{watch: w, model: model}, version).report(), nil // it has just begun
	}
	return wire.Divergence{}, fault.New(fault.NotFound, fault.DivergenceNotFound,
		"%s/%d was not compared with another version since this server started: "+
			"put it beside the stable version with `tenon deploy %s/%d --shadow`.", model, version, model, version)
}
