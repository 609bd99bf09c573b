package transform

import (
	"encoding/json"
	"strconv"

	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/onnx"
	"github.com/tenon-ml/tenon/internal/tensor"
)

// bareLayout makes every graph input a column of its own name. Inputs whose
// first dimension is open are batched; so are all of them where they agree on
// one fixed first dimension. Any other takes its whole tensor.
func bareLayout(graph *onnx.Model) *tensor.Layout {
	l := &tensor.Layout{FixedRows: fixedRows(graph.Inputs)}
	for i := range graph.Inputs {
		v := &graph.Inputs[i]
		col := tensor.Column{Name: v.Name, Type: v.Type, Buffer: i, Nullable: v.Type.IsFloat()}
		shape := v.Shape()
		switch {
		case !v.Ranked:
			col.AnyRank = true
		case len(shape) > 0 && (shape[0] < 0 || l.FixedRows > 0):
			col.Shape, col.Group = shape[1:], v.Dims[0].Param
		default:
			col.Shape, col.Whole = shape, true
		}
		l.Columns = append(l.Columns, col)
		l.Buffers = append(l.Buffers, tensor.Buffer{
			Name: v.Name, Type: v.Type,
			Width: width(col),
			Rank1: len(shape) == 1 && !col.Whole,
		})
	}
	return l.Seal()
}

// width is the elements of a row, or -1 where only the request tells.
func width(col tensor.Column) int {
	if col.AnyRank || col.Whole {
		return -1
	}
	return int(tensor.Count(col.Shape))
}

// fixedRows returns the first dimension that all inputs share, or 0.
func fixedRows(inputs []onnx.Value) int {
	rows := int64(0)
	for i := range inputs {
		shape := inputs[i].Shape()
		if len(shape) == 0 || shape[0] <= 0 || (rows != 0 && shape[0] != rows) {
			return 0
		}
		rows = shape[0]
	}
	return int(rows)
}

// layout places the signature's columns in the graph's inputs.
func layout(sig *bundle.Signature, graph *onnx.Model) (*tensor.Layout, error) {
	l := &tensor.Layout{Buffers: make([]tensor.Buffer, len(graph.Inputs)), Unused: sig.Unused}
	fed := make([]int, len(graph.Inputs)) // columns of each graph input
	for i := range sig.Inputs {
		in := &sig.Inputs[i]
		feed := orName(in.Feed, in.Name)
		g := indexOf(graph.Inputs, feed)
		if g < 0 {
			return nil, refuse("the signature's column %q feeds the graph input %q, which the graph does not have", in.Name, feed)
		}
		col, err := column(in, &graph.Inputs[g])
		if err != nil {
			return nil, err
		}
		col.Buffer = g
		l.Columns = append(l.Columns, col)
		fed[g]++
	}
	for g := range graph.Inputs {
		v := &graph.Inputs[g]
		if fed[g] == 0 {
			return nil, refuse("no column of the signature feeds the graph input %q", v.Name)
		}
		buffer, err := buffer(v, l.Columns, g, fed[g])
		if err != nil {
			return nil, err
		}
		l.Buffers[g] = buffer
	}
	return l.Seal(), nil
}

func orName(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return name
}

func indexOf(values []onnx.Value, name string) int {
	for i := range values {
		if values[i].Name == name {
			return i
		}
	}
	return -1
}

// column compiles one logical column.
func column(in *bundle.Input, v *onnx.Value) (tensor.Column, error) {
	col := tensor.Column{
		Name: in.Name, Type: in.Type, Shape: in.Shape,
		Nullable: in.Missing == bundle.MissingAllowed, Sentinel: in.Sentinel,
	}
	if in.Column != nil {
		col.Offset = *in.Column
	}
	if !fits(in.Type, v.Type) {
		return col, refuse("the column %q of type %s cannot feed the graph input %q of type %s without losing values",
			in.Name, in.Type, v.Name, v.Type)
	}
	if col.Nullable && !v.Type.IsFloat() && v.Type != tensor.String {
		return col, refuse("the column %q allows missing values, and its graph input %q of type %s has none", in.Name, v.Name, v.Type)
	}
	if in.Unknown == bundle.UnknownRefuse {
		domain, err := domain(in)
		if err != nil {
			return col, err
		}
		col.Domain = domain
	}
	if in.Bounded() {
		limits, err := tensor.NewRange(in.Type, in.Minimum.Key(), in.Maximum.Key())
		if err != nil {
			return col, refuse("the column %q of the signature: %v", in.Name, err)
		}
		col.Range = limits
	}
	return col, nil
}

// fits reports whether every value of the logical type has a value in the
// graph's type: the same for strings and integers, a rounded one for floats,
// as numpy casts.
func fits(logical, graph tensor.Type) bool {
	switch {
	case logical == graph:
		return true
	case logical == tensor.String || graph == tensor.String || graph == tensor.Bool:
		return false
	case graph.IsFloat():
		return true
	case logical == tensor.Bool:
		return true // 0 and 1 fit every integer type
	case !logical.IsInteger():
		return false
	}
	signed := func(t tensor.Type) bool { return t <= tensor.Int64 }
	if signed(logical) == signed(graph) {
		return logical.Size() <= graph.Size()
	}
	return signed(graph) && logical.Size() < graph.Size()
}

// domain compiles the closed set of values that a column accepts.
func domain(in *bundle.Input) (*tensor.Domain, error) {
	d := &tensor.Domain{}
	for _, scalar := range in.Domain {
		switch v := scalar.Value().(type) {
		case string:
			put(&d.Strings, v)
		case json.Number:
			if in.Type.IsInteger() {
				n, err := integer(v.String())
				if err != nil {
					return nil, refuse("the domain of the column %q holds %s, which is no whole number of 64 bits", in.Name, v)
				}
				put(&d.Integers, n)
				continue
			}
			f, err := v.Float64()
			if err != nil {
				return nil, refuse("the domain of the column %q holds %s, which is no number", in.Name, v)
			}
			put(&d.Floats, f)
		case bool:
			put(&d.Integers, map[bool]int64{true: 1}[v])
		}
	}
	return d, nil
}

// integer reads a whole number as the bits that a frame holds: those of a
// uint64 beyond an int64 are the negative numbers of the same bits.
func integer(text string) (int64, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return int64(n), err
}

func put[K comparable](set *map[K]struct{}, k K) {
	if *set == nil {
		*set = map[K]struct{}{}
	}
	(*set)[k] = struct{}{}
}

// buffer compiles one graph input that n columns feed, and holds its shape
// against theirs.
func buffer(v *onnx.Value, columns []tensor.Column, g, n int) (tensor.Buffer, error) {
	b := tensor.Buffer{Name: v.Name, Type: v.Type, Width: n}
	want := []int64{int64(n)}
	for i := range columns {
		if columns[i].Buffer != g {
			continue
		}
		switch {
		case columns[i].Offset >= n, n > 1 && len(columns[i].Shape) > 0:
			return b, refuse("the column %q is at place %d of the graph input %q, which %d columns share", columns[i].Name, columns[i].Offset, v.Name, n)
		case n == 1 && len(columns[i].Shape) > 0:
			want = columns[i].Shape
			b.Width = width(columns[i])
		}
	}
	if !v.Ranked {
		return b, nil
	}
	shape := v.Shape()
	if len(shape) == 1 && n == 1 && len(want) == 1 && want[0] == 1 {
		b.Rank1 = true
		shape = append(shape, 1)
	}
	if len(shape) != len(want)+1 || shape[0] >= 0 {
		return b, refuse("the graph input %s needs an open first dimension and then %s", v, tensor.FormatShape(want))
	}
	for k, d := range want {
		if shape[k+1] >= 0 && d >= 0 && shape[k+1] != d {
			return b, refuse("the graph input %s does not fit the signature, which feeds %s to each row", v, tensor.FormatShape(want))
		}
	}
	return b, nil
}
