package ort_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/engine/enginetest"
	"github.com/tenon-ml/tenon/runtime/ort"
)

// real returns the engine on the library at hand, or skips: the house is built
// and tested without ONNX Runtime too.
func real(t testing.TB) *ort.Engine {
	t.Helper()
	path := os.Getenv("TENON_RUNTIME_LIBRARY")
	if path == "" {
		var err error
		path, err = ort.FindLibrary(ort.Search{
			WorkDir: filepath.Join("..", ".."), VirtualEnv: os.Getenv("VIRTUAL_ENV"),
		})
		if err != nil {
			t.Skipf("needs ONNX Runtime: %v", err)
		}
	}
	e, err := ort.New(path)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEnginePassesTheSuite(t *testing.T) { enginetest.Run(t, real(t)) }

func load(t *testing.T, g engine.Graph) engine.Session {
	t.Helper()
	s, err := real(t).Load(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// refusal loads a graph that must be refused and returns the sentence.
func refusal(t *testing.T, g engine.Graph) string {
	t.Helper()
	s, err := real(t).Load(t.Context(), g)
	if err == nil {
		_ = s.Close()
		t.Fatal("the model was loaded")
	}
	e := fault.As(err)
	if e == nil || e.Kind != fault.Unprocessable || e.Code != fault.ModelRefused {
		t.Fatalf("got %v, want an unprocessable fault of code %s", err, fault.ModelRefused)
	}
	return e.Detail
}

func TestWhatCannotBeCarriedIsRefusedAtLoad(t *testing.T) {
	half := func(out engine.Port) engine.Graph {
		return enginetest.Model{
			Inputs: []engine.Port{enginetest.Port("x", tensor.Float32, "N", "M")}, Outputs: []engine.Port{out},
			Nodes: []enginetest.Node{{
				Op: "Cast", Inputs: []string{"x"}, Outputs: []string{out.Name},
				Attributes: []enginetest.Attribute{enginetest.Int("to", 10)},
			}},
		}.Graph()
	}
	constant := enginetest.Model{
		Outputs:      []engine.Port{enginetest.Port("y", tensor.Float32, 1)},
		Nodes:        []enginetest.Node{enginetest.Op("Identity", []string{"c"}, "y")},
		Initializers: []enginetest.Initializer{{Name: "c", Values: tensor.New(tensor.Float32, 1)}},
	}
	silent := enginetest.Identity([]tensor.Type{tensor.Float32}, "N")
	silent.Outputs = nil
	tests := []struct {
		name  string
		graph engine.Graph
		says  string
	}{
		{"string of rank 0", enginetest.Identity([]tensor.Type{tensor.String}).Graph(), `input "x0" is a string of rank 0`},
		{"float16 of rank 0", enginetest.Identity([]tensor.Type{tensor.Float16}).Graph(), "is a float16 of rank 0"},
		{"float16 of open rank", half(enginetest.Unranked("y", tensor.Float16)), `float16 output "y" is not known`},
		{"float16 of open shape", half(enginetest.Port("y", tensor.Float16, "N", -1)), `float16 output "y" is not known`},
		{"float16 of foreign shape", half(enginetest.Port("y", tensor.Float16, "N", "K")), `float16 output "y" is not known`},
		{"no inputs", constant.Graph(), "no inputs"},
		{"no outputs", silent.Graph(), "no outputs"},
		{"unknown operator", engine.Graph{
			Model: enginetest.Model{
				Inputs: silent.Inputs, Outputs: []engine.Port{enginetest.Port("y", tensor.Float32, "N")},
				Nodes: []enginetest.Node{enginetest.Op("Nope", []string{"x0"}, "y")},
			}.Bytes(), Inputs: silent.Inputs, Outputs: []engine.Port{enginetest.Port("y", tensor.Float32, "N")},
		}, "No Op registered for Nope with domain_version of 20; check that the file loads in Python"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := refusal(t, test.graph); !strings.Contains(got, test.says) {
				t.Errorf("got %q, want %q in it", got, test.says)
			}
		})
	}
}

func TestAMissingLocaleIsNamed(t *testing.T) {
	g := enginetest.Model{
		Inputs:  []engine.Port{enginetest.Port("x", tensor.String, "N")},
		Outputs: []engine.Port{enginetest.Port("y", tensor.String, "N")},
		Nodes: []enginetest.Node{{
			Op: "StringNormalizer", Inputs: []string{"x"}, Outputs: []string{"y"},
			Attributes: []enginetest.Attribute{
				enginetest.Text("case_change_action", "UPPER"), enginetest.Text("locale", "xx_YY.UTF-8"),
			},
		}},
	}.Graph()
	if got := refusal(t, g); !strings.Contains(got, "install the locale xx_YY.UTF-8 on the server") {
		t.Errorf("got %q", got)
	}
}

// TestExternalDataLieBesideTheModel, also where the model itself comes from
// memory because it was rewritten.
func TestExternalDataLieBesideTheModel(t *testing.T) {
	weights := tensor.From(tensor.Float32, []float32{10, 20}, 2)
	m := enginetest.Model{
		Inputs:       []engine.Port{enginetest.Port("x", tensor.Float32, "N", 2)},
		Outputs:      []engine.Port{enginetest.Port("y", tensor.Float32, "N", 2)},
		Nodes:        []enginetest.Node{enginetest.Op("Add", []string{"x", "w"}, "y")},
		Initializers: []enginetest.Initializer{{Name: "w", Values: weights, File: "weights.bin"}},
	}
	dir := t.TempDir()
	file, inMemory := m.Graph(), m.Graph()
	file.Path, inMemory.Path = filepath.Join(dir, "model.onnx"), filepath.Join(dir, "model.onnx")
	file.Model = nil
	if err := os.WriteFile(file.Path, m.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, g := range []engine.Graph{file, inMemory} {
		if got := refusal(t, g); !strings.Contains(got, "weights.bin") || strings.Contains(got, dir) {
			t.Errorf("without its weights, from memory %t: %q", g.Model != nil, got)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "weights.bin"), weights.Data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, g := range []engine.Graph{file, inMemory} {
		out, err := load(t, g).Run(t.Context(), []*tensor.Tensor{tensor.From(tensor.Float32, []float32{1, 2}, 1, 2)})
		if err != nil {
			t.Fatal(err)
		}
		if got := tensor.View[float32](out[0]); got[0] != 11 || got[1] != 22 {
			t.Errorf("from memory %t: got %v", g.Model != nil, got)
		}
	}
}

// TestTelemetryIsOffBeforeTheEnvironment: New sets the switches before it
// touches the library, and they are still set in the process that runs.
func TestTelemetryIsOffBeforeTheEnvironment(t *testing.T) {
	e := real(t)
	for _, name := range []string{"ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED"} {
		if got := os.Getenv(name); got != "1" {
			t.Errorf("%s is %q", name, got)
		}
	}
	if got, want := e.Version(), "onnxruntime "+ort.Release; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestErrorsAreNotWrittenBesideTheLog runs two tests of refused inputs and
// models in a process of its own and looks at all that it writes.
func TestErrorsAreNotWrittenBesideTheLog(t *testing.T) {
	real(t)
	cmd := exec.Command(os.Args[0], "-test.v",
		"-test.run=^(TestWhatARunRefusesIsTheInputsFault|TestAMissingLocaleIsNamed)$")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestAMissingLocaleIsNamed") {
		t.Fatalf("got %v:\n%s", err, out)
	}
	if strings.Contains(string(out), "onnxruntime:") {
		t.Errorf("ONNX Runtime wrote:\n%s", out)
	}
}

func TestAProcessHasOneLibrary(t *testing.T) {
	real(t)
	other := filepath.Join(t.TempDir(), "libonnxruntime.so")
	if _, err := ort.New(other); err == nil || !strings.Contains(err.Error(), other) {
		t.Errorf("got %v, want an error that names %s", err, other)
	}
}

// TestSwitchesAreSetBeforeTheLibraryIsOpened runs New on what is no library, in
// a process of its own, where nothing else can have set them.
func TestSwitchesAreSetBeforeTheLibraryIsOpened(t *testing.T) {
	const child = "TENON_TEST_TELEMETRY_CHILD"
	if os.Getenv(child) != "" {
		_, err := ort.New(filepath.Join(t.TempDir(), "absent.so"))
		fmt.Printf("switches=%s%s failed=%t\n",
			os.Getenv("ORT_DISABLE_TELEMETRY"), os.Getenv("ORT_TELEMETRY_DISABLED"), err != nil)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "ORT_") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, child+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "switches=11 failed=true") {
		t.Errorf("got %v:\n%s", err, out)
	}
}

// TestOpset: the newest operator set is what the library says it is.
func TestOpset(t *testing.T) {
	m := enginetest.Identity([]tensor.Type{tensor.Float32}, "N", 2)
	m.Opset = real(t).Opset()
	load(t, m.Graph())
	m.Opset++
	if said := refusal(t, m.Graph()); said == "" {
		t.Error("nothing is said of an operator set that there is not")
	}
}
