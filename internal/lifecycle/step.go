package lifecycle

import (
	"context"
	"fmt"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/rollout"
	"github.com/tenon-ml/tenon/registry"
)

// itself is the actor of what the server decides.
const itself = "tenon"

// Step does what was decided about the canary of a deployment, as a deployment
// of its own with the reason. It is stale-expected where another one has taken
// the place of that deployment; several servers on one registry may decide the
// same, and one of them does it.
func (m *Manager) Step(ctx context.Context, model string, deployment int, d rollout.Decision) error {
	lock := m.change(model)
	lock.Lock()
	defer lock.Unlock()
	st, err := m.store.State(model)
	if err != nil {
		return err
	}
	now := st.Current()
	if now == nil || now.Number != deployment || now.Canary == nil {
		return fault.New(fault.Conflict, fault.StaleExpected, "the deployment %d of %s is not in force any more", deployment, model)
	}
	n := now.Canary.Version
	if v, ok := st.Version(n); ok && v.Parity == registry.ParityFailed && d.Action != rollout.RollBack {
		d = rollout.Decision{Action: rollout.RollBack, Reason: "its last examination failed"}
	}
	next := registry.NewDeployment{
		Traffic: now.Traffic, Other: now.Other, Expected: &deployment,
		Reason: fmt.Sprintf("canary %d %s: %s", n, d.Action, d.Reason),
	}
	switch d.Action {
	case rollout.Advance:
		canary := *now.Canary
		canary.Step++
		next.Canary = &canary
	case rollout.Promote:
		next.Traffic = withoutCanary(now.Traffic)
		next.Stable = n
	case rollout.RollBack:
		next.Traffic = withoutCanary(now.Traffic)
	default:
		return nil
	}
	_, err = m.deploy(ctx, st, next, Stamp{Actor: itself})
	if err == nil && d.Action == rollout.RollBack {
		m.rollbacks.Add(1)
		m.log.Warn("a canary was rolled back", "model", model, "version", n, "reason", d.Reason)
	}
	return err
}

// Rollbacks is how many canaries this server has rolled back by itself.
func (m *Manager) Rollbacks() int64 { return m.rollbacks.Load() }
