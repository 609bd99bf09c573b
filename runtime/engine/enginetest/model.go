package enginetest

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
)

// The versions that the kit writes.
const (
	irVersion = 10
	opset     = 20
	opsetML   = 5
)

// Model is a graph to be written.
type Model struct {
	Inputs       []engine.Port
	Outputs      []engine.Port
	Nodes        []Node
	Initializers []Initializer
	Opset        int64 // of the standard operators; 0: the one that the kit writes
}

// Node is one operator; Domain is empty for the standard ones.
type Node struct {
	Domain, Op      string
	Inputs, Outputs []string
	Attributes      []Attribute
}

// Initializer is a stored tensor: fixed-size elements only. Where File is set,
// the elements lie in that file beside the model, which the test writes.
type Initializer struct {
	Name   string
	Values *tensor.Tensor
	File   string
}

// Attribute is one encoded attribute of a node.
type Attribute []byte

// Graph returns the model as an engine loads it, from memory.
func (m Model) Graph() engine.Graph {
	return engine.Graph{Model: m.Bytes(), Inputs: m.Inputs, Outputs: m.Outputs}
}

// Bytes returns the model as a file holds it.
func (m Model) Bytes() []byte {
	standard := m.Opset
	if standard == 0 {
		standard = opset
	}
	return message{}.num(1, irVersion).
		sub(8, message{}.num(2, standard)).
		sub(8, message{}.str(1, "ai.onnx.ml").num(2, opsetML)).
		sub(7, m.graph())
}

func (m Model) graph() message {
	var g message
	for _, n := range m.Nodes {
		g = g.sub(1, n.encode())
	}
	g = g.str(2, "g")
	for _, i := range m.Initializers {
		g = g.sub(5, i.encode())
	}
	for _, p := range m.Inputs {
		g = g.sub(11, value(p))
	}
	for _, p := range m.Outputs {
		g = g.sub(12, value(p))
	}
	return g
}

// Op is a node of the standard domain without attributes.
func Op(op string, inputs []string, outputs ...string) Node {
	return Node{Op: op, Inputs: inputs, Outputs: outputs}
}

// Int is an integer attribute.
func Int(name string, v int64) Attribute {
	return Attribute(message{}.str(1, name).num(3, v).num(20, 2))
}

// Text is a string attribute.
func Text(name, v string) Attribute {
	return Attribute(message{}.str(1, name).str(4, v).num(20, 3))
}

// Texts is a list of strings.
func Texts(name string, values ...string) Attribute {
	m := message{}.str(1, name)
	for _, v := range values {
		m = m.str(9, v)
	}
	return Attribute(m.num(20, 8))
}

// Body is a graph inside a node.
func Body(name string, body Model) Attribute {
	return Attribute(message{}.str(1, name).sub(6, body.graph()).num(20, 5))
}

// Port describes an input or output of known rank. A dimension is an int, -1
// where it is open, or the name of an open one.
func Port(name string, t tensor.Type, dims ...any) engine.Port {
	p := engine.Port{Name: name, Type: t, Ranked: true}
	for _, d := range dims {
		switch d := d.(type) {
		case int:
			p.Dims = append(p.Dims, engine.Dim{Size: int64(d)})
		case string:
			p.Dims = append(p.Dims, engine.Dim{Size: -1, Symbol: d})
		}
	}
	return p
}

// Unranked describes an input or output whose rank the graph leaves open.
func Unranked(name string, t tensor.Type) engine.Port { return engine.Port{Name: name, Type: t} }

// Identity is a model whose outputs y0, y1… are its inputs x0, x1…, with the
// given types and all of the same dimensions.
func Identity(types []tensor.Type, dims ...any) Model {
	var m Model
	for i, t := range types {
		in, out := numbered("x", i), numbered("y", i)
		m.Inputs = append(m.Inputs, Port(in, t, dims...))
		m.Outputs = append(m.Outputs, Port(out, t, dims...))
		m.Nodes = append(m.Nodes, Op("Identity", []string{in}, out))
	}
	return m
}

func numbered(name string, i int) string { return name + string(rune('0'+i)) }

// Loop is a model that answers with its input x, float32[N], once the input go
// is false. As long as it is true, which its body never changes, the run goes
// on without end.
func Loop() Model {
	body := Model{
		Inputs: []engine.Port{
			Port("i", tensor.Int64), Port("go_in", tensor.Bool), Port("s_in", tensor.Float32, "N"),
		},
		Outputs: []engine.Port{Port("go_out", tensor.Bool), Port("s_out", tensor.Float32, "N")},
		Nodes: []Node{
			Op("Identity", []string{"go_in"}, "go_out"), Op("Identity", []string{"s_in"}, "s_out"),
		},
	}
	loop := Op("Loop", []string{"", "go0", "x"}, "y")
	loop.Attributes = []Attribute{Body("body", body)}
	return Model{
		Inputs:       []engine.Port{Port("x", tensor.Float32, "N"), Port("go", tensor.Bool, 1)},
		Outputs:      []engine.Port{Port("y", tensor.Float32, "N")},
		Nodes:        []Node{Op("Squeeze", []string{"go", "axes"}, "go0"), loop},
		Initializers: []Initializer{{Name: "axes", Values: tensor.From(tensor.Int64, []int64{0}, 1)}},
	}
}

// message is a protobuf message made by hand, field by field.
type message []byte

func (m message) num(n protowire.Number, v int64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, n, protowire.VarintType), uint64(v))
}

func (m message) str(n protowire.Number, s string) message {
	return protowire.AppendString(protowire.AppendTag(m, n, protowire.BytesType), s)
}

func (m message) sub(n protowire.Number, sub message) message { return m.str(n, string(sub)) }

func (n Node) encode() message {
	var m message
	for _, name := range n.Inputs {
		m = m.str(1, name)
	}
	for _, name := range n.Outputs {
		m = m.str(2, name)
	}
	m = m.str(4, n.Op)
	for _, a := range n.Attributes {
		m = m.sub(5, message(a))
	}
	return m.str(7, n.Domain)
}

func (i Initializer) encode() message {
	var m message
	for _, d := range i.Values.Shape {
		m = m.num(1, d)
	}
	m = m.num(2, elements[i.Values.Type]).str(8, i.Name)
	if i.File == "" {
		return m.str(9, string(i.Values.Data))
	}
	return m.sub(13, message{}.str(1, "location").str(2, i.File)).num(14, 1)
}

// elements are the numbers of TensorProto.DataType.
var elements = map[tensor.Type]int64{
	tensor.Float32: 1, tensor.Uint8: 2, tensor.Int8: 3, tensor.Uint16: 4, tensor.Int16: 5, tensor.Int32: 6,
	tensor.Int64: 7, tensor.String: 8, tensor.Bool: 9, tensor.Float16: 10, tensor.Float64: 11,
	tensor.Uint32: 12, tensor.Uint64: 13,
}

// value is a ValueInfoProto.
func value(p engine.Port) message {
	t := message{}.num(1, elements[p.Type])
	if p.Ranked {
		var shape message
		for _, d := range p.Dims {
			var dim message
			switch {
			case d.Size >= 0:
				dim = dim.num(1, d.Size)
			case d.Symbol != "":
				dim = dim.str(2, d.Symbol)
			}
			shape = shape.sub(1, dim)
		}
		t = t.sub(2, shape)
	}
	return message{}.str(1, p.Name).sub(2, message{}.sub(1, t))
}
