package ort_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/engine/enginetest"
)

// one is a model of a single node from x to y, with its attributes.
func one(op string, in, out engine.Port, attributes ...enginetest.Attribute) enginetest.Model {
	return enginetest.Model{
		Inputs: []engine.Port{in}, Outputs: []engine.Port{out},
		Nodes: []enginetest.Node{{Op: op, Inputs: []string{in.Name}, Outputs: []string{out.Name}, Attributes: attributes}},
	}
}

// lookup is a model that takes rows of a table of three by their index.
func lookup(op string, index ...any) enginetest.Model {
	return enginetest.Model{
		Inputs:       []engine.Port{enginetest.Port("i", tensor.Int64, index...)},
		Outputs:      []engine.Port{enginetest.Port("y", tensor.Float32, "N")},
		Nodes:        []enginetest.Node{enginetest.Op(op, []string{"table", "i"}, "y")},
		Initializers: []enginetest.Initializer{{Name: "table", Values: tensor.From(tensor.Float32, []float32{10, 20, 30}, 3)}},
	}
}

// runFailed checks that err blames the input, in a sentence.
func runFailed(t *testing.T, err error, says string) {
	t.Helper()
	e := fault.As(err)
	if e == nil || e.Kind != fault.Invalid || e.Code != fault.RunFailed || !strings.Contains(e.Detail, says) {
		t.Errorf("got %v, want an invalid fault of code %s that says %q", err, fault.RunFailed, says)
	}
}

// TestWhatARunRefusesIsTheInputsFault, and the session lives on.
func TestWhatARunRefusesIsTheInputsFault(t *testing.T) {
	column := enginetest.Identity([]tensor.Type{tensor.Float32}, "N", 3)
	text := enginetest.Identity([]tensor.Type{tensor.String}, "N")
	tests := []struct {
		name      string
		model     enginetest.Model
		bad, good *tensor.Tensor
		says      string
	}{
		{
			"Gather beyond its table", lookup("Gather", "N"),
			tensor.From(tensor.Int64, []int64{3}, 1), tensor.From(tensor.Int64, []int64{2, -3}, 2), "idx=3",
		},
		{
			"GatherND beyond its table", lookup("GatherND", "N", 1),
			tensor.From(tensor.Int64, []int64{0, 9}, 2, 1), tensor.From(tensor.Int64, []int64{1, 0}, 2, 1), "index = 9",
		},
		{"another shape", column, tensor.New(tensor.Float32, 2, 4), tensor.New(tensor.Float32, 2, 3), "Expected: 3"},
		{"another rank", column, tensor.New(tensor.Float32, 3), tensor.New(tensor.Float32, 1, 3), "Invalid rank for input: x0"},
		{"another type", column, tensor.New(tensor.Float64, 2, 3), tensor.New(tensor.Float32, 2, 3), "tensor(double)"},
		{"no element", column, tensor.New(tensor.Float32, 0, 3), tensor.New(tensor.Float32, 1, 3), "float32[0,3]"},
		{"a string of rank 0", text, tensor.New(tensor.String), tensor.New(tensor.String, 1), "string[]"},
		{
			"a float16 of rank 0", enginetest.Identity([]tensor.Type{tensor.Float16}, "N"),
			tensor.New(tensor.Float16), tensor.New(tensor.Float16, 1), "float16[]",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := load(t, test.model.Graph())
			_, err := s.Run(t.Context(), []*tensor.Tensor{test.bad})
			runFailed(t, err, test.says)
			if _, err := s.Run(t.Context(), []*tensor.Tensor{test.good}); err != nil {
				t.Errorf("the session does not live on: %v", err)
			}
		})
	}
}

// TestOutputsOfUndeclaredRank: the graph leaves the rank open, and only the
// run tells. Rank 0 is what the binding cannot take back; it once panicked.
func TestOutputsOfUndeclaredRank(t *testing.T) {
	x := map[tensor.Type]*tensor.Tensor{
		tensor.Float32: tensor.From(tensor.Float32, []float32{7}, 1),
		tensor.String:  tensor.FromStrings([]string{"seven"}, 1),
	}
	for typ, in := range x {
		t.Run(typ.String(), func(t *testing.T) {
			s := load(t, one("Squeeze", enginetest.Port("x", typ, "N"), enginetest.Unranked("y", typ)).Graph())
			_, err := s.Run(t.Context(), []*tensor.Tensor{in})
			runFailed(t, err, "rank 0 without declaring it")
			more := tensor.New(typ, 1, 2)
			s = load(t, one("Squeeze", enginetest.Unranked("x", typ), enginetest.Unranked("y", typ)).Graph())
			out, err := s.Run(t.Context(), []*tensor.Tensor{more})
			if err != nil || tensor.FormatShape(out[0].Shape) != "[2]" {
				t.Errorf("got %v, %v", out, err)
			}
		})
	}
}

func TestOutputsOfFloat16(t *testing.T) {
	to16 := enginetest.Int("to", 10)
	in := tensor.From(tensor.Float32, []float32{1, 0.1, 70000, -1e-8}, 2, 2)
	want := []uint16{0x3c00, 0x2e66, 0x7c00, 0x8000}
	for name, port := range map[string]engine.Port{
		"by symbol":          enginetest.Port("y", tensor.Float16, "N", "M"),
		"by size":            enginetest.Port("y", tensor.Float16, "N", 2),
		"by an unnamed rows": enginetest.Port("y", tensor.Float16, -1, 2),
		"by other rows":      enginetest.Port("y", tensor.Float16, "rows", 2),
	} {
		t.Run(name, func(t *testing.T) {
			s := load(t, one("Cast", enginetest.Port("x", tensor.Float32, "N", "M"), port, to16).Graph())
			out, err := s.Run(t.Context(), []*tensor.Tensor{in})
			if err != nil {
				t.Fatal(err)
			}
			if got := tensor.View[uint16](out[0]); !slices.Equal(got, want) || out[0].String() != "float16[2,2]" {
				t.Errorf("got %v %#04x, want %#04x", out[0], got, want)
			}
		})
	}
	t.Run("of another shape than its symbols", func(t *testing.T) {
		twice := one("Concat", enginetest.Port("x", tensor.Float16, "N"), enginetest.Port("y", tensor.Float16, -1), enginetest.Int("axis", 0))
		twice.Nodes[0].Inputs = []string{"x", "x"}
		_, err := load(t, twice.Graph()).Run(t.Context(), []*tensor.Tensor{tensor.New(tensor.Float16, 2)})
		runFailed(t, err, "")
	})
}

func TestEmptyOutputsAreAnswers(t *testing.T) {
	s := load(t, one("NonZero", enginetest.Port("x", tensor.Float32, "N"), enginetest.Port("y", tensor.Int64, 1, -1)).Graph())
	out, err := s.Run(t.Context(), []*tensor.Tensor{tensor.New(tensor.Float32, 3)})
	if err != nil || out[0].String() != "int64[1,0]" || len(out[0].Data) != 0 {
		t.Errorf("got %v, %v", out, err)
	}
}

// TestATerminatedSessionComputesOn: after a run was stopped in the midst of a
// loop, the next run of the same session ends by itself, with the right answer.
func TestATerminatedSessionComputesOn(t *testing.T) {
	s := load(t, enginetest.Loop().Graph())
	x := tensor.From(tensor.Float32, []float32{1.5, float32(math.Inf(1))}, 2)
	endless := []*tensor.Tensor{x, tensor.From(tensor.Bool, []bool{true}, 1)}
	ends := []*tensor.Tensor{x, tensor.From(tensor.Bool, []bool{false}, 1)}
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err := s.Run(ctx, endless)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v, want %v", err, context.DeadlineExceeded)
		}
		out, err := s.Run(t.Context(), ends)
		if err != nil {
			t.Fatal(err)
		}
		if got := tensor.View[float32](out[0]); !slices.Equal(got, tensor.View[float32](x)) {
			t.Errorf("got %v", got)
		}
	}
}

// TestOneRunIsStoppedAndItsNeighboursAreNot: each run has its own flag.
func TestOneRunIsStoppedAndItsNeighboursAreNot(t *testing.T) {
	s := load(t, enginetest.Loop().Graph())
	x := tensor.From(tensor.Float32, []float32{1}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		_, err := s.Run(ctx, []*tensor.Tensor{x, tensor.From(tensor.Bool, []bool{true}, 1)})
		stopped <- err
	}()
	for range 100 {
		if _, err := s.Run(t.Context(), []*tensor.Tensor{x, tensor.From(tensor.Bool, []bool{false}, 1)}); err != nil {
			t.Errorf("a neighbour failed: %v", err)
		}
	}
	cancel()
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
