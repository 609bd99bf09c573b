package host

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/ref"
)

// Routes is all that the host knows of one model. It does not change after it
// was handed to Route.
type Routes struct {
	Model string
	// Seq is the record of the model's log that the routes reflect.
	Seq int
	// Fault, where set, is the answer to every request: the model is quarantined.
	Fault error
	// Known holds every version of the registry.
	Known map[int]bool
	// Traffic says which versions take it; Deployment is the number of the record
	// that said so, and Since its time.
	wire.Traffic
	Deployment int
	Since      time.Time
	Aliases    map[string]int
	// Loaded holds the versions that can answer; the routes own each once.
	Loaded map[int]*Version
	// Failed says why a version that should be loaded is not, or not with the
	// isolation that it should have.
	Failed map[int]error
	// Missing is the deployment's stable version where that could not be loaded,
	// and Stable, which had the traffic before, goes on in its place.
	Missing int
}

// Route makes routes the present ones of their model, in one store. The host
// takes over the caller's ownership of the loaded versions that were not routed
// before, and lets go of those that no longer are.
func (h *Host) Route(routes *Routes) {
	h.writing.Lock()
	old := h.table()
	next := maps.Clone(old)
	next[routes.Model] = routes
	h.routes.Store(&next)
	h.writing.Unlock()
	if before := old[routes.Model]; before != nil {
		for n, v := range before.Loaded {
			if routes.Loaded[n] != v {
				h.retire(v)
			}
		}
	}
}

func (h *Host) table() map[string]*Routes { return *h.routes.Load() }

// Routes returns the present routes of a model, or nil where there are none.
func (h *Host) Routes(model string) *Routes { return h.table()[model] }

// All returns the present routes of all models, in no order.
func (h *Host) All() []*Routes { return slices.Collect(maps.Values(h.table())) }

// probe is the key under which a context names the version to use.
type probe struct{}

// Probe returns a context in which every request is answered by v, routed or
// not. Only this process can make one, so no client reaches a version that is
// being examined. The caller owns v until the last such request has ended.
func Probe(ctx context.Context, v *Version) context.Context {
	return context.WithValue(ctx, probe{}, v)
}

// Probing reports whether a context is one of Probe: its requests are the
// server's own, and are not counted among those of clients.
func Probing(ctx context.Context) bool { return ctx.Value(probe{}) != nil }

// Acquire pins the version that a reference names now; caller is who asks, in
// its own words, and "" is nobody in particular. The caller of Acquire releases
// the lease. The faults: not found (model, version, alias), conflict (nothing
// deployed, not loaded; the detail says what to type), unavailable
// (quarantined, unloadable).
func (h *Host) Acquire(ctx context.Context, r ref.Reference, caller string) (Lease, error) {
	if v, ok := ctx.Value(probe{}).(*Version); ok {
		v.owners.Add(1) // the prober owns it while it probes
		return Lease{host: h, Version: v}, nil
	}
	return h.pin(r.Model, func(routes *Routes) (*Version, Role, error) {
		if v := routes.trial(r, caller); v != nil {
			return v, Canary, nil
		}
		v, err := routes.find(r)
		return v, roleOf(r), err
	})
}

// Stable pins the version that takes a model's traffic, whoever asks.
func (h *Host) Stable(model string) (Lease, error) {
	return h.pin(model, func(routes *Routes) (*Version, Role, error) {
		v, err := routes.find(ref.Reference{Model: model})
		return v, Stable, err
	})
}

// Mirror pins a version for a copy of a request, which takes none of the runs
// that callers wait for.
func (h *Host) Mirror(model string, version int) (Lease, error) {
	return h.pin(model, func(routes *Routes) (*Version, Role, error) {
		v, err := routes.find(ref.Reference{Model: model, Version: version})
		return v, Mirrored, err
	})
}

// Aside makes a lease of a version that the caller owns, routed or not: its runs
// are those of a copy, and its release lets go of what the caller owned.
func (h *Host) Aside(v *Version) Lease { return Lease{host: h, Version: v, Role: Mirrored} }

// pin looks up a version in the present routes until it holds one.
func (h *Host) pin(model string, choose func(*Routes) (*Version, Role, error)) (Lease, error) {
	for {
		routes := h.table()[model]
		v, role, err := choose(routes)
		if err != nil {
			return Lease{}, err
		}
		if v.retain() {
			return Lease{host: h, Version: v, Role: role, routes: routes}, nil
		}
		// The version was replaced between the two steps: look again.
	}
}

func (r *Routes) find(want ref.Reference) (*Version, error) {
	if r == nil {
		return nil, fault.New(fault.NotFound, fault.ModelNotFound,
			"There is no model %q: `tenon ls` lists those there are.", want.Model)
	}
	if r.Fault != nil {
		return nil, r.Fault
	}
	n, err := r.number(want)
	if err != nil {
		return nil, err
	}
	if v := r.Loaded[n]; v != nil {
		return v, nil
	}
	if cause := r.Failed[n]; fault.Is(cause, fault.NotReady) {
		return nil, cause
	} else if cause != nil {
		said, behind := reason(cause)
		return nil, fault.New(fault.Unavailable, fault.Unloadable, "%s/%d could not be loaded: %s", r.Model, n, said).Because(behind)
	}
	return nil, fault.New(fault.Conflict, fault.NotLoaded,
		"%s/%d is registered, but not loaded: put it live with `tenon deploy %s/%d`, or load it beside what is live with `tenon alias %s@NAME %d`.",
		r.Model, n, r.Model, n, r.Model, n)
}

// reason is what clients may read of a failed load: a fault's own words, and
// nothing of an internal error. The log, which has these words too, needs what
// is behind them.
func reason(err error) (said string, behind error) {
	if e := fault.As(err); e != nil {
		return e.Detail, e.Err
	}
	return "an internal error, which the server's log has.", err
}

func (r *Routes) number(want ref.Reference) (int, error) {
	switch {
	case want.Alias != "":
		n, ok := r.Aliases[want.Alias]
		if !ok {
			return 0, fault.New(fault.NotFound, fault.AliasNotFound, "The model %q has no alias %q.", r.Model, want.Alias)
		}
		return n, nil
	case want.Version > 0:
		if !r.Known[want.Version] {
			return 0, fault.New(fault.NotFound, fault.VersionNotFound,
				"The model %q has no version %d: `tenon show %s` lists those it has.", r.Model, want.Version, r.Model)
		}
		return want.Version, nil
	case r.Stable == 0:
		return 0, fault.New(fault.Conflict, fault.NothingDeployed,
			"The model %q has no version in traffic: put one live with `%s`.", r.Model, r.deployCommand())
	default:
		return r.Stable, nil
	}
}

func (r *Routes) deployCommand() string {
	newest := 1
	for n := range r.Known {
		newest = max(newest, n)
	}
	return fmt.Sprintf("tenon deploy %s/%d", r.Model, newest)
}
