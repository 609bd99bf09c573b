package lifecycle

import (
	"context"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/ref"
	"github.com/tenon-ml/tenon/registry"
	"github.com/tenon-ml/tenon/runtime/host"
)

// Deploy puts versions into traffic: they are loaded and warmed, the deployment
// is recorded, and then one pointer is swapped. Requests that run end on the
// version they began with. The faults: invalid (the versions do not go
// together), not found, conflict (expected is no longer the current deployment,
// or a version breaks callers and is not forced), unprocessable (one cannot be loaded, or a later examination of it failed).
func (m *Manager) Deploy(ctx context.Context, model string, d wire.Deploy, by Stamp) (wire.Deployment, error) {
	by = asked(by, "deploy", d)
	return once(ctx, m, model, by, func() (wire.Deployment, error) { return m.deployAsked(ctx, model, d, by) }, deployedBefore)
}

func deployedBefore(again *registry.Repeated) wire.Deployment {
	d := again.Deployment()
	out := deployment(again.Record.Model, &d)
	out.Replayed = true
	return out
}

func (m *Manager) deployAsked(ctx context.Context, model string, d wire.Deploy, by Stamp) (wire.Deployment, error) {
	st, err := m.store.State(model)
	if err != nil {
		return wire.Deployment{}, err
	}
	if d.Stable == 0 {
		now := st.Current()
		if now == nil {
			return wire.Deployment{}, fault.New(fault.Conflict, fault.NothingDeployed,
				"The model %q has no version in traffic beside which another could be tried: say which one is to be stable.", model)
		}
		d.Stable = now.Stable
	}
	if err := m.checkTraffic(&d.Traffic); err != nil {
		return wire.Deployment{}, err
	}
	return m.deploy(ctx, st, registry.NewDeployment{Traffic: d.Traffic, Reason: d.Reason, Expected: d.Expected}, by,
		m.redactsColumns, m.keepsCallers(d.Force))
}

// Rollback ends the canary that is on trial. Where none is, it deploys the
// stable version of the deployment before this one; said again, it comes back. A
// request may also name the version. It is still loaded, so nothing is read but
// the record written.
func (m *Manager) Rollback(ctx context.Context, model string, r wire.Rollback, by Stamp) (wire.Deployment, error) {
	by = asked(by, "rollback", r)
	return once(ctx, m, model, by, func() (wire.Deployment, error) { return m.rollback(ctx, model, r, by) }, deployedBefore)
}

func (m *Manager) rollback(ctx context.Context, model string, r wire.Rollback, by Stamp) (wire.Deployment, error) {
	st, err := m.store.State(model)
	if err != nil {
		return wire.Deployment{}, err
	}
	d := registry.NewDeployment{Expected: r.Expected, Reason: r.Reason}
	if d.Reason == "" {
		d.Reason = "rollback"
	}
	now, before := st.Current(), st.Previous()
	switch {
	case r.To != 0:
		d.Traffic = wire.Stable(r.To)
	case now != nil && now.Canary != nil:
		d.Traffic, d.Other = withoutCanary(now.Traffic), now.Other
	case before != nil:
		d.Traffic, d.Other = wire.Stable(before.Stable), before.Other
	default:
		return wire.Deployment{}, fault.New(fault.Conflict, fault.NothingDeployed,
			"The model %q has no deployment of another version to go back to: deploy one with `tenon deploy %s/N`.", model, model)
	}
	d.Isolation = isolationOf(st, d.Stable)
	return m.deploy(ctx, st, d, by)
}

func withoutCanary(t wire.Traffic) wire.Traffic {
	t.Canary, t.Limits = nil, nil
	return t
}

// deploy is the way of all changes of traffic; the caller holds the model's
// lock. A way back has nothing to be accepted: it must always be open.
func (m *Manager) deploy(
	ctx context.Context, st *registry.State, d registry.NewDeployment, by Stamp, accepted ...acceptance,
) (wire.Deployment, error) {
	if err := deployableAll(st, &d.Traffic); err != nil {
		return wire.Deployment{}, err
	}
	fresh, err := m.prepareAll(ctx, st, &d.Traffic, len(accepted) == 0)
	if err != nil {
		return wire.Deployment{}, err
	}
	for _, accept := range accepted {
		if err := accept(ctx, st, &d, fresh); err != nil {
			drop(fresh)
			return wire.Deployment{}, err
		}
	}
	done, err := m.store.Deploy(ctx, st.Name, d, by)
	durable := time.Now()
	if err == nil {
		st, err = m.store.State(st.Name)
	}
	if err != nil {
		drop(fresh)
		return wire.Deployment{}, err
	}
	m.route(ctx, st, fresh)
	live := time.Since(durable)
	for _, n := range versionsIn(&done.Traffic) {
		m.examineLive(st, n)
	}
	m.log.Info("a deployment is in force", "model", st.Name, "deployment", done.Number, "stable", done.Stable,
		"canary", done.Canary, "shadow", done.Shadow, "live_ms", float64(live.Microseconds())/1000, "reason", done.Reason, "actor", by.Actor, "request_id", by.RequestID)
	return deployment(st.Name, &done), nil
}

// fresh are versions that were loaded and are not routed yet, by number.
type fresh map[int]*host.Version

// among is version n of a deployment that is about to be in force: a fresh one,
// or the one that serves; nil where it is not loaded.
func (m *Manager) among(f fresh, model string, n int) *host.Version {
	if v := f[n]; v != nil {
		return v
	}
	return m.loaded(model, n)
}

func drop(f fresh) {
	for _, v := range f {
		v.Drop()
	}
}

// versionsIn lists the versions of a deployment, the stable one first.
func versionsIn(t *wire.Traffic) []int {
	list := []int{t.Stable}
	if t.Canary != nil {
		list = append(list, t.Canary.Version)
	}
	if t.Shadow != 0 {
		list = append(list, t.Shadow)
	}
	return list
}

// deployableAll refuses versions that may not take traffic. A stable one may
// stay beside a change of what is on trial: it is never taken down. A shadow may
// stay, too, or it would bar the way back of a canary beside it.
func deployableAll(st *registry.State, t *wire.Traffic) error {
	now := st.Current()
	beside := now != nil && now.Stable == t.Stable &&
		(t.Canary != nil || t.Shadow != 0 || now.Canary != nil || now.Shadow != 0)
	for _, n := range versionsIn(t) {
		if beside && n == t.Stable || staysShadow(now, t, n) {
			continue
		}
		if err := deployable(st, n); err != nil {
			return err
		}
	}
	return nil
}

// staysShadow reports whether n is the shadow of t and was before.
func staysShadow(now *registry.Deployment, t *wire.Traffic, n int) bool {
	return now != nil && n == now.Shadow && n == t.Shadow
}

// prepareAll loads and warms the versions of a deployment that need it. A way
// back is not barred by a version that cannot be loaded, or not with that
// isolation, where it is in traffic all the same; route says what is wrong.
func (m *Manager) prepareAll(ctx context.Context, st *registry.State, t *wire.Traffic, wayBack bool) (fresh, error) {
	loaded := fresh{}
	for _, n := range versionsIn(t) {
		v, err := m.prepare(ctx, st, n, t.Isolation)
		now := st.Current()
		stays := now != nil && now.Stable == n || staysShadow(now, t, n)
		if err != nil && wayBack && (stays || m.loaded(st.Name, n) != nil) {
			continue
		}
		if err != nil {
			drop(loaded)
			return nil, err
		}
		if v != nil {
			loaded[n] = v
		}
	}
	return loaded, nil
}

// deployable refuses a version that is not there, and one whose later
// examination failed: it goes on where it is live, and takes no new traffic.
func deployable(st *registry.State, n int) error {
	v, ok := st.Version(n)
	switch {
	case !ok || v.Deleted:
		return fault.New(fault.NotFound, fault.VersionNotFound,
			"The model %q has no version %d: `tenon show %s` lists those it has.", st.Name, n, st.Name)
	case v.Parity == registry.ParityFailed:
		return fault.New(fault.Unprocessable, fault.ParityFailed,
			"%s/%d failed its last examination, so it is not put into traffic again: "+
				"read its report, and export and push the model again.", st.Name, n)
	}
	return nil
}

// isolationOf is what the last deployment of a version says; "" where there is
// none or it says nothing.
func isolationOf(st *registry.State, n int) string {
	if d := st.DeploymentOf(n); d != nil {
		return d.Isolation
	}
	return ""
}

// prepare loads and warms a version unless it is loaded already, with the same
// isolation; then it returns nil.
func (m *Manager) prepare(ctx context.Context, st *registry.State, n int, isolation string) (*host.Version, error) {
	if now := m.loaded(st.Name, n); now != nil && string(now.Isolation) == isolation {
		return nil, nil
	}
	v, err := m.load(ctx, st, n, isolation)
	if err != nil {
		return nil, err
	}
	if err := m.warmer.Warm(ctx, v); err != nil {
		v.Drop()
		return nil, err
	}
	return v, nil
}

// SetAlias points an alias to a version, or removes it (version 0). The
// version is loaded first, so that the alias answers from its first moment.
func (m *Manager) SetAlias(ctx context.Context, model, alias string, a wire.SetAlias, by Stamp) (wire.Alias, error) {
	if err := ref.CheckAlias(alias); err != nil {
		return wire.Alias{}, err // before a version is loaded for it
	}
	done := wire.Alias{Model: model, Alias: alias, Version: a.Version}
	by = asked(by, "alias", []any{alias, a})
	return once(ctx, m, model, by, func() (wire.Alias, error) {
		return done, m.setAlias(ctx, model, alias, a, by)
	}, func(*registry.Repeated) wire.Alias {
		done.Replayed = true
		return done
	})
}

func (m *Manager) setAlias(ctx context.Context, model, alias string, a wire.SetAlias, by Stamp) error {
	st, err := m.store.State(model)
	if err != nil {
		return err
	}
	loaded := fresh{}
	if a.Version > 0 {
		if err := deployable(st, a.Version); err != nil {
			return err
		}
		v, err := m.prepare(ctx, st, a.Version, isolationOf(st, a.Version))
		if err != nil {
			return err
		}
		if v != nil {
			loaded[a.Version] = v
		}
	}
	err = m.store.SetAlias(ctx, model, alias, a.Version, a.Expected, by)
	if err == nil {
		st, err = m.store.State(model)
	}
	if err != nil {
		drop(loaded)
		return err
	}
	m.route(ctx, st, loaded)
	m.examineLive(st, a.Version)
	m.log.Info("an alias was set", "model", model, "alias", alias, "version", a.Version, "actor", by.Actor, "request_id", by.RequestID)
	return nil
}

func deployment(model string, d *registry.Deployment) wire.Deployment {
	return wire.Deployment{
		Number: d.Number, Model: model, Traffic: d.Traffic, Reason: d.Reason,
		Created: d.Created, Actor: d.Actor, RequestID: d.RequestID,
	}
}
