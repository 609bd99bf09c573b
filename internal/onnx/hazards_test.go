package onnx_test

import (
	"encoding/binary"
	"slices"
	"testing"
)

// divided is a graph with inputs x and z of a type, whose nodes come before the
// output.
func divided(elem int64, nodes ...message) message {
	g := message{}.sub(1, nodes...)
	return g.sub(11, value("x", elem, -1), value("z", elem, -1)).sub(12, value("y", elem, -1))
}

func int64s(values ...int64) string {
	var raw []byte
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	return string(raw)
}

// TestHazards: which Div can end the process. What is unknown is one.
func TestHazards(t *testing.T) {
	const float, int32s, longs = 1, 6, 7
	to := func(elem int64) message { return message{}.str(1, "to").num(3, elem) }
	constant := func(name string, values ...int64) message {
		tensor := weights("", longs, int64s(values...), int64(len(values)))
		return node("", "Constant", "", name, message{}.str(1, "value").sub(5, tensor))
	}
	for name, c := range map[string]struct {
		graph  message
		hazard bool
	}{
		"floats":                 {divided(float, node("", "Div", "x z", "y")), false},
		"int32":                  {divided(int32s, node("", "Div", "x z", "y")), true},
		"int64":                  {divided(longs, node("", "Div", "x z", "y")), true},
		"by a stored number":     {divided(longs, node("", "Div", "x c", "y")).sub(5, weights("c", longs, int64s(2), 1)), false},
		"by a stored -1":         {divided(longs, node("", "Div", "x c", "y")).sub(5, weights("c", longs, int64s(4, -1), 2)), true},
		"by a constant":          {divided(longs, constant("c", 2), node("", "Div", "x c", "y")), false},
		"by a constant -1":       {divided(longs, constant("c", -1), node("", "Div", "x c", "y")), true},
		"a stored number by it":  {divided(longs, node("", "Div", "c x", "y")).sub(5, weights("c", longs, int64s(2), 1)), true},
		"cast to floats":         {divided(longs, node("", "Cast", "x", "f", to(float)), node("", "Div", "f f", "g"), node("", "Cast", "g", "y", to(longs))), false},
		"cast to integers":       {divided(float, node("", "Cast", "x", "i", to(longs)), node("", "Div", "i i", "g"), node("", "Cast", "g", "y", to(float))), true},
		"kept through operators": {divided(float, node("", "Relu", "x", "a"), node("", "MatMul", "a z", "b"), node("", "Div", "b unknown", "y")), false},
		"of shapes":              {divided(float, node("", "Shape", "x", "s"), node("", "Div", "s s", "y")), true},
		"of trees":               {divided(11, node("ai.onnx.ml", "TreeEnsemble", "x", "t"), node("", "Div", "t t", "y")), false},
		"unknown":                {divided(float, node("", "NonMaxSuppression", "x", "a"), node("", "Div", "a a", "y")), true},
		"of another domain":      {divided(longs, node("com.microsoft", "Div", "x z", "y")), false},
		"in a branch": {divided(longs, node("", "If", "x", "y",
			subgraph(message{}.sub(1, node("", "Div", "x z", "b")).sub(12, value("b", longs, -1))))), true},
		"none": {relu(), false},
	} {
		m, err := inspect(model(c.graph))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := slices.Equal(m.Hazards, []string{"Div"}); got != c.hazard || len(m.Hazards) > 1 {
			t.Errorf("%s: %v", name, m.Hazards)
		}
	}
	body := function("F", node("", "Div", "a b", "c"))
	m, err := inspect(model(divided(float, node("mine", "F", "x z", "y")), message{}.sub(25, body), message{}.sub(8, message{}.str(1, "mine").num(2, 1))))
	if err != nil || len(m.Hazards) != 1 {
		t.Errorf("in a function: %+v, %v", m, err)
	}
}
