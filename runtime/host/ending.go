package host

import (
	"sync"
	"time"
)

// ending are the versions that take no traffic any more and that runs still
// hold. Each run has a deadline, at which the engine is told to stop it; one
// that goes on nevertheless cannot be ended without the process, and its version
// stays in memory until it returns.
type ending struct {
	mu       sync.Mutex
	versions map[*Version]struct{}
}

// retire lets go of a version that was routed, and watches it to its end.
func (h *Host) retire(v *Version) {
	v.Drop()
	if v.closed() {
		return
	}
	h.ending.mu.Lock()
	if h.ending.versions == nil {
		h.ending.versions = map[*Version]struct{}{}
	}
	h.ending.versions[v] = struct{}{}
	h.ending.mu.Unlock()
	time.AfterFunc(h.options.Drain, func() { h.overdue(v) })
}

func (h *Host) overdue(v *Version) {
	if h.ending.count(); !v.closed() {
		h.options.Log.Error("a version that takes no requests any more is still in memory, because a run has not ended at its deadline",
			"model", v.Model, "version", v.Number, "isolation", v.Placed.Isolation, "after", h.options.Drain.String())
	}
}

// count returns how many there are, and forgets those that have ended.
func (e *ending) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	for v := range e.versions {
		if v.closed() {
			delete(e.versions, v)
		}
	}
	return len(e.versions)
}
