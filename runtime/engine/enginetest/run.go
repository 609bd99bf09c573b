package enginetest

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
)

// patience is how long a run may take to see that its context has ended. It is
// not a measurement: an engine that does not look never comes back at all.
const patience = time.Minute

// Run holds an engine to the contract. Each session it opens is closed once.
func Run(t *testing.T, e engine.Engine) {
	t.Run("it says its version", func(t *testing.T) {
		if e.Version() == "" {
			t.Error("the engine has no name")
		}
	})
	t.Run("identity", func(t *testing.T) { identity(t, e) })
	t.Run("several inputs and outputs", func(t *testing.T) { several(t, e) })
	t.Run("from a file", func(t *testing.T) { fromFile(t, e) })
	t.Run("junk is refused", func(t *testing.T) { junk(t, e) })
	t.Run("inputs are not kept", func(t *testing.T) { inputsNotKept(t, e) })
	t.Run("outputs are the caller's", func(t *testing.T) { outputsOwned(t, e) })
	t.Run("many runs at once", func(t *testing.T) { concurrent(t, e) })
	t.Run("cancelled before it starts", func(t *testing.T) { cancelledBefore(t, e) })
	t.Run("cancelled while it runs", func(t *testing.T) { cancelledWithin(t, e) })
	t.Run("sessions are apart", func(t *testing.T) { apart(t, e) })
}

// open loads a graph for the length of a test.
func open(t *testing.T, e engine.Engine, g engine.Graph) engine.Session {
	t.Helper()
	s, err := e.Load(t.Context(), g)
	if err != nil {
		t.Fatalf("the model was not loaded: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("the session was not closed: %v", err)
		}
	})
	return s
}

// same checks an answer element by element, bit by bit.
func same(t *testing.T, got []*tensor.Tensor, want ...*tensor.Tensor) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d outputs, want %d", len(got), len(want))
	}
	for i := range want {
		if d := difference(got[i], want[i]); d != "" {
			t.Errorf("output %d: %s", i, d)
		}
	}
}

func difference(got, want *tensor.Tensor) string {
	switch {
	case got.Type != want.Type || tensor.FormatShape(got.Shape) != tensor.FormatShape(want.Shape):
		return "got " + got.String() + ", want " + want.String()
	case want.Type == tensor.String && !reflect.DeepEqual(got.Strings, want.Strings):
		return "the strings differ"
	case string(got.Data) != string(want.Data):
		return "the elements differ"
	}
	return ""
}

func identity(t *testing.T, e engine.Engine) {
	shapes := map[string]struct {
		dims  []any
		shape []int64
	}{
		"rank 0": {nil, nil},
		"rank 1": {[]any{"N"}, []int64{6}},
		"rank 2": {[]any{"N", 3}, []int64{2, 3}},
		"rank 3": {[]any{"N", 3, "M"}, []int64{1, 3, 2}},
	}
	for typ := tensor.Bool; typ <= tensor.String; typ++ {
		for rank, s := range shapes {
			t.Run(typ.String()+" "+rank, func(t *testing.T) {
				g := Identity([]tensor.Type{typ}, s.dims...).Graph()
				if optional := typ == tensor.String || typ == tensor.Float16; optional && len(s.dims) == 0 {
					if session, err := e.Load(t.Context(), g); err != nil {
						refused(t, err)
						return
					} else if err := session.Close(); err != nil {
						t.Fatal(err)
					}
				}
				in := sample(typ, s.shape...)
				out, err := open(t, e, g).Run(t.Context(), []*tensor.Tensor{in})
				if err != nil {
					t.Fatal(err)
				}
				same(t, out, sample(typ, s.shape...))
			})
		}
	}
}

// sample fills a tensor with the values that are easy to get wrong.
func sample(t tensor.Type, shape ...int64) *tensor.Tensor {
	x := tensor.New(t, shape...)
	switch t {
	case tensor.String:
		copy(x.Strings, []string{"größe 🦉", "", "a\tb\n", "\ue000", strings.Repeat("long ", 1000), "z"})
	case tensor.Bool:
		copy(x.Data, []byte{1, 0, 1, 1, 0, 1})
	case tensor.Float16:
		copy(tensor.View[uint16](x), []uint16{0x3c01, 0x8000, 0x7c00, 0xfc00, 0x0001, 0x7bff})
	case tensor.Float32:
		copy(tensor.View[float32](x), []float32{
			0.1, float32(math.Copysign(0, -1)), float32(math.Inf(1)), math.MaxFloat32, math.SmallestNonzeroFloat32, float32(math.NaN()),
		})
	case tensor.Float64:
		copy(tensor.View[float64](x), []float64{
			0.1, math.Copysign(0, -1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64, math.NaN(),
		})
	default: // integers: all bits, the sign alone, and a pattern in every byte
		size := t.Size()
		for i := range x.Data {
			x.Data[i] = byte(i*37 + 1)
		}
		for i := range min(size, len(x.Data)-size) {
			x.Data[i], x.Data[size+i] = 0xff, 0
		}
		if len(x.Data) > size {
			x.Data[2*size-1] = 0x80
		}
	}
	return x
}

func several(t *testing.T, e engine.Engine) {
	types := []tensor.Type{tensor.Float64, tensor.String, tensor.Float64, tensor.Int64}
	s := open(t, e, Identity(types, "N").Graph())
	inputs := []*tensor.Tensor{
		tensor.From(tensor.Float64, []float64{1, 2}, 2), tensor.FromStrings([]string{"a", "b"}, 2),
		tensor.From(tensor.Float64, []float64{3, 4}, 2), tensor.From(tensor.Int64, []int64{5, 6}, 2),
	}
	out, err := s.Run(t.Context(), inputs)
	if err != nil {
		t.Fatal(err)
	}
	same(t, out, inputs...)
}

// write puts a model into a folder of its own and returns it as a graph.
func write(t *testing.T, m Model) engine.Graph {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(path, m.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return engine.Graph{Path: path, Inputs: m.Inputs, Outputs: m.Outputs}
}

func fromFile(t *testing.T, e engine.Engine) {
	x := tensor.From(tensor.Float32, []float32{1, 2, 3}, 3)
	s := open(t, e, write(t, Identity([]tensor.Type{tensor.Float32}, "N")))
	out, err := s.Run(t.Context(), []*tensor.Tensor{x})
	if err != nil {
		t.Fatal(err)
	}
	same(t, out, x)
}

func junk(t *testing.T, e engine.Engine) {
	good := Identity([]tensor.Type{tensor.Float32}, "N")
	whole := good.Bytes()
	refuse := func(t *testing.T, g engine.Graph) {
		t.Helper()
		g.Inputs, g.Outputs = good.Inputs, good.Outputs
		s, err := e.Load(t.Context(), g)
		if err == nil {
			_ = s.Close()
			t.Fatal("it was loaded")
		}
		refused(t, err)
		if dir := filepath.Dir(g.Path); g.Path != "" && strings.Contains(fault.As(err).Detail, dir) {
			t.Errorf("the sentence names our folder: %s", fault.As(err).Detail)
		}
	}
	for n := range whole {
		refuse(t, engine.Graph{Model: whole[:n:n]})
	}
	files := map[string][]byte{
		"empty": {}, "junk": []byte("<html>404 not found</html>"), "zeros": make([]byte, 4096), "truncated": whole[:len(whole)/2],
	}
	for name, data := range files {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "model.onnx")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			refuse(t, engine.Graph{Path: path})
		})
	}
	t.Run("absent", func(t *testing.T) {
		refuse(t, engine.Graph{Path: filepath.Join(t.TempDir(), "model.onnx")})
	})
}

// refused checks that err is what Load promises for a model it cannot load.
func refused(t *testing.T, err error) {
	t.Helper()
	e := fault.As(err)
	if e == nil || e.Kind != fault.Unprocessable || e.Code != fault.ModelRefused {
		t.Fatalf("got %v, want an unprocessable fault of code %s", err, fault.ModelRefused)
	}
	if e.Detail == "" {
		t.Error("the refusal says nothing")
	}
}

func inputsNotKept(t *testing.T, e engine.Engine) {
	s := open(t, e, Identity([]tensor.Type{tensor.Float64, tensor.String}, "N").Graph())
	numbers, texts := runAndForget(t, s)
	for range 10 {
		runtime.GC()
		if numbers.Value() == nil && texts.Value() == nil {
			return
		}
	}
	t.Error("the inputs are still referred to after the run")
}

// runAndForget is a function of its own so that nothing of it stays on the stack.
//
//go:noinline
func runAndForget(t *testing.T, s engine.Session) (weak.Pointer[byte], weak.Pointer[string]) {
	const rows = 10_000 // far from the small objects that the collector keeps together
	x := tensor.New(tensor.Float64, rows)
	texts := tensor.New(tensor.String, rows)
	if _, err := s.Run(t.Context(), []*tensor.Tensor{x, texts}); err != nil {
		t.Fatal(err)
	}
	return weak.Make(&x.Data[0]), weak.Make(&texts.Strings[0])
}

func outputsOwned(t *testing.T, e engine.Engine) {
	for _, typ := range []tensor.Type{tensor.Float64, tensor.Float16, tensor.String} {
		t.Run(typ.String(), func(t *testing.T) {
			s := open(t, e, Identity([]tensor.Type{typ}, "N").Graph())
			in := sample(typ, 6)
			first, err := s.Run(t.Context(), []*tensor.Tensor{in})
			if err != nil {
				t.Fatal(err)
			}
			wipe(in)
			same(t, first, sample(typ, 6))
			second, err := s.Run(t.Context(), []*tensor.Tensor{sample(typ, 6)})
			if err != nil {
				t.Fatal(err)
			}
			wipe(second[0])
			same(t, first, sample(typ, 6))
		})
	}
}

func wipe(x *tensor.Tensor) {
	clear(x.Data)
	clear(x.Strings)
}

func concurrent(t *testing.T, e engine.Engine) {
	const goroutines, runs = 16, 200
	s := open(t, e, Identity([]tensor.Type{tensor.Int64, tensor.String, tensor.Float16}, "N").Graph())
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for r := range runs {
				in := batch(g, r)
				out, err := s.Run(t.Context(), in)
				if err != nil {
					t.Errorf("goroutine %d run %d: %v", g, r, err)
					return
				}
				for i := range in {
					if d := difference(out[i], batch(g, r)[i]); d != "" {
						t.Errorf("goroutine %d run %d output %d: %s", g, r, i, d)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// batch makes inputs that no other goroutine and no other run has.
func batch(goroutine, run int) []*tensor.Tensor {
	rows := int64(1 + (goroutine+run)%7)
	numbers, texts, halves := tensor.New(tensor.Int64, rows), tensor.New(tensor.String, rows), tensor.New(tensor.Float16, rows)
	for i := range rows {
		tensor.View[int64](numbers)[i] = int64(goroutine)<<32 | int64(run)<<8 | i
		texts.Strings[i] = strings.Repeat(string(rune('a'+goroutine)), run%13) + string(rune('A'+i))
		tensor.View[uint16](halves)[i] = uint16(goroutine<<10 | run)
	}
	return []*tensor.Tensor{numbers, texts, halves}
}

func cancelledBefore(t *testing.T, e engine.Engine) {
	s := open(t, e, Identity([]tensor.Type{tensor.Float32}, "N").Graph())
	x := tensor.From(tensor.Float32, []float32{1}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if out, err := s.Run(ctx, []*tensor.Tensor{x}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v, want an error that wraps %v", out, err, context.Canceled)
	}
	out, err := s.Run(t.Context(), []*tensor.Tensor{x})
	if err != nil {
		t.Fatalf("the session is of no use afterwards: %v", err)
	}
	same(t, out, x)
}

// cancelledWithin runs an endless loop twice, so that the second shows that the
// first left a usable session.
func cancelledWithin(t *testing.T, e engine.Engine) {
	s := open(t, e, Loop().Graph())
	t.Run("by its deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		if err := runLoop(ctx, t, s); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want an error that wraps %v", err, context.DeadlineExceeded)
		}
	})
	t.Run("by its caller", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer time.AfterFunc(30*time.Millisecond, cancel).Stop()
		if err := runLoop(ctx, t, s); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want an error that wraps %v", err, context.Canceled)
		}
	})
}

func runLoop(ctx context.Context, t *testing.T, s engine.Session) error {
	t.Helper()
	in := []*tensor.Tensor{tensor.From(tensor.Float32, []float32{1}, 1), tensor.From(tensor.Bool, []bool{true}, 1)}
	ended := make(chan error, 1)
	go func() {
		_, err := s.Run(ctx, in)
		ended <- err
	}()
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		t.Fatal("the run does not end with its context")
		return nil
	}
}

// apart closes one of two sessions of a model and uses the other.
func apart(t *testing.T, e engine.Engine) {
	g := write(t, Identity([]tensor.Type{tensor.Float32}, "N"))
	kept := open(t, e, g)
	gone, err := e.Load(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	x := tensor.From(tensor.Float32, []float32{1, 2}, 2)
	out, err := kept.Run(t.Context(), []*tensor.Tensor{x})
	if err != nil {
		t.Fatal(err)
	}
	same(t, out, x)
}
