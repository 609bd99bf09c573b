package transform

import (
	"sync"

	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/onnx"
	"github.com/tenon-ml/tenon/internal/tensor"
)

// Plan turns requests into feeds and raw outputs into answers. It does not
// change after Compile and is safe for concurrent use.
type Plan struct {
	// Layout is what decoders write by; buffer i is graph input i.
	Layout *tensor.Layout
	// Outputs are the logical outputs, in the signature's order.
	Outputs []Output

	frames sync.Pool
}

// Output is one logical output: its meaning, and its place in the graph's.
type Output struct {
	Name    string
	Kind    bundle.Kind
	Type    tensor.Type // what clients get
	Graph   int         // index of the graph output
	Column  int         // the only column of a matrix output to take, or -1
	Shape   []int64     // of one row's value, where the signature says it
	Scalar  bool        // one value per row, even where the tensor is [rows,1]
	Classes []string    // keys of probabilities
	Finite  bool        // whether a row with another number has no answer

	raw       *onnx.Value // as the graph declares it
	key       []byte
	classKeys [][]byte
}

// Compile makes the plan of a version. sig is nil for a bare model, whose
// columns and outputs are then its tensors; zipmaps are those stripped from
// the graph, whose classes a bare model's probabilities take. A signature that
// does not fit the graph is an unprocessable fault that names both sides.
func Compile(sig *bundle.Signature, graph *onnx.Model, zipmaps []onnx.ZipMap) (*Plan, error) {
	if err := carried(graph); err != nil {
		return nil, err
	}
	p := &Plan{}
	var err error
	if sig == nil {
		p.Layout = bareLayout(graph)
		p.Outputs = bareOutputs(graph, zipmaps)
	} else {
		if p.Layout, err = layout(sig, graph); err != nil {
			return nil, err
		}
		if p.Outputs, err = outputs(sig, graph, zipmaps); err != nil {
			return nil, err
		}
	}
	for i := range p.Outputs {
		p.Outputs[i].seal()
	}
	p.frames.New = func() any { return tensor.NewFrame(p.Layout) }
	return p, nil
}

func (o *Output) seal() {
	o.key = tensor.JSONKey(o.Name)
	for _, class := range o.Classes {
		o.classKeys = append(o.classKeys, tensor.JSONKey(class))
	}
}

// carried refuses graphs with inputs or outputs that requests cannot carry.
func carried(graph *onnx.Model) error {
	check := func(side string, values []onnx.Value) error {
		for i := range values {
			v := &values[i]
			if v.Kind != onnx.KindTensor || v.Type == tensor.Invalid {
				return refuse("the graph's %s %q is of type %s, which is not supported: "+
					"cast it inside the graph to a tensor of bool, an integer type, float16, float32, float64 or string", side, v.Name, v.TypeName)
			}
			if len(v.Dims) > tensor.MaxRank {
				return refuse("the graph's %s %q has %d dimensions, and at most %d are supported", side, v.Name, len(v.Dims), tensor.MaxRank)
			}
		}
		return nil
	}
	if err := check("input", graph.Inputs); err != nil {
		return err
	}
	return check("output", graph.Outputs)
}

func refuse(format string, args ...any) error {
	e := fault.New(fault.Unprocessable, fault.ModelRefused, format, args...)
	e.Detail = "The model cannot be served: " + e.Detail + "."
	return e
}

// Frame returns an empty frame; give it back with Recycle.
func (p *Plan) Frame() *tensor.Frame { return p.frames.Get().(*tensor.Frame) }

// Recycle takes a frame back that nobody reads any more.
func (p *Plan) Recycle(f *tensor.Frame) {
	f.Reset()
	p.frames.Put(f)
}

// Results views the raw outputs, in the graph's order, as logical outputs for
// a request of that many rows. Raw outputs that contradict the signature are an
// internal error: the graph does not keep what it declares.
func (p *Plan) Results(raw []*tensor.Tensor, rows int) ([]tensor.Output, error) {
	outs := make([]tensor.Output, len(p.Outputs))
	for i := range p.Outputs {
		if err := p.Outputs[i].view(raw[p.Outputs[i].Graph], rows, &outs[i]); err != nil {
			return nil, err
		}
	}
	return outs, nil
}
