package lifecycle

import (
	"context"
	"time"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/registry"
	"github.com/tenon-ml/tenon/runtime/host"
)

const (
	// lookEvery is how often the logs are looked at.
	lookEvery = time.Second
	// A version that could not be loaded is tried again after firstWait, and each
	// time after twice as long, up to mostWait.
	firstWait, mostWait = 5 * time.Second, 5 * time.Minute
)

// follow keeps the routes in step with logs that others write, and tries again
// what could not be loaded, until ctx ends.
func (m *Manager) follow(ctx context.Context) {
	again, busy := retries{}, map[string]chan struct{}{}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-m.looks:
			m.look(ctx, now, again, busy)
		}
	}
}

// look does so once. A model that takes its time to load is left to it, so that
// it holds up no other; busy are those, and tell when they have ended.
func (m *Manager) look(ctx context.Context, now time.Time, again retries, busy map[string]chan struct{}) {
	names, err := m.store.Models()
	if err != nil {
		return // the next look may succeed; what serves goes on
	}
	for _, name := range names {
		if ctx.Err() != nil {
			return
		}
		if wait(ctx, busy[name], 0) && (m.behind(name) || again.due(m.host.Routes(name), now)) {
			ended := make(chan struct{})
			busy[name] = ended
			m.background.Go(func() {
				defer close(ended)
				m.resume(ctx, name)
			})
			wait(ctx, ended, lookEvery)
		}
	}
}

// wait reports whether something has ended, and waits for that a while; nil has
// never begun.
func wait(ctx context.Context, ended chan struct{}, most time.Duration) bool {
	if ended == nil {
		return true
	}
	select {
	case <-ended:
		return true
	default:
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-ended:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// tellFollowed logs a deployment that another server of the registry made. At a
// start there were no routes, and nothing is told.
func (m *Manager) tellFollowed(was *host.Routes, st *registry.State) {
	d := st.Current()
	if was == nil || was.Fault != nil || d == nil || d.Number == was.Deployment {
		return
	}
	m.log.Info("another server made a deployment", "model", st.Name, "deployment", d.Number, "stable", d.Stable,
		"canary", d.Canary, "shadow", d.Shadow, "reason", d.Reason, "actor", d.Actor, "request_id", d.RequestID)
}

// behind reports whether a model's log says something that its routes do not.
func (m *Manager) behind(name string) bool {
	st, err := m.store.State(name)
	now := m.host.Routes(name)
	switch {
	case now == nil:
		return true
	case err != nil:
		return now.Fault == nil
	default:
		return now.Seq != st.Seq
	}
}

// retries are when models are tried again that have a version which could not
// be loaded.
type retries map[string]*retry

type retry struct {
	seq  int // of the routes; another record is another start
	at   time.Time
	wait time.Duration
}

// due reports whether it is time, and then sets the next one.
func (r retries) due(routes *host.Routes, now time.Time) bool {
	if !incomplete(routes) {
		delete(r, routes.Model)
		return false
	}
	one := r[routes.Model]
	switch {
	case one == nil || one.seq != routes.Seq:
		r[routes.Model] = &retry{routes.Seq, now.Add(firstWait), firstWait}
		return false
	case now.Before(one.at):
		return false
	}
	one.wait = min(2*one.wait, mostWait)
	one.at = now.Add(one.wait)
	return true
}

// incomplete reports whether something that should be loaded could not be.
func incomplete(routes *host.Routes) bool {
	for _, err := range routes.Failed {
		if !fault.Is(err, fault.NotReady) {
			return true
		}
	}
	return false
}
