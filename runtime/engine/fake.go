package engine

import (
	"bytes"
	"context"
	"os"
	"slices"
	"sync/atomic"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/onnx"
	"github.com/tenon-ml/tenon/internal/tensor"
)

// Fake is an engine for tests: it runs no graph, and needs no library. Without
// Compute, output i is a copy of input i where the types agree (so Identity
// graphs are answered truly) and zeros elsewhere, and a graph with a Loop runs
// until its context ends.
type Fake struct {
	// Compute, where set, makes the outputs.
	Compute func(ctx context.Context, g Graph, inputs []*tensor.Tensor) ([]*tensor.Tensor, error)
	// Refuse, where set, decides whether a load fails.
	Refuse func(g Graph) error

	open, misused atomic.Int64
}

// Version implements Engine.
func (f *Fake) Version() string { return "fake" }

// Open returns how many sessions are loaded and not yet closed.
func (f *Fake) Open() int { return int(f.open.Load()) }

// Misused returns how often a session was used against the contract: run or
// closed after its Close, or closed during a run. A real engine would have
// ended the process.
func (f *Fake) Misused() int { return int(f.misused.Load()) }

// Load implements Engine. Like a real engine it refuses what is not a model.
func (f *Fake) Load(_ context.Context, g Graph) (Session, error) {
	if f.Refuse != nil {
		if err := f.Refuse(g); err != nil {
			return nil, err
		}
	}
	endless, err := hasLoop(g)
	if err != nil {
		return nil, err
	}
	f.open.Add(1)
	return &fakeSession{fake: f, graph: g, endless: endless}, nil
}

func hasLoop(g Graph) (bool, error) {
	if g.Model == nil {
		data, err := os.ReadFile(g.Path)
		if err != nil {
			return false, fault.New(fault.Unprocessable, fault.ModelRefused, "The model file cannot be read.").Because(err)
		}
		g.Model = data
	}
	model, err := onnx.Inspect(bytes.NewReader(g.Model), int64(len(g.Model)), onnx.Limits{})
	if err != nil {
		return false, err
	}
	return model.OpTypes["Loop"] > 0, nil
}

type fakeSession struct {
	fake    *Fake
	graph   Graph
	endless bool
	runs    atomic.Int64
	closed  atomic.Bool
}

// Run implements Session.
func (s *fakeSession) Run(ctx context.Context, inputs []*tensor.Tensor) ([]*tensor.Tensor, error) {
	s.runs.Add(1)
	defer s.runs.Add(-1)
	if s.closed.Load() {
		s.fake.misused.Add(1)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.fake.Compute != nil {
		return s.fake.Compute(ctx, s.graph, inputs)
	}
	if s.endless {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	rows := int64(1)
	if len(inputs) > 0 {
		rows = int64(inputs[0].Rows())
	}
	outputs := make([]*tensor.Tensor, len(s.graph.Outputs))
	for i, port := range s.graph.Outputs {
		if i < len(inputs) && inputs[i].Type == port.Type {
			outputs[i] = clone(inputs[i])
			continue
		}
		shape := make([]int64, len(port.Dims))
		for k, d := range port.Dims {
			if shape[k] = d.Size; d.Size < 0 {
				shape[k] = rows
			}
		}
		outputs[i] = tensor.New(port.Type, shape...)
	}
	return outputs, nil
}

// Close implements Session.
func (s *fakeSession) Close() error {
	if s.closed.Swap(true) || s.runs.Load() > 0 {
		s.fake.misused.Add(1)
	}
	s.fake.open.Add(-1)
	return nil
}

func clone(x *tensor.Tensor) *tensor.Tensor {
	return &tensor.Tensor{
		Type: x.Type, Shape: slices.Clone(x.Shape),
		Data: slices.Clone(x.Data), Strings: slices.Clone(x.Strings),
	}
}
