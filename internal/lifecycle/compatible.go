package lifecycle

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/transform"
	"github.com/tenon-ml/tenon/registry"
	"github.com/tenon-ml/tenon/runtime/host"
)

// acceptance looks at a deployment whose versions are loaded, before anything
// of it is recorded. It may refuse it, or add to its reason.
type acceptance func(ctx context.Context, st *registry.State, d *registry.NewDeployment, loaded fresh) error

// keepsCallers refuses a version that would answer the callers of the stable
// one and breaks them: that refuses what they send, or lacks what they read.
// With force it is let in, and the reason says so. A shadow answers nobody, and
// a version that has traffic already was let in before. Where the stable one
// cannot be loaded, nobody is answered whom a change could break.
func (m *Manager) keepsCallers(force bool) acceptance {
	return func(ctx context.Context, st *registry.State, d *registry.NewDeployment, loaded fresh) error {
		now := st.Current()
		if now == nil {
			return nil
		}
		var before *host.Version
		for _, n := range answering(&d.Traffic) {
			next := m.among(loaded, st.Name, n)
			if next == nil || slices.Contains(answering(&now.Traffic), n) {
				continue
			}
			if before == nil {
				var drop func()
				if before, drop = m.borrow(ctx, st, now.Stable); before == nil {
					return nil
				}
				defer drop()
			}
			broken := transform.Breaking(transform.Compatible(before.Plan, next.Plan))
			if len(broken) == 0 {
				continue
			}
			if !force {
				return incompatible(st.Name, now.Stable, n, broken)
			}
			d.Reason = forced(d.Reason, st.Name, now.Stable, broken)
			m.log.Warn("a version that breaks callers is let in by force",
				"model", st.Name, "version", n, "stable", now.Stable, "changes", fmt.Sprint(broken))
		}
		return nil
	}
}

// answering lists the versions whose answers callers see.
func answering(t *wire.Traffic) []int {
	seen := *t
	seen.Shadow = 0
	return versionsIn(&seen)
}

// borrow returns a loaded version, or loads it for the moment; nil where it
// does not load. The caller lets go of it.
func (m *Manager) borrow(ctx context.Context, st *registry.State, n int) (*host.Version, func()) {
	if v := m.loaded(st.Name, n); v != nil {
		return v, func() {} // the model's lock keeps it
	}
	v, err := m.load(ctx, st, n, isolationOf(st, n))
	if err != nil {
		return nil, nil
	}
	return v, v.Drop
}

// incompatible words a refusal; errors are the first of the changes.
func incompatible(model string, stable, next int, broken []transform.Change) error {
	const most = 20
	e := fault.New(fault.Conflict, fault.SignatureIncompatible,
		"%s/%d would break the callers of %s/%d, which has the traffic: errors says where (%s). Keep the columns and outputs that they know, "+
			"or put it into traffic all the same with \"force\": true (`tenon deploy --force`).",
		model, next, model, stable, places(len(broken)))
	for _, c := range broken[:min(len(broken), most)] {
		e.At(c.Path, c.Code, "%s", c.Detail)
	}
	return e
}

func places(n int) string {
	if n == 1 {
		return "1 place"
	}
	return fmt.Sprintf("%d places", n)
}

// forced adds to a reason what was overridden.
func forced(reason, model string, stable int, broken []transform.Change) string {
	const most = 5
	var paths []string
	for _, c := range broken[:min(len(broken), most)] {
		if !slices.Contains(paths, c.Path) {
			paths = append(paths, c.Path)
		}
	}
	text := fmt.Sprintf("forced, it breaks the callers of %s/%d at %s", model, stable, strings.Join(paths, ", "))
	if len(broken) > most {
		text += " and more"
	}
	if reason == "" {
		return text
	}
	return reason + " (" + text + ")"
}
