package engine_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/engine/enginetest"
)

func TestFakePassesTheSuite(t *testing.T) {
	fake := &engine.Fake{}
	enginetest.Run(t, fake)
	if fake.Open() != 0 || fake.Misused() != 0 {
		t.Errorf("%d sessions are left open, %d times one was misused", fake.Open(), fake.Misused())
	}
}

func TestFakeComputesWhatATestWants(t *testing.T) {
	wanted := errors.New("as the test wants")
	fake := &engine.Fake{
		Compute: func(_ context.Context, g engine.Graph, inputs []*tensor.Tensor) ([]*tensor.Tensor, error) {
			if g.Outputs[0].Name != "y0" || inputs[0].Len() != 2 {
				t.Errorf("got %v and %v", g.Outputs, inputs)
			}
			return nil, wanted
		},
	}
	s, err := fake.Load(t.Context(), enginetest.Identity([]tensor.Type{tensor.Bool}, "N").Graph())
	if err != nil || fake.Open() != 1 {
		t.Fatalf("got %v and %d sessions", err, fake.Open())
	}
	if _, err := s.Run(t.Context(), []*tensor.Tensor{tensor.New(tensor.Bool, 2)}); !errors.Is(err, wanted) {
		t.Errorf("got %v", err)
	}
	if err := s.Close(); err != nil || fake.Open() != 0 || fake.Misused() != 0 {
		t.Errorf("got %v, %d sessions and %d misuses", err, fake.Open(), fake.Misused())
	}
}

func TestFakeSeesMisuse(t *testing.T) {
	fake, running, end := &engine.Fake{}, make(chan struct{}), make(chan struct{})
	fake.Compute = func(context.Context, engine.Graph, []*tensor.Tensor) ([]*tensor.Tensor, error) {
		close(running)
		<-end
		return nil, nil
	}
	s, err := fake.Load(t.Context(), enginetest.Loop().Graph())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := s.Run(t.Context(), nil)
		ended <- err
	}()
	<-running
	misuse := func(what string, total int, err error) {
		if got := fake.Misused(); got != total || err != nil {
			t.Errorf("%s: %d misuses, %v, want %d", what, got, err, total)
		}
	}
	misuse("run", 0, nil)
	misuse("closed during a run", 1, s.Close())
	close(end)
	misuse("the run ended", 1, <-ended)
	misuse("closed twice", 2, s.Close())
	running = make(chan struct{})
	_, err = s.Run(t.Context(), nil)
	misuse("run after its close", 3, err)
}

func TestFakeRefusesWhatATestWants(t *testing.T) {
	wanted := errors.New("as the test wants")
	fake := &engine.Fake{Refuse: func(engine.Graph) error { return wanted }}
	if _, err := fake.Load(t.Context(), enginetest.Loop().Graph()); !errors.Is(err, wanted) || fake.Open() != 0 {
		t.Errorf("got %v and %d sessions", err, fake.Open())
	}
}

// TestFakeAnswersInTheShapeOfItsOutputs: where no input fits an output, it is
// zeros, with as many rows as the request has.
func TestFakeAnswersInTheShapeOfItsOutputs(t *testing.T) {
	m := enginetest.Model{
		Inputs: []engine.Port{enginetest.Port("x", tensor.Float32, "N", 4)},
		Outputs: []engine.Port{
			enginetest.Port("label", tensor.String, "N"), enginetest.Port("scores", tensor.Float32, -1, 3),
		},
		Nodes: []enginetest.Node{{Op: "Anything", Inputs: []string{"x"}, Outputs: []string{"label", "scores"}}},
	}
	fake := &engine.Fake{}
	s, err := fake.Load(t.Context(), m.Graph())
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Run(t.Context(), []*tensor.Tensor{tensor.New(tensor.Float32, 2, 4)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if out[0].String() != "string[2]" || out[1].String() != "float32[2,3]" {
		t.Errorf("got %v", out)
	}
}
