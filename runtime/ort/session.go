package ort

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	binding "github.com/yalue/onnxruntime_go"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
)

// session is one loaded graph. ONNX Runtime's sessions may run concurrently.
type session struct {
	inner *binding.DynamicAdvancedSession
	graph engine.Graph
	plan  []outputPlan
}

// Run implements engine.Session.
func (s *session) Run(ctx context.Context, inputs []*tensor.Tensor) ([]*tensor.Tensor, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	in := make([]binding.Value, 0, len(inputs))
	out := make([]binding.Value, len(s.graph.Outputs))
	defer func() { destroy(in); destroy(out) }()
	for i, x := range inputs {
		v, err := toValue(x)
		if err != nil {
			return nil, fault.New(fault.Invalid, fault.RunFailed,
				"ONNX Runtime cannot take %s as the input number %d of the graph.", x, i).Because(err)
		}
		in = append(in, v)
	}
	if err := s.allocate(out, inputs); err != nil {
		return nil, err
	}
	if err := s.run(ctx, in, out); err != nil {
		return nil, err
	}
	results := make([]*tensor.Tensor, len(out))
	for i, v := range out {
		x, err := fromValue(v)
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", s.graph.Outputs[i].Name, err)
		}
		results[i] = x
	}
	return results, nil
}

// run ends early when ctx does: ONNX Runtime looks at the flag between nodes
// and between the iterations of a Loop.
func (s *session) run(ctx context.Context, in, out []binding.Value) error {
	options, err := binding.NewRunOptions()
	if err != nil {
		return err
	}
	defer func() { _ = options.Destroy() }()
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = options.Terminate()
		close(ended)
	})
	err = s.inner.RunWithOptions(in, out, options)
	if !stop() {
		<-ended // options must outlive Terminate
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("the run was stopped: %w", ctx.Err())
	case strings.HasPrefix(err.Error(), notTaken):
		return undeclared().Because(err)
	default:
		return fault.New(fault.Invalid, fault.RunFailed,
			"ONNX Runtime could not compute an answer for this input: %s; "+
				"compare the input with what the model was trained on.", cleanMessage(err.Error(), s.graph.Path)).Because(err)
	}
}

// notTaken begins the binding's error for an output that was computed, but
// that it has no value for.
const notTaken = "Error creating tensor from ort"

// undeclared is the fault for an output of rank 0 where the graph leaves the
// rank open, so that load could not refuse it and no memory was prepared.
func undeclared() *fault.Error {
	return fault.New(fault.Invalid, fault.RunFailed,
		"An output of the graph has rank 0 without declaring it, which is not supported yet: "+
			"export the model with the shapes of its outputs.")
}

// Close implements engine.Session.
func (s *session) Close() error {
	err := s.inner.Destroy()
	returnMemory()
	return err
}

// destroy frees values. The binding leaves a nil pointer, which is no nil
// interface, in the place of an output that it could not take.
func destroy(values []binding.Value) {
	for _, v := range values {
		if v != nil && !reflect.ValueOf(v).IsNil() {
			_ = v.Destroy()
		}
	}
}
