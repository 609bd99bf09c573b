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
		outs[i] = Output{Name: v.Name, Kind: bundle.KindValue, Type: v.Type, Graph: i, Column: -1, raw: v}
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

// outputs places the signature's outputs among the graph's. One that names
// what a ZipMap made takes the scores that the ZipMap was fed.
func outputs(sig *bundle.Signature, graph *onnx.Model, zipmaps []onnx.ZipMap) ([]Output, error) {
	outs := make([]Output, len(sig.Outputs))
	for i := range sig.Outputs {
		s := &sig.Outputs[i]
		from := orName(s.From, s.Name)
		g := indexOf(graph.Outputs, stripped(from, zipmaps))
		if g < 0 {
			return nil, refuse("the signature's output %q comes from the graph output %q, which the graph does not have", s.Name, from)
		}
		v := &graph.Outputs[g]
		o := Output{
			Name: s.Name, Kind: s.Kind, Type: s.Type, Graph: g, Column: -1,
			Shape: s.Shape, Scalar: len(s.Shape) == 0, Classes: s.ClassKeys(), Finite: s.Finite, raw: v,
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
		if o.Finite && !v.Type.IsFloat() {
			return nil, refuse("the output %q is declared finite, and the graph output %s holds no floats", s.Name, v)
		}
		if err := o.holdDeclared(v); err != nil {
			return nil, err
		}
		outs[i] = o
	}
	return outs, nil
}

func stripped(name string, zipmaps []onnx.ZipMap) string {
	for i := range zipmaps {
		if zipmaps[i].Output == name {
			return zipmaps[i].Tensor
		}
	}
	return name
}

// holdDeclared refuses an output that contradicts the shape which the graph
// declares; what the graph leaves open, view sees.
func (o *Output) holdDeclared(v *onnx.Value) error {
	if !v.Ranked {
		return nil
	}
	rows, row := len(v.Dims) > 0, []int64(nil)
	if rows {
		row = v.Shape()[1:]
	}
	n := tensor.Count(row) // -1 where the graph leaves it open
	var fits bool
	var says string
	switch {
	case o.Column >= 0:
		fits, says = n < 0 || int64(o.Column) < n, fmt.Sprintf("is column %d", o.Column)
	case len(o.Classes) > 0:
		fits, says = n < 0 || n == int64(len(o.Classes)), fmt.Sprintf("has %d classes", len(o.Classes))
	case o.Scalar:
		fits, says = n < 0 || n == 1, "is one value per row"
	default:
		fits, says = agree(row, o.Shape), fmt.Sprintf("is %s per row", tensor.FormatShape(o.Shape))
	}
	if rows && fits {
		return nil
	}
	return refuse("the output %q %s, and the graph output is %s", o.Name, says, v)
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

// agree compares shapes; a negative dimension is open.
func agree(got, want []int64) bool {
	if len(got) != len(want) {
		return false
	}
	for i := range got {
		if want[i] >= 0 && got[i] >= 0 && got[i] != want[i] {
			return false
		}
	}
	return true
}
