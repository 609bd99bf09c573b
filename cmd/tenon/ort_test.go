package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/client"
	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/config"
	"github.com/tenon-ml/tenon/internal/ref"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/engine/enginetest"
	"github.com/tenon-ml/tenon/runtime/ort"
)

// libraryHere opens ONNX Runtime's library, and skips where there is none.
func libraryHere(t testing.TB) (path string, e *ort.Engine) {
	t.Helper()
	library, err := ort.FindLibrary(ort.Search{
		Executable: os.Args[0], WorkDir: filepath.Join("..", ".."), VirtualEnv: os.Getenv("VIRTUAL_ENV"),
	})
	if err != nil {
		t.Skipf("ONNX Runtime is not here: %v", err)
	}
	if library, err = filepath.Abs(library); err != nil {
		t.Fatal(err)
	}
	if e, err = ort.New(library); err != nil {
		t.Fatal(err)
	}
	return library, e
}

// onnxRuntime is a server with ONNX Runtime, here and in its children.
func onnxRuntime(t *testing.T, timeout time.Duration) *client.Client {
	t.Helper()
	server, _ := onnxRuntimeOn(t, filepath.Join(t.TempDir(), "reg"), timeout)
	return server
}

// onnxRuntimeOn is such a server on a registry's folder, and its address.
func onnxRuntimeOn(t *testing.T, root string, timeout time.Duration) (server *client.Client, address string) {
	t.Helper()
	library, e := libraryHere(t)
	c, err := config.Load(config.Source{Flags: map[string]string{"registry.root": root}, Env: noEnv})
	if err != nil {
		t.Fatal(err)
	}
	x := &examiner{executable: path(t, "tenon-ort"), library: library, threads: 1, timeout: timeout}
	workers, err := newWorkers(path(t, "tenon-ort"), library, e, 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s, err := build(c, e, workers, x, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s.handler)
	t.Cleanup(func() {
		front.Close()
		s.close(slog.New(slog.DiscardHandler))
	})
	if err := s.manager.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if server, err = client.New(front.URL); err != nil {
		t.Fatal(err)
	}
	return server, front.URL
}

func noEnv(string) (string, bool) { return "", false }

func upload(t *testing.T, server *client.Client, model string, data []byte, bare bool) (wire.Published, error) {
	t.Helper()
	return server.Push(t.Context(), model, client.Body{Reader: bytes.NewReader(data), Size: int64(len(data)), Bare: bare})
}

// vector is a model of x, int64[N], whose output y comes out of the nodes.
func vector(initializers []enginetest.Initializer, nodes ...enginetest.Node) []byte {
	return enginetest.Model{
		Inputs:       []engine.Port{enginetest.Port("x", tensor.Int64, "N")},
		Outputs:      []engine.Port{enginetest.Port("y", tensor.Int64, "N")},
		Initializers: initializers, Nodes: nodes,
	}.Bytes()
}

func constant(name string, values ...int64) enginetest.Initializer {
	return enginetest.Initializer{Name: name, Values: tensor.From(tensor.Int64, values, int64(len(values)))}
}

func with(n enginetest.Node, attributes ...enginetest.Attribute) enginetest.Node {
	n.Attributes = attributes
	return n
}

// growing is twice as large with every node, and folded when it is loaded.
func growing() []byte {
	nodes := []enginetest.Node{}
	from := "c"
	for i := range 40 {
		to := "c" + strings.Repeat("i", i+1)
		nodes = append(nodes, with(enginetest.Op("Concat", []string{from, from}, to), enginetest.Int("axis", 0)))
		from = to
	}
	nodes = append(nodes, enginetest.Op("Gather", []string{from, "x"}, "y"))
	return vector([]enginetest.Initializer{constant("c", make([]int64, 1024)...)}, nodes...)
}

// deadly are models that bring down, or never leave, the process that loads
// them. The time each may take is generous where its end is not the time's.
var deadly = map[string]struct {
	model   []byte
	timeout time.Duration
	says    string
}{
	"an integer division folded at load": {vector(
		[]enginetest.Initializer{constant("a", math.MinInt64), constant("b", -1)},
		enginetest.Op("Div", []string{"a", "b"}, "c"), enginetest.Op("Add", []string{"x", "c"}, "y")), time.Minute, "SIGFPE"},
	"an Einsum that never returns": {vector(nil,
		with(enginetest.Op("Einsum", []string{"x"}, "y"), enginetest.Text("equation", "......"))), 4 * time.Second, "did not end within 4s while loading"},
	"memory without bound": {growing(), time.Minute, "bad_alloc"},
}

// TestDeadlyModelsAreRefused: with a code and a remedy, and nobody else notices.
func TestDeadlyModelsAreRefused(t *testing.T) {
	for name, c := range deadly {
		t.Run(name, func(t *testing.T) {
			server := onnxRuntime(t, c.timeout)
			answered := predicting(t, server)
			_, err := upload(t, server, "bad", c.model, true)
			var problem *client.Problem
			if !errors.As(err, &problem) || problem.Code != "model-refused" || !strings.Contains(problem.Detail, c.says) {
				t.Errorf("%v, want %s", err, c.says)
			}
			if n := answered(); n < 10 {
				t.Errorf("only %d answers meanwhile", n)
			}
			if list, err := server.Models(t.Context()); err != nil || len(list.Models) != 1 {
				t.Errorf("%+v, %v", list, err)
			}
		})
	}
}

// predicting deploys a good model and asks it until the result is called, which
// says how many answers there were. An answer that fails, fails the test.
func predicting(t *testing.T, server *client.Client) (answered func() int) {
	t.Helper()
	good := enginetest.Identity([]tensor.Type{tensor.Float32}, "N", 2).Bytes()
	if _, err := upload(t, server, "good", good, true); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Deploy(t.Context(), "good", wire.Deploy{Traffic: wire.Stable(1)}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	answers := make(chan int)
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			if _, err := server.Predict(t.Context(), ref.Reference{Model: "good"}, []byte(`{"instances":[[1,2]]}`)); err != nil {
				t.Errorf("answer %d: %v", n, err)
				break
			}
		}
		answers <- n
	}()
	return func() int { stop(); return <-answers }
}
