package onnx

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tenon-ml/tenon/internal/tensor"
)

// Model is what a walk learns of a model file.
type Model struct {
	IRVersion int64
	Opsets    map[string]int64 // by domain; "" is the standard one
	Producer  string           // "skl2onnx 1.20.0"
	GraphName string
	Inputs    []Value // those to be fed: graph inputs that are not initializers
	Outputs   []Value
	// Nodes counts the nodes as written, those of subgraphs and functions
	// among them; Expanded counts after every call of a function in the model
	// is replaced by its body.
	Nodes    int64
	Expanded int64
	// OpTypes counts nodes by operator: "Gemm", and with its domain where
	// that is not the standard one, "ai.onnx.ml:ZipMap".
	OpTypes map[string]int
	// Functions are the "domain:name" of the functions that the model defines.
	Functions []string
	// ExternalData names the files beside the model that hold weights, sorted.
	ExternalData []string
	// ZipMaps are the ZipMap nodes of the main graph; see StripZipMap.
	ZipMaps []ZipMap
	// Hazards are the operators of the model that can end the process which runs
	// them, on inputs that the graph takes; sorted.
	Hazards []string
	// Initializers counts the tensors stored in the file or beside it.
	Initializers int64
}

// ValueKind is the kind of a graph input or output.
type ValueKind uint8

// The kinds of values. Only tensors can be served.
const (
	KindUnknown ValueKind = iota // no type given
	KindTensor
	KindSequence
	KindMap
	KindOptional
	KindSparse
	KindOpaque
)

// String names the kind as TypeName does.
func (k ValueKind) String() string {
	return [...]string{"unknown", "tensor", "sequence", "map", "optional", "sparse tensor", "opaque"}[k]
}

// Value is a graph input or output.
type Value struct {
	Name     string
	Kind     ValueKind
	Type     tensor.Type // Invalid for elements that JSON cannot carry, and for other kinds than tensors
	ElemType int32       // the raw TensorProto.DataType of a tensor
	TypeName string      // for people: "float32", "bfloat16", "sequence(map(int64,float32))"
	Dims     []Dim       // of a tensor of known rank
	Ranked   bool        // whether the rank is known
}

// Dim is one dimension: a number, or -1 and perhaps a name.
type Dim struct {
	Value int64 // -1 where it is not known
	Param string
}

// Shape returns the dimensions as numbers, -1 where one is not known; nil where
// even the rank is not known.
func (v *Value) Shape() []int64 {
	if !v.Ranked {
		return nil
	}
	shape := make([]int64, len(v.Dims))
	for i, d := range v.Dims {
		shape[i] = d.Value
	}
	return shape
}

// String describes the value for messages: "X: float32[?,4]".
func (v *Value) String() string {
	if !v.Ranked {
		return v.Name + ": " + v.TypeName
	}
	return v.Name + ": " + v.TypeName + tensor.FormatShape(v.Shape())
}

// ZipMap is a node that turns a tensor of scores into a list of dictionaries,
// which no client can read as a tensor.
type ZipMap struct {
	Output  string   // what the node makes
	Tensor  string   // the scores: one row a record, one column a class
	Strings []string // the classes, where they are strings
	Ints    []int64  // the classes, where they are integers
}

// Classes is the number of classes.
func (z *ZipMap) Classes() int { return max(len(z.Strings), len(z.Ints)) }

// Limits bound what a model may hold. A field that is zero takes the default.
type Limits struct {
	Nodes   int64 // after functions are expanded
	Depth   int   // graphs inside graphs, functions inside functions
	Items   int64 // strings and messages of any kind in the file
	Inputs  int   // graph inputs, and outputs
	Names   int   // initializers, and other names that are kept
	Name    int   // bytes of one name
	Bytes   int64 // bytes of all names that are kept
	Classes int   // classes of one ZipMap
}

// DefaultLimits are far above what trained models hold (a large transformer
// has some 10,000 nodes) and far below what exhausts memory.
var DefaultLimits = Limits{
	Nodes:   1_000_000,
	Depth:   32,
	Items:   64_000_000, // a forest in the old form has one string a node
	Inputs:  10_000,
	Names:   1_000_000,
	Name:    64 << 10,
	Bytes:   64 << 20,
	Classes: 100_000,
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits
	or(&l.Nodes, d.Nodes)
	or(&l.Depth, d.Depth)
	or(&l.Items, d.Items)
	or(&l.Inputs, d.Inputs)
	or(&l.Names, d.Names)
	or(&l.Name, d.Name)
	or(&l.Bytes, d.Bytes)
	or(&l.Classes, d.Classes)
	return l
}

func or[T int | int64](limit *T, otherwise T) {
	if *limit <= 0 {
		*limit = otherwise
	}
}

// elements describes TensorProto.DataType: name, bits of an element, and our
// type where JSON can carry it.
var elements = [...]struct {
	name string
	bits int64
	typ  tensor.Type
}{
	0: {name: "undefined"},
	1: {"float32", 32, tensor.Float32}, 2: {"uint8", 8, tensor.Uint8}, 3: {"int8", 8, tensor.Int8},
	4: {"uint16", 16, tensor.Uint16}, 5: {"int16", 16, tensor.Int16}, 6: {"int32", 32, tensor.Int32},
	7: {"int64", 64, tensor.Int64}, 8: {"string", 0, tensor.String}, 9: {"bool", 8, tensor.Bool},
	10: {"float16", 16, tensor.Float16}, 11: {"float64", 64, tensor.Float64}, 12: {"uint32", 32, tensor.Uint32},
	13: {"uint64", 64, tensor.Uint64}, 14: {name: "complex64", bits: 64}, 15: {name: "complex128", bits: 128},
	16: {name: "bfloat16", bits: 16}, 17: {name: "float8e4m3fn", bits: 8}, 18: {name: "float8e4m3fnuz", bits: 8},
	19: {name: "float8e5m2", bits: 8}, 20: {name: "float8e5m2fnuz", bits: 8}, 21: {name: "uint4", bits: 4},
	22: {name: "int4", bits: 4}, 23: {name: "float4e2m1", bits: 4}, 24: {name: "float8e8m0", bits: 8},
	25: {name: "uint2", bits: 2}, 26: {name: "int2", bits: 2},
}

// elementType returns our type of a raw element type and its name.
func elementType(raw int32) (tensor.Type, string) {
	if raw < 0 || int(raw) >= len(elements) {
		return tensor.Invalid, "unknown"
	}
	return elements[raw].typ, elements[raw].name
}

// opKey is a node's key in OpTypes.
func opKey(domain, op string) string {
	if standard(domain) {
		return op
	}
	return domain + ":" + op
}

func standard(domain string) bool { return domain == "" || domain == "ai.onnx" }

// plainFile reports whether an external data location is a file name and
// nothing else: ONNX Runtime looks for it beside the model.
func plainFile(name string) bool {
	odd := func(r rune) bool { return r == '/' || r == '\\' || unicode.IsControl(r) || r == utf8.RuneError }
	return name != "" && len(name) <= 200 && name[0] != '.' && !strings.ContainsFunc(name, odd)
}
