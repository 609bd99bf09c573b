package host_test

import (
	"testing"

	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/engine/enginetest"
	"github.com/tenon-ml/tenon/runtime/host"
)

// TestPlacement: which engine loads a version, and the reason that is shown.
func TestPlacement(t *testing.T) {
	quotient := enginetest.Model{
		Inputs:  []engine.Port{enginetest.Port("x", tensor.Int64, "N")},
		Outputs: []engine.Port{enginetest.Port("y", tensor.Int64, "N")},
		Nodes:   []enginetest.Node{enginetest.Op("Div", []string{"x", "x"}, "y")},
	}.Bytes()
	for name, c := range map[string]struct {
		model  []byte
		hosts  host.Isolation
		source host.Isolation
		want   host.Placement
	}{
		"auto, harmless":       {number(), "", "", host.Placement{Isolation: host.Shared, Reason: "no operator is known to end the process"}},
		"auto, deadly":         {quotient, "", "", host.Placement{Isolation: host.Process, Reason: "Div can end the process"}},
		"the host's shared":    {quotient, host.Shared, "", host.Placement{Isolation: host.Shared, Reason: "runtime.isolation says so"}},
		"the host's process":   {number(), host.Process, "", host.Placement{Isolation: host.Process, Reason: "runtime.isolation says so"}},
		"the source over it":   {number(), host.Shared, host.Process, host.Placement{Isolation: host.Process, Reason: "the deployment says so"}},
		"auto of the source":   {quotient, host.Shared, host.Auto, host.Placement{Isolation: host.Process, Reason: "Div can end the process"}},
		"shared of the source": {quotient, "", host.Shared, host.Placement{Isolation: host.Shared, Reason: "the deployment says so"}},
	} {
		t.Run(name, func(t *testing.T) {
			shared, process := &engine.Fake{}, &engine.Fake{}
			h := host.New(shared, host.Options{Process: process, Isolation: c.hosts})
			src := source(t, 1, c.model)
			src.Isolation = c.source
			v, err := h.Load(t.Context(), src)
			if err != nil {
				t.Fatal(err)
			}
			if v.Placed != c.want || process.Open() != btoi(c.want.Isolation == host.Process) || shared.Open()+process.Open() != 1 {
				t.Errorf("%+v, %d shared, %d in a process", v.Placed, shared.Open(), process.Open())
			}
			v.Drop()
		})
	}
	alone := host.New(&engine.Fake{}, host.Options{})
	v, err := alone.Load(t.Context(), source(t, 1, quotient))
	if err != nil || v.Placed.Isolation != host.Shared {
		t.Errorf("%+v, %v", v, err)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
