package lifecycle

import (
	"context"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/ref"
	"github.com/tenon-ml/tenon/registry"
	"github.com/tenon-ml/tenon/runtime/host"
)

// Deploy puts a version into traffic: it is loaded and warmed, the deployment
// is recorded, and then one pointer is swapped. Requests that run end on the
// version they began with. The faults: not found, conflict (expected is no
// longer the current deployment), unprocessable (it cannot be loaded, or a
// later examination failed).
func (m *Manager) Deploy(ctx context.Context, model string, d wire.Deploy, by Stamp) (wire.Deployment, error) {
	by = asked(by, "deploy", d)
	return once(ctx, m, model, by, func() (wire.Deployment, error) {
		st, err := m.store.State(model)
		if err != nil {
			return wire.Deployment{}, err
		}
		return m.deploy(ctx, st, registry.NewDeployment{
			Stable: d.Stable, Reason: d.Reason, Expected: d.Expected, Isolation: d.Isolation,
		}, by)
	}, deployedBefore)
}

func deployedBefore(again *registry.Repeated) wire.Deployment {
	d := again.Deployment()
	out := deployment(again.Record.Model, &d)
	out.Replayed = true
	return out
}

// Rollback deploys the stable version of the deployment before this one, or
// the version that the request names; again, it comes back. The version is
// still loaded, so nothing is read but the record written.
func (m *Manager) Rollback(ctx context.Context, model string, r wire.Rollback, by Stamp) (wire.Deployment, error) {
	by = asked(by, "rollback", r)
	return once(ctx, m, model, by, func() (wire.Deployment, error) { return m.rollback(ctx, model, r, by) }, deployedBefore)
}

func (m *Manager) rollback(ctx context.Context, model string, r wire.Rollback, by Stamp) (wire.Deployment, error) {
	st, err := m.store.State(model)
	if err != nil {
		return wire.Deployment{}, err
	}
	d := registry.NewDeployment{Stable: r.To, Expected: r.Expected, Reason: r.Reason}
	if d.Reason == "" {
		d.Reason = "rollback"
	}
	if d.Stable == 0 {
		before := st.Previous()
		if before == nil {
			return wire.Deployment{}, fault.New(fault.Conflict, fault.NothingDeployed,
				"The model %q has no deployment of another version to go back to: deploy one with `tenon deploy %s/N`.", model, model)
		}
		d.Stable, d.Other = before.Stable, before.Other
	}
	d.Isolation = isolationOf(st, d.Stable)
	return m.deploy(ctx, st, d, by)
}

// deploy is the way of both; the caller holds the model's lock.
func (m *Manager) deploy(ctx context.Context, st *registry.State, d registry.NewDeployment, by Stamp) (wire.Deployment, error) {
	if err := deployable(st, d.Stable); err != nil {
		return wire.Deployment{}, err
	}
	fresh, err := m.prepare(ctx, st, d.Stable, d.Isolation)
	if err != nil {
		return wire.Deployment{}, err
	}
	done, err := m.store.Deploy(ctx, st.Name, d, by)
	if err == nil {
		st, err = m.store.State(st.Name)
	}
	if err != nil {
		if fresh != nil {
			fresh.Drop()
		}
		return wire.Deployment{}, err
	}
	m.route(ctx, st, fresh)
	m.examineLive(st, done.Stable)
	m.log.Info("a version was deployed", "model", st.Name, "version", done.Stable, "deployment", done.Number,
		"reason", done.Reason, "actor", by.Actor, "request_id", by.RequestID)
	return deployment(st.Name, &done), nil
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
	var fresh *host.Version
	if a.Version > 0 {
		if err := deployable(st, a.Version); err != nil {
			return err
		}
		if fresh, err = m.prepare(ctx, st, a.Version, isolationOf(st, a.Version)); err != nil {
			return err
		}
	}
	err = m.store.SetAlias(ctx, model, alias, a.Version, a.Expected, by)
	if err == nil {
		st, err = m.store.State(model)
	}
	if err != nil {
		if fresh != nil {
			fresh.Drop()
		}
		return err
	}
	m.route(ctx, st, fresh)
	m.examineLive(st, a.Version)
	m.log.Info("an alias was set", "model", model, "alias", alias, "version", a.Version, "actor", by.Actor, "request_id", by.RequestID)
	return nil
}

func deployment(model string, d *registry.Deployment) wire.Deployment {
	return wire.Deployment{
		Number: d.Number, Model: model, Stable: d.Stable, Isolation: d.Isolation, Reason: d.Reason,
		Created: d.Created, Actor: d.Actor, RequestID: d.RequestID,
	}
}
