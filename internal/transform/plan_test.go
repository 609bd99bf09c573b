package transform_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/onnx"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/internal/transform"
)

// value reads "x float32[N,4]"; an open dimension is a question mark or a
// name, and a value without brackets is of open rank.
func value(text string) onnx.Value {
	name, rest, _ := strings.Cut(text, " ")
	typeName, dims, ranked := strings.Cut(strings.TrimSuffix(rest, "]"), "[")
	v := onnx.Value{Name: name, Kind: onnx.KindTensor, TypeName: typeName, Ranked: ranked}
	v.Type, _ = tensor.ParseType(typeName) // Invalid where JSON carries no such type
	for _, d := range strings.FieldsFunc(dims, func(r rune) bool { return r == ',' }) {
		dim := onnx.Dim{Value: -1}
		if _, err := fmt.Sscan(d, &dim.Value); err != nil && d != "?" {
			dim.Param = d
		}
		v.Dims = append(v.Dims, dim)
	}
	return v
}

// graph reads "x float32[N,4]; y int64[N] -> z float32[N]".
func graph(text string) *onnx.Model {
	in, out, _ := strings.Cut(text, " -> ")
	return &onnx.Model{Inputs: values(in), Outputs: values(out)}
}

func values(text string) []onnx.Value {
	var out []onnx.Value
	for part := range strings.SplitSeq(text, "; ") {
		out = append(out, value(part))
	}
	return out
}

// signature reads the JSON of a signature, so that the tests see what the kit
// writes and not what the parser makes of it.
func signature(t *testing.T, inputs, outputs string) *bundle.Signature {
	t.Helper()
	s, err := bundle.ParseSignature([]byte(`{"inputs":[` + inputs + `],"outputs":[` + outputs + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func compile(t *testing.T, sig *bundle.Signature, g *onnx.Model, zipmaps ...onnx.ZipMap) *transform.Plan {
	t.Helper()
	p, err := transform.Compile(sig, g, zipmaps)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// decode reads a body by the plan: rows where it is a list, columns otherwise.
func decode(p *transform.Plan, body string) (*tensor.Frame, error) {
	frame := p.Frame()
	d := tensor.NewDecoder(tensor.NewScanner([]byte(body)), frame)
	if body[0] == '[' {
		return frame, d.Rows("instances")
	}
	return frame, d.Columns("inputs")
}

// feeds writes what a graph is fed: x=float32[2,1]{1 2} …
func feeds(f *tensor.Frame) string {
	var out []string
	for i, x := range f.Feeds() {
		out = append(out, f.Layout.Buffers[i].Name+"="+x.String()+elements(x))
	}
	return strings.Join(out, " ")
}

func elements(x *tensor.Tensor) string {
	var v any
	switch x.Type {
	case tensor.String:
		v = x.Strings
	case tensor.Float64:
		v = tensor.View[float64](x)
	case tensor.Float32:
		v = tensor.View[float32](x)
	case tensor.Int64:
		v = tensor.View[int64](x)
	default:
		v = x.Data
	}
	return "{" + strings.Trim(fmt.Sprint(v), "[]") + "}"
}

// finding returns path and code of the first finding.
func finding(err error) string {
	e := fault.As(err)
	if e == nil || len(e.Fields) == 0 {
		return fmt.Sprint(err)
	}
	return e.Fields[0].Path + " " + e.Fields[0].Code
}

// refused compiles what must not compile and returns the sentence.
func refused(t *testing.T, sig *bundle.Signature, g *onnx.Model) string {
	t.Helper()
	_, err := transform.Compile(sig, g, nil)
	e := fault.As(err)
	if e == nil || e.Kind != fault.Unprocessable || e.Code != fault.ModelRefused {
		t.Fatalf("got %v, want an unprocessable fault of code %s", err, fault.ModelRefused)
	}
	if !strings.HasPrefix(e.Detail, "The model cannot be served: ") || !strings.HasSuffix(e.Detail, ".") {
		t.Errorf("not a sentence: %q", e.Detail)
	}
	return e.Detail
}

func TestWhatRequestsCannotCarryIsRefused(t *testing.T) {
	deep := "x float32[?" + strings.Repeat(",1", tensor.MaxRank) + "]"
	tests := []struct{ name, graph, says string }{
		{"input type", "x bfloat16[N] -> y float32[N]", `the graph's input "x" is of type bfloat16, which is not supported: cast it inside the graph`},
		{"output type", "x float32[N] -> y complex64[N]", `the graph's output "y" is of type complex64`},
		{"input rank", deep + " -> y float32[N]", `the graph's input "x" has 33 dimensions, and at most 32 are supported`},
		{"output rank", "x float32[N] -> " + strings.Replace(deep, "x", "y", 1), `the graph's output "y" has 33 dimensions`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := refused(t, nil, graph(test.graph)); !strings.Contains(got, test.says) {
				t.Errorf("got %q, want %q in it", got, test.says)
			}
		})
	}
	t.Run("sequence", func(t *testing.T) {
		g := graph("x float32[N] -> y float32[N]")
		g.Outputs[0] = onnx.Value{Name: "y", Kind: onnx.KindSequence, TypeName: "sequence(map(int64,float32))"}
		if got := refused(t, nil, g); !strings.Contains(got, "sequence(map(int64,float32))") {
			t.Errorf("got %q", got)
		}
	})
}

func TestFramesAreGivenOutEmpty(t *testing.T) {
	p := compile(t, nil, graph("x float32[N] -> y float32[N]"))
	for _, body := range []string{`[1,2,3]`, `[4]`, `{"x":[5,6]}`} {
		f, err := decode(p, body)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("x=float32[%d]", strings.Count(body, ",")+1)
		if got := feeds(f); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s", body, got)
		}
		p.Recycle(f)
		if f.Rows != 0 {
			t.Errorf("a recycled frame has %d rows", f.Rows)
		}
	}
}
