package transform

import (
	"fmt"
	"strconv"

	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/onnx"
	"github.com/tenon-ml/tenon/internal/tensor"
)

// bareOutputs makes every graph output a value of its own name, except those
// that a ZipMap made: they are probabilities by class.
func bareOutputs(graph *onnx.Model, zipmaps []onnx.ZipMap) []Output {
	outs := make([]Output, len(graph.Outputs))
	for i := range graph.Outputs {
		v := &graph.Outputs[i]
		outs[i] = Output{Name: v.Name, Kind: bundle.KindValue, Type: v.Type, Graph: i, Column: -1}
		for k := range zipmaps {
			if zipmaps[k].Tensor == v.Name {
				outs[i].Name, outs[i].Kind = zipmaps[k].Output, bundle.KindProbabilities
				outs[i].Classes = classKeys(&zipmaps[k])
			}
		}
	}
	return outs
}

func classKeys(z *onnx.ZipMap) []string {
	keys := append([]string(nil), z.Strings...)
	for _, n := range z.Ints {
		keys = append(keys, strconv.FormatInt(n, 10))
	}
	return keys
}

// outputs places the signature's outputs among the graph's.
func outputs(sig *bundle.Signature, graph *onnx.Model) ([]Output, error) {
	outs := make([]Output, len(sig.Outputs))
	for i := range sig.Outputs {
		s := &sig.Outputs[i]
		g := indexOf(graph.Outputs, orName(s.From, s.Name))
		if g < 0 {
			return nil, refuse("the signature's output %q comes from the graph output %q, which the graph does not have", s.Name, s.From)
		}
		v := &graph.Outputs[g]
		o := Output{
			Name: s.Name, Kind: s.Kind, Type: s.Type, Graph: g, Column: -1,
			Shape: s.Shape, Scalar: len(s.Shape) == 0, Classes: s.ClassKeys(),
		}
		if s.Column != nil {
			o.Column = *s.Column
		}
		if o.Type == tensor.Invalid {
			o.Type = v.Type
		}
		if !shown(v.Type, o.Type) {
			return nil, refuse("the output %q is of type %s, and the graph output %s cannot be shown as that", s.Name, o.Type, v)
		}
		outs[i] = o
	}
	return outs, nil
}

// shown reports whether a graph's element can be shown as the logical type:
// numbers as they are, and 0 and 1 as bools.
func shown(graph, logical tensor.Type) bool {
	if graph == tensor.String || logical == tensor.String {
		return graph == logical
	}
	if logical == tensor.Bool {
		return !graph.IsFloat()
	}
	return graph != tensor.Bool && graph.IsFloat() == logical.IsFloat()
}

// view places one logical output over a raw tensor.
func (o *Output) view(x *tensor.Tensor, rows int, out *tensor.Output) error {
	*out = tensor.Output{Key: o.key, Type: o.Type, Values: x, Classes: o.classKeys}
	batched := len(x.Shape) > 0 && x.Shape[0] == int64(rows)
	if !batched {
		if o.Scalar || len(o.Classes) > 0 || o.Shape != nil {
			return fmt.Errorf("the graph answered %d rows with %s %s for the output %q", rows, x.Type, tensor.FormatShape(x.Shape), o.Name)
		}
		out.Whole = true
		return nil
	}
	out.Stride = x.Len() / rows
	switch {
	case o.Column >= 0:
		out.Offset = o.Column
		return o.hold(o.Column < out.Stride, x)
	case len(o.Classes) > 0:
		return o.hold(out.Stride == len(o.Classes), x)
	case o.Scalar && out.Stride == 1:
		return nil
	case o.Shape != nil:
		out.Shape = x.Shape[1:]
		return o.hold(agree(x.Shape[1:], o.Shape), x)
	default:
		out.Shape = x.Shape[1:]
		return o.hold(!o.Scalar, x)
	}
}

func (o *Output) hold(fits bool, x *tensor.Tensor) error {
	if fits {
		return nil
	}
	return fmt.Errorf("the graph answered with the shape %s for the output %q, which its signature contradicts", tensor.FormatShape(x.Shape), o.Name)
}

func agree(got, want []int64) bool {
	if len(got) != len(want) {
		return false
	}
	for i := range got {
		if want[i] >= 0 && got[i] != want[i] {
			return false
		}
	}
	return true
}
