package ort

import (
	"context"
	"fmt"

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
	for _, x := range inputs {
		v, err := toValue(x)
		if err != nil {
			return nil, err
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
	default:
		return fault.New(fault.Invalid, fault.RunFailed,
			"ONNX Runtime could not compute an answer for this input: %s; "+
				"compare the input with what the model was trained on.", cleanMessage(err.Error(), s.graph.Path)).Because(err)
	}
}

// Close implements engine.Session.
func (s *session) Close() error {
	err := s.inner.Destroy()
	returnMemory()
	return err
}

func destroy(values []binding.Value) {
	for _, v := range values {
		if v != nil {
			_ = v.Destroy()
		}
	}
}
