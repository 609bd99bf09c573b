package onnx

import (
	"encoding/binary"
	"slices"
	"strings"
)

// Elements that the hazards ask about, of TensorProto.DataType.
const (
	elemFloat, elemInt32, elemInt64, elemBool = 1, 6, 7, 9
)

// hazards looks for nodes that can end the process on an input that the graph
// takes. There is one kind (docs/isolation.md has the sources): Div of int32 or
// int64, where the least number is divided by -1. A divisor that is stored in the
// model and is never -1 is safe, and so are floats.
//
// Types are followed from inputs, initializers and value_info through the
// operators that keep them; a Div whose type stays unknown is a hazard, because
// taking a process of its own costs microseconds and dying costs the server.
type hazards struct {
	w     *walker
	elem  map[string]int32 // of a tensor by its name
	safe  map[string]bool  // stored integers without -1
	found map[string]bool
}

// findHazards names the operators of the model that can end the process, sorted.
func (w *walker) findHazards() ([]string, error) {
	if w.model.OpTypes["Div"] == 0 {
		return nil, nil
	}
	h := &hazards{w: newWalker(w.win, w.limits), elem: map[string]int32{}, safe: map[string]bool{}, found: map[string]bool{}}
	h.graph(w.graph.body, root.in("graph"))
	for _, body := range w.bodies {
		if body.calls[callKey("", "Div", "")] != nil {
			h.found["Div"] = true // a function's parameters have no types
		}
	}
	names := make([]string, 0, len(h.found))
	for name := range h.found {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, h.w.err
}

// graph learns what the graph declares, then follows its nodes.
func (h *hazards) graph(s span, at *place) {
	for f := range h.w.fields(s, at) {
		switch f.key {
		case graphInitializer:
			h.stored(f.body, at, "")
		case graphInput, graphOutput, graphValue:
			if v := h.w.value(f.body, at); v.Kind == KindTensor {
				h.elem[v.Name] = v.ElemType
			}
		}
	}
	for f := range h.w.fields(s, at) {
		if f.key == graphNode {
			h.node(f.body, at)
		}
	}
}

// operation is what the hazards need of a node.
type operation struct {
	op, domain      string
	inputs, outputs []string
	to              int32
	value           span // of the attribute's tensor
}

func (h *hazards) node(s span, at *place) {
	var o operation
	for f := range h.w.fields(s, at) {
		switch f.key {
		case nodeInput:
			o.inputs = append(o.inputs, h.w.name(f, at))
		case nodeOutput:
			o.outputs = append(o.outputs, h.w.name(f, at))
		case nodeOp:
			o.op = h.w.intern(f, at)
		case nodeDomain:
			o.domain = h.w.intern(f, at)
		case nodeAttribute:
			h.attribute(f.body, at, &o)
		}
	}
	if o.op == "Div" && standard(o.domain) && len(o.inputs) == 2 && !h.harmless(o.inputs) {
		h.found["Div"] = true
	}
	if len(o.outputs) == 0 {
		return
	}
	if o.op == "Constant" && standard(o.domain) && o.value.len() > 0 {
		h.stored(o.value, at, o.outputs[0])
		return
	}
	if elem, ok := h.result(&o); ok {
		if _, declared := h.elem[o.outputs[0]]; !declared {
			h.elem[o.outputs[0]] = elem
		}
	}
}

func (h *hazards) attribute(s span, at *place, o *operation) {
	var name string
	for f := range h.w.fields(s, at) {
		switch f.key {
		case attributeName:
			name = h.w.intern(f, at)
		case attributeInt:
			if name == "to" {
				o.to = int32(f.int())
			}
		case attributeTensor:
			o.value = f.body
		case attributeGraph, attributeGraphs:
			h.graph(f.body, at)
		}
	}
}

// harmless reports whether a Div of these two cannot end the process.
func (h *hazards) harmless(inputs []string) bool {
	if h.safe[inputs[1]] {
		return true
	}
	for _, name := range inputs {
		if elem, known := h.elem[name]; known {
			return elem != elemInt32 && elem != elemInt64
		}
	}
	return false
}

// keeping are operators whose first output has the type of an input: of any
// ("*"), or of the one at that place.
var keeping = func() map[string]string {
	out := map[string]string{}
	for places, ops := range map[string]string{
		"*": "Add Sub Mul Div Max Min Sum Mean Concat MatMul Gemm Mod PRelu Einsum",
		"1": "Where",
		"0": "Abs Acos Asin Atan Ceil Clip Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid Identity LeakyRelu Log LogSoftmax Neg " +
			"Pow Reciprocal Relu Round Selu Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Tan Tanh ThresholdedRelu " +
			"ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare CumSum " +
			"Reshape Transpose Squeeze Unsqueeze Flatten Expand Tile Slice Split Gather GatherElements GatherND ScatterElements ScatterND " +
			"Pad Resize Upsample DepthToSpace SpaceToDepth ReverseSequence Compress Unique TopK Trilu " +
			"Conv ConvTranspose AveragePool MaxPool GlobalAveragePool GlobalMaxPool LpPool " +
			"BatchNormalization InstanceNormalization LayerNormalization GroupNormalization LpNormalization LRN Dropout " +
			"LSTM GRU RNN GridSample RoiAlign Hardmax MeanVarianceNormalization Range ai.onnx.ml:TreeEnsemble",
	} {
		for _, op := range strings.Fields(ops) {
			out[op] = places
		}
	}
	return out
}()

// making are operators whose first output has one type, whatever goes in.
var making = map[string]int32{
	"Shape": elemInt64, "Size": elemInt64, "NonZero": elemInt64, "ArgMax": elemInt64, "ArgMin": elemInt64,
	"Equal": elemBool, "Less": elemBool, "LessOrEqual": elemBool, "Greater": elemBool, "GreaterOrEqual": elemBool,
	"And": elemBool, "Or": elemBool, "Not": elemBool, "Xor": elemBool, "IsNaN": elemBool, "IsInf": elemBool,
	"ai.onnx.ml:Scaler": elemFloat, "ai.onnx.ml:Normalizer": elemFloat, "ai.onnx.ml:LinearRegressor": elemFloat,
	"ai.onnx.ml:TreeEnsembleRegressor": elemFloat, "ai.onnx.ml:SVMRegressor": elemFloat,
}

// result is the type of the first output, where it is known.
func (h *hazards) result(o *operation) (int32, bool) {
	key := opKey(o.domain, o.op)
	if key == "Cast" {
		return o.to, true
	}
	if elem, ok := making[key]; ok {
		return elem, true
	}
	from := o.inputs
	switch keeping[key] {
	case "*":
	case "0":
		from = from[:min(len(from), 1)]
	case "1":
		from = from[min(len(from), 1):]
	default:
		return 0, false
	}
	for _, name := range from {
		if elem, ok := h.elem[name]; ok {
			return elem, true
		}
	}
	return 0, false
}

// stored learns the type of a stored tensor, and whether it is integers without
// a -1. A constant has the name of its node's output.
func (h *hazards) stored(s span, at *place, name string) {
	var elem int32
	safe, any := true, false
	for f := range h.w.fields(s, at) {
		switch f.key {
		case tensorName:
			if name == "" {
				name = h.w.name(f, at)
			}
		case tensorType:
			elem = int32(f.int())
		case tensorInts, tensorIntsPacked, tensorLongs, tensorLongsPacked:
			for v := range h.w.numbers(f, at) {
				any, safe = true, safe && v != -1
			}
		case tensorRaw:
			any, safe = true, safe && h.rawSafe(f.body)
		case tensorExternal:
			safe = false
		}
	}
	h.elem[name] = elem
	h.safe[name] = safe && any && (elem == elemInt32 || elem == elemInt64)
}

// rawSafe reports whether raw integers hold no -1. Those that are not short are
// no divisors that anybody writes, and are not read.
func (h *hazards) rawSafe(s span) bool {
	const most = 4096
	if s.len() > most {
		return false
	}
	data := h.w.win.at(s.start, int(s.len()))
	for ; len(data) >= 4; data = data[4:] {
		// -1 is all ones, whatever its width; half of an int64 may be, too, which
		// only costs a process.
		if binary.LittleEndian.Uint32(data) == 0xffffffff {
			return false
		}
	}
	return true
}
