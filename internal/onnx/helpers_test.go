package onnx_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/onnx"
)

// message is a protobuf message made by hand, field by field.
type message []byte

func (m message) num(n protowire.Number, v int64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, n, protowire.VarintType), uint64(v))
}

func (m message) str(n protowire.Number, s string) message {
	return protowire.AppendString(protowire.AppendTag(m, n, protowire.BytesType), s)
}

func (m message) sub(n protowire.Number, subs ...message) message {
	for _, s := range subs {
		m = m.str(n, string(s))
	}
	return m
}

// value is a ValueInfoProto of a tensor; a dimension of -1 is unknown.
func value(name string, elem int64, dims ...int64) message {
	var shape message
	for _, d := range dims {
		var dim message
		if d >= 0 {
			dim = dim.num(1, d)
		}
		shape = shape.sub(1, dim)
	}
	tensor := message{}.num(1, elem).sub(2, shape)
	return message{}.str(1, name).sub(2, message{}.sub(1, tensor))
}

// node is a NodeProto; inputs and outputs are separated by spaces.
func node(domain, op, inputs, outputs string, attributes ...message) message {
	var m message
	for _, name := range strings.Fields(inputs) {
		m = m.str(1, name)
	}
	for _, name := range strings.Fields(outputs) {
		m = m.str(2, name)
	}
	return m.str(4, op).sub(5, attributes...).str(7, domain)
}

// weights is a TensorProto with raw data.
func weights(name string, elem int64, raw string, dims ...int64) message {
	var m message
	for _, d := range dims {
		m = m.num(1, d)
	}
	return m.num(2, elem).str(8, name).str(9, raw)
}

// external is a TensorProto whose data lie elsewhere.
func external(name, location string) message {
	entry := message{}.str(1, "location").str(2, location)
	return message{}.num(1, 1).num(2, 1).str(8, name).sub(13, entry).num(14, 1)
}

// subgraph is an attribute that holds a graph.
func subgraph(graph message) message { return message{}.str(1, "body").sub(6, graph) }

// relu is a graph x → y with further fields in front.
func relu(more ...message) message {
	g := message{}.sub(1, node("", "Relu", "x", "y"))
	for _, m := range more {
		g = append(g, m...)
	}
	return g.sub(11, value("x", 1, -1, 4)).sub(12, value("y", 1, -1, 4))
}

// model wraps a graph; further fields follow it.
func model(graph message, more ...message) []byte {
	m := message{}.num(1, 10).sub(8, message{}.num(2, 20)).sub(7, graph)
	for _, f := range more {
		m = append(m, f...)
	}
	return m
}

// function is a FunctionProto of the domain "mine".
func function(name string, nodes ...message) message {
	return message{}.str(1, name).sub(7, nodes...).str(10, "mine")
}

func inspect(data []byte) (*onnx.Model, error) {
	return onnx.Inspect(bytes.NewReader(data), int64(len(data)), onnx.Limits{})
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// refused checks that err is a refusal with this finding code, at this place.
func refused(t testing.TB, err error, code, path, says string) {
	t.Helper()
	f := fault.As(err)
	if f == nil || f.Kind != fault.Unprocessable || f.Code != fault.ModelRefused {
		t.Errorf("got %v, want a fault of code %s", err, fault.ModelRefused)
		return
	}
	for _, found := range f.Fields {
		if found.Code == code && found.Path == path && strings.Contains(found.Detail, says) {
			return
		}
	}
	t.Errorf("no finding %s at %s that says %q in %v (%+v)", code, path, says, err, f.Fields)
}
