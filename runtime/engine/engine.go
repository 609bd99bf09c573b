// Package engine is the contract between tenon and the thing that runs graphs.
//
// runtime/host is the only caller. runtime/ort runs graphs in this process by
// ONNX Runtime; a later engine runs them in a process of their own; Fake runs
// none and serves the tests of everything above. All of them pass the suite in
// enginetest, so that what the tests of the upper rooms see is what users get.
package engine

import (
	"context"

	"github.com/tenon-ml/tenon/internal/tensor"
)

// Engine loads graphs.
type Engine interface {
	// Load prepares a graph for runs; it may take seconds and much memory. A
	// graph that cannot be loaded is an unprocessable fault with the code
	// model-refused. The caller closes the session.
	Load(ctx context.Context, g Graph) (Session, error)

	// Version names the engine and its version, as in "onnxruntime 1.32.0".
	Version() string
}

// Session is one loaded graph.
type Session interface {
	// Run computes the outputs, in the graph's order, for one tensor per graph
	// input, in order. It may be called from many goroutines at once. When ctx
	// ends first, the run is stopped as soon as the engine can and the error
	// wraps ctx's. What the engine refuses in an input is an invalid fault with
	// the code run-failed. The inputs are not kept; the outputs are the
	// caller's.
	Run(ctx context.Context, inputs []*tensor.Tensor) ([]*tensor.Tensor, error)

	// Close frees the graph. It is called once, after the last Run has
	// returned.
	Close() error
}

// Graph is a model to load: the file at Path, with external data beside it, or
// Model in its place where the bytes had to be rewritten.
type Graph struct {
	Path    string
	Model   []byte
	Inputs  []Port
	Outputs []Port
	Threads int    // within one run; 0 means 1
	Name    string // what a log calls it: iris/3
}

// Port is one input or output of a graph.
type Port struct {
	Name   string
	Type   tensor.Type
	Ranked bool  // whether the graph says the rank; Dims is meaningless without
	Dims   []Dim // empty for a scalar
}

// Dim is one dimension: Size, or -1 where the request decides; Symbol names
// dimensions that must agree.
type Dim struct {
	Size   int64
	Symbol string
}
