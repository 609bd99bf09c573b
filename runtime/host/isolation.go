package host

import (
	"strings"

	"github.com/tenon-ml/tenon/runtime/engine"
)

// Isolation says in which process a graph runs. The zero value is Auto where it
// is the host's, and the host's where it is a source's.
type Isolation string

// Isolations.
const (
	Auto    Isolation = "auto"    // in a process of its own where an operator can end it
	Shared  Isolation = "shared"  // in the server's
	Process Isolation = "process" // in one of its own
)

// Placement is where a version's graph runs, Shared or Process, and why.
type Placement struct {
	Isolation Isolation
	Reason    string
}

// place chooses the engine of a graph whose operators with these names can end
// the process.
func (h *Host) place(wanted Isolation, hazards []string) (engine.Engine, Placement) {
	if h.options.Process == nil {
		return h.engine, Placement{Shared, "there are no other processes here"}
	}
	by := "the deployment says so"
	if wanted == "" {
		wanted, by = h.options.Isolation, "runtime.isolation says so"
	}
	switch {
	case wanted == Shared:
		return h.engine, Placement{Shared, by}
	case wanted == Process:
		return h.options.Process, Placement{Process, by}
	case len(hazards) > 0:
		return h.options.Process, Placement{Process, strings.Join(hazards, ", ") + " can end the process"}
	default:
		return h.engine, Placement{Shared, "no operator is known to end the process"}
	}
}
