package lifecycle

import (
	"context"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/registry"
	"github.com/tenon-ml/tenon/runtime/host"
)

// Deploy puts a version into traffic: it is loaded, the deployment is
// recorded, and then one pointer is swapped. Requests that run end on the
// version they began with. The faults: not found, conflict (expected is no
// longer the current deployment), unprocessable (it cannot be loaded).
func (m *Manager) Deploy(ctx context.Context, model string, d wire.Deploy, by Stamp) (wire.Deployment, error) {
	lock := m.change(model)
	lock.Lock()
	defer lock.Unlock()
	st, err := m.store.State(model)
	if err != nil {
		return wire.Deployment{}, err
	}
	if v, ok := st.Version(d.Stable); !ok || v.Deleted {
		return wire.Deployment{}, fault.New(fault.NotFound, fault.VersionNotFound,
			"The model %q has no version %d: `tenon show %s` lists those it has.", model, d.Stable, model)
	}
	fresh, err := m.prepare(ctx, st, d.Stable)
	if err != nil {
		return wire.Deployment{}, err
	}
	done, err := m.store.Deploy(ctx, model, registry.NewDeployment{Stable: d.Stable, Reason: d.Reason, Expected: d.Expected}, by)
	if err == nil {
		st, err = m.store.State(model)
	}
	if err != nil {
		if fresh != nil {
			fresh.Drop()
		}
		return wire.Deployment{}, err
	}
	m.route(ctx, st, fresh)
	m.log.Info("a version was deployed", "model", model, "version", done.Stable, "deployment", done.Number,
		"reason", done.Reason, "actor", by.Actor, "request_id", by.RequestID)
	return deployment(model, &done), nil
}

// prepare loads a version unless it is loaded already; then it returns nil.
func (m *Manager) prepare(ctx context.Context, st *registry.State, n int) (*host.Version, error) {
	if now := m.host.Routes(st.Name); now != nil && now.Loaded[n] != nil {
		return nil, nil
	}
	return m.load(ctx, st, n)
}

func deployment(model string, d *registry.Deployment) wire.Deployment {
	return wire.Deployment{
		Number: d.Number, Model: model, Stable: d.Stable, Reason: d.Reason,
		Created: d.Created, Actor: d.Actor, RequestID: d.RequestID,
	}
}
