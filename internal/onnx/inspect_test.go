package onnx_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/onnx"
	"github.com/tenon-ml/tenon/internal/tensor"
)

func strs(values []onnx.Value) (out []string) {
	for i := range values {
		out = append(out, values[i].String())
	}
	return out
}

func TestInspectRealModels(t *testing.T) {
	for name, want := range map[string]struct {
		inputs, outputs []string
		ops             map[string]int
	}{
		"linear": {
			[]string{"X: float32[?,4]"},
			[]string{"variable: float32[?,1]"},
			map[string]int{"ai.onnx.ml:LinearRegressor": 1},
		},
		"iris_int": {
			[]string{"X: float32[?,4]"},
			[]string{"output_label: int64[?]", "output_probability: sequence(map(int64,float32))"},
			map[string]int{"ai.onnx.ml:LinearClassifier": 1, "ai.onnx.ml:Normalizer": 1, "Cast": 1, "ai.onnx.ml:ZipMap": 1},
		},
		"multi": {
			[]string{"X: float32[?,4]"},
			[]string{"label: int64[?,2]", "probabilities: sequence(float32)"},
			nil,
		},
		"subgraph": {
			[]string{"c: bool[]", "x: float32[?,3]"},
			[]string{"y: float32"},
			map[string]int{"If": 1, "Add": 1, "Identity": 1},
		},
		"function": {
			[]string{"x: float64[?,3]"},
			[]string{"y: float64[?,3]"},
			map[string]int{"mine:Square": 2, "Mul": 1, "Add": 1},
		},
		"external": {
			[]string{"x: float32[?,3]"},
			[]string{"y: float32[?,2]"},
			map[string]int{"MatMul": 1},
		},
	} {
		m, err := inspect(read(t, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !reflect.DeepEqual(strs(m.Inputs), want.inputs) || !reflect.DeepEqual(strs(m.Outputs), want.outputs) {
			t.Errorf("%s: %q → %q", name, strs(m.Inputs), strs(m.Outputs))
		}
		if want.ops != nil && !reflect.DeepEqual(m.OpTypes, want.ops) {
			t.Errorf("%s: %v", name, m.OpTypes)
		}
	}
}

func TestInspectDetails(t *testing.T) {
	m, err := inspect(read(t, "external"))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(m.ExternalData, []string{"weights.bin"}) || m.Initializers != 1 || m.IRVersion != 10 ||
		m.Opsets[""] != 20 || m.GraphName != "g" || m.Inputs[0].Dims[0] != (onnx.Dim{Value: -1, Param: "n"}) {
		t.Errorf("%+v", m)
	}
	m, err = inspect(read(t, "iris_str"))
	if err != nil {
		t.Fatal(err)
	}
	if m.Producer != "skl2onnx 1.20.0" || m.Opsets["ai.onnx.ml"] == 0 ||
		!reflect.DeepEqual(m.ZipMaps, []onnx.ZipMap{{
			Output: "output_probability", Tensor: "probabilities", Strings: []string{"setosa", "versicolor", "virginica"},
		}}) {
		t.Errorf("%+v", m)
	}
	m, err = inspect(read(t, "function"))
	if err != nil || m.Expanded != 4 || !reflect.DeepEqual(m.Functions, []string{"mine:Square"}) {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestInspectTypes(t *testing.T) {
	m, err := inspect(read(t, "types"))
	if err != nil {
		t.Fatal(err)
	}
	want := []tensor.Type{
		tensor.Float32, tensor.Uint8, tensor.Int8, tensor.Uint16, tensor.Int16, tensor.Int32, tensor.Int64, tensor.String,
		tensor.Bool, tensor.Float16, tensor.Float64, tensor.Uint32, tensor.Uint64, tensor.Invalid, tensor.Invalid, tensor.Invalid,
	}
	for i, typ := range want {
		if v := m.Inputs[i]; v.Type != typ || v.Kind != onnx.KindTensor || int(v.ElemType) != i+1 || !v.Ranked ||
			!reflect.DeepEqual(v.Shape(), []int64{-1, 2, -1}) {
			t.Errorf("%+v", v)
		}
	}
	rest := strs(m.Inputs[len(want):])
	if !reflect.DeepEqual(rest, []string{"scalar: float32[]", "unranked: float32", "sequence: sequence(float32)"}) {
		t.Errorf("%q", rest)
	}
	if v := m.Inputs[len(want)+1]; v.Ranked || v.Shape() != nil {
		t.Errorf("%+v", v)
	}
	sparse := message{}.str(1, "s").sub(2, message{}.sub(8, message{}.num(1, 1)))
	opaque := message{}.str(1, "o").sub(2, message{}.sub(7, message{}.str(1, "d")))
	option := message{}.str(1, "q").sub(2, message{}.sub(9, message{}.sub(1, message{}.sub(1, message{}.num(1, 11)))))
	m, err = inspect(model(relu(message{}.sub(11, sparse, opaque, option, message{}.str(1, "none")))))
	if err != nil || !reflect.DeepEqual(strs(m.Inputs), []string{
		"s: sparse tensor(float32)", "o: opaque", "q: optional(float64)", "none: unknown", "x: float32[?,4]",
	}) {
		t.Errorf("%q, %v", strs(m.Inputs), err)
	}
}

func TestInputsAreWithoutInitializers(t *testing.T) {
	w := weights("w", 1, "abcd", 1)
	for name, graph := range map[string]message{
		"initializer first": relu(message{}.sub(5, w).sub(11, value("w", 1, 1))),
		"initializer last":  relu(message{}.sub(11, value("w", 1, 1))).sub(5, w),
	} {
		m, err := inspect(model(graph))
		if err != nil || !reflect.DeepEqual(strs(m.Inputs), []string{"x: float32[?,4]"}) {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
}

func TestInspectAccepts(t *testing.T) {
	for name, data := range map[string][]byte{
		"repeated opset":   model(relu(), message{}.sub(8, message{}.num(2, 20)), message{}.sub(8, message{}.str(1, "ai.onnx").num(2, 20))),
		"unused opset":     model(relu(), message{}.sub(8, message{}.str(1, "pkg.torch").num(2, 1))),
		"unknown field":    model(relu(), message{}.num(99, 1).str(98, "later")),
		"other wire type":  model(relu(), message{}.num(7, 1)),
		"microsoft":        model(relu(message{}.sub(1, node("com.microsoft", "Gelu", "x", "z")))),
		"empty tensor":     model(relu(message{}.sub(5, weights("w", 1, "", 0)))),
		"packed dims":      model(relu(message{}.sub(5, message{}.str(1, "\x02\x02").num(2, 1).str(4, strings.Repeat("f", 16))))),
		"four-bit numbers": model(relu(message{}.sub(5, weights("w", 21, "ab", 3)))),
		"unpacked numbers": model(relu(message{}.sub(5, message{}.num(1, 2).num(2, 7).num(7, -1).num(7, 1)))),
		"strings":          model(relu(message{}.sub(5, message{}.num(1, 2).num(2, 8).str(6, "").str(6, "b")))),
		"negative dim":     model(relu(message{}.sub(11, value("z", 1, -5)))),
	} {
		if _, err := inspect(data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInspectRefuses(t *testing.T) {
	iris := read(t, "iris_int")
	nested := relu()
	for range 40 {
		nested = relu(message{}.sub(1, node("", "If", "c", "y", subgraph(nested))))
	}
	types := message{}.sub(1, message{}.num(1, 1))
	for range 12 {
		types = message{}.sub(4, message{}.sub(1, types))
	}
	long := strings.Repeat("n", 1<<17)
	for name, c := range map[string]struct {
		data             []byte
		code, path, says string
	}{
		"empty":             {nil, onnx.FindingJunk, "model", "empty"},
		"text":              {[]byte("hello, this is text"), onnx.FindingJunk, "model", ""},
		"zip":               {[]byte("PK\x03\x04 and so on"), onnx.FindingJunk, "model", ""},
		"zeros":             {make([]byte, 100), onnx.FindingJunk, "model", "no valid field"},
		"only unknown":      {message{}.str(99, "x"), onnx.FindingJunk, "model", "no graph"},
		"no graph":          {message{}.num(1, 10), onnx.FindingGraph, "model", "no graph"},
		"two graphs":        {model(relu(), message{}.sub(7, relu())), onnx.FindingGraph, "graph", "second"},
		"cut off":           {iris[:len(iris)-40], onnx.FindingTruncated, "model", "ends inside"},
		"cut in a tag":      {append(model(relu()), 0x80), onnx.FindingMalformed, "model", "no valid field"},
		"trailing text":     {append(model(relu()), "and more"...), onnx.FindingMalformed, "model", ""},
		"longer than graph": {model(append(relu(), 0x0a, 0x7f)), onnx.FindingMalformed, "graph", "longer than what holds it"},
		"group":             {append(model(relu()), 0x0b), onnx.FindingMalformed, "model", "groups"},
		"no opset":          {message{}.num(1, 10).sub(7, relu()), onnx.FindingOpset, "opset_import", "no operator set"},
		"two opsets":        {model(relu(), message{}.sub(8, message{}.num(2, 21))), onnx.FindingOpset, "opset_import", "20 and 21"},
		"no inputs":         {model(message{}.sub(12, value("y", 1))), onnx.FindingInputs, "graph.input", "no inputs"},
		"no outputs":        {model(message{}.sub(11, value("x", 1))), onnx.FindingOutputs, "graph.output", "no outputs"},
		"input twice":       {model(relu(message{}.sub(11, value("x", 1)))), onnx.FindingName, "graph.input[1]", `"x"`},
		"output no name":    {model(relu(message{}.sub(12, value("", 1)))), onnx.FindingName, "graph.output[0]", `""`},
		"weights twice": {
			model(relu(message{}.sub(5, weights("w", 1, "", 0), weights("w", 1, "", 0)))),
			onnx.FindingName, "graph.initializer[1]", `"w"`,
		},
		"custom domain": {model(relu(message{}.sub(1, node("my.ops", "Evil", "x", "z")))), onnx.FindingDomain, "graph.node[1]", "my.ops"},
		"custom domain below": {
			model(relu(message{}.sub(1, node("", "If", "c", "z", subgraph(relu(message{}.sub(1, node("my.ops", "E", "x", "z")))))))),
			onnx.FindingDomain, "graph.node[1].attribute[0].node[1]", "my.ops",
		},
		"custom domain in a function": {
			model(relu(), message{}.sub(25, function("F", node("my.ops", "E", "x", "z")))), onnx.FindingDomain, "functions[0].node[0]", "my.ops",
		},
		"undefined function": {
			model(relu(message{}.sub(1, node("mine", "G", "x", "z"))), message{}.sub(25, function("F"))), onnx.FindingDomain, "graph.node[1]", `"G"`,
		},
		"function twice":  {model(relu(), message{}.sub(25, function("F"), function("F"))), onnx.FindingName, "functions[1]", "twice"},
		"type twice":      {model(relu(message{}.sub(11, append(value("z", 1), value("z", 1)...).sub(2, message{}.sub(1, nil).sub(4, nil))))), onnx.FindingType, "graph.input[0]", "twice"},
		"deep types":      {model(relu(message{}.sub(11, message{}.sub(2, types)))), onnx.FindingLimit, "graph.input[0]", ""},
		"deep graphs":     {model(nested), onnx.FindingLimit, strings.TrimSuffix("graph."+strings.Repeat("node[1].attribute[0].", 33), "."), ""},
		"long name":       {model(relu(message{}.sub(1, node("", long, "x", "z")))), onnx.FindingLimit, "graph.node[1]", ""},
		"raw too short":   {model(relu(message{}.sub(5, weights("w", 1, "abcd", 2)))), onnx.FindingTensor, "graph.initializer[0]", "needs 8 bytes, but holds 4"},
		"dims lie":        {model(relu(message{}.sub(5, weights("w", 1, "abcd", 1<<40, 1<<40)))), onnx.FindingTensor, "graph.initializer[0]", "too large"},
		"dims negative":   {model(relu(message{}.sub(5, weights("w", 1, "abcd", -1)))), onnx.FindingTensor, "graph.initializer[0]", "negative"},
		"typed too short": {model(relu(message{}.sub(5, message{}.num(1, 1<<30).num(2, 7).num(7, 1)))), onnx.FindingTensor, "graph.initializer[0]", "too few"},
		"no data":         {model(relu(message{}.sub(5, message{}.num(1, 5).num(2, 1)))), onnx.FindingTensor, "graph.initializer[0]", "too few"},
		"strings too few": {model(relu(message{}.sub(5, message{}.num(1, 5).num(2, 8).str(6, "a")))), onnx.FindingTensor, "graph.initializer[0]", "too few"},
		"raw strings":     {model(relu(message{}.sub(5, weights("w", 8, "abcd", 4)))), onnx.FindingTensor, "graph.initializer[0]", "raw"},
		"element type":    {model(relu(message{}.sub(5, weights("w", 77, "abcd", 4)))), onnx.FindingTensor, "graph.initializer[0]", "77"},
		"packed cut":      {model(relu(message{}.sub(5, message{}.str(1, "\x80")))), onnx.FindingMalformed, "graph.initializer[0]", "packed"},
		"many dims":       {model(relu(message{}.sub(5, message{}.str(1, strings.Repeat("\x01", 100))))), onnx.FindingLimit, "graph.initializer[0]", ""},
		"sparse bomb":     {model(relu(message{}.sub(15, message{}.sub(1, weights("s", 1, "abcd", 1)).num(3, 1<<40)))), onnx.FindingTensor, "graph.sparse_initializer[0]", "dense"},
		"constant lies":   {model(relu(message{}.sub(1, node("", "Constant", "", "z", message{}.sub(5, weights("w", 1, "a", 9)))))), onnx.FindingTensor, "graph.node[1].attribute[0]", "36"},
		"training lies":   {model(relu(), message{}.sub(20, message{}.sub(2, relu(message{}.sub(5, weights("w", 1, "a", 9)))))), onnx.FindingTensor, "training_info[0].algorithm.initializer[0]", "36"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := inspect(c.data)
			if m != nil {
				t.Errorf("got a model: %+v", m)
			}
			refused(t, err, c.code, c.path, c.says)
		})
	}
}

func TestExternalDataAreFilesBesideTheModel(t *testing.T) {
	for _, name := range []string{
		"", ".", "..", "../w", "/etc/passwd", "a/b", `a\b`, "a\x00", "a\n", ".w", "*/_ORT_MEM_ADDR_/*", strings.Repeat("w", 201), "a\xff",
	} {
		_, err := inspect(model(relu(message{}.sub(5, external("w", name)))))
		refused(t, err, onnx.FindingExternal, "graph.initializer[0]", "beside the model")
	}
	m, err := inspect(model(relu(message{}.sub(5, external("w", "b.bin"), external("v", "a.bin"), external("u", "b.bin")))))
	if err != nil || !reflect.DeepEqual(m.ExternalData, []string{"a.bin", "b.bin"}) {
		t.Errorf("%v, %v", m, err)
	}
	for key, says := range map[string]string{"length": "has 7", "offset": ""} {
		entry := message{}.str(1, key).str(2, map[string]string{"length": "7", "offset": "-1"}[key])
		code := map[string]string{"length": onnx.FindingTensor, "offset": onnx.FindingExternal}[key]
		_, err := inspect(model(relu(message{}.sub(5, external("w", "b.bin").sub(13, entry)))))
		refused(t, err, code, "graph.initializer[0]", strings.TrimPrefix(says, "has 7"))
	}
	_, err = inspect(model(relu(message{}.sub(5, external("w", "a").sub(13, message{}.str(1, "location").str(2, "b"))))))
	refused(t, err, onnx.FindingExternal, "graph.initializer[0]", "twice")
}

func TestExpansionIsBounded(t *testing.T) {
	call := func(name string) message { return node("mine", name, "x", "z") }
	var functions message
	for i := range 20 { // each calls the next ten times: 10^20 nodes
		body := make([]message, 10)
		for k := range body {
			body[k] = call(string(rune('A' + i + 1)))
		}
		functions = functions.sub(25, function(string(rune('A'+i)), body...))
	}
	functions = functions.sub(25, function("U", node("", "Relu", "x", "z")))
	_, err := inspect(model(relu(message{}.sub(1, call("A"))), functions))
	refused(t, err, onnx.FindingLimit, "graph", "")

	_, err = inspect(model(relu(), message{}.sub(25, function("F", call("G")), function("G", call("F")))))
	if err != nil {
		t.Errorf("a recursive function that nobody calls: %v", err)
	}
	_, err = inspect(model(relu(message{}.sub(1, call("F"))), message{}.sub(25, function("F", call("G")), function("G", call("F")))))
	refused(t, err, onnx.FindingRecursion, "functions[0]", "calls itself")

	var chain message
	for i := range 100 {
		chain = chain.sub(25, function(strings.Repeat("f", i+1), call(strings.Repeat("f", i+2))))
	}
	chain = chain.sub(25, function(strings.Repeat("f", 101), node("", "Relu", "x", "z")))
	_, err = inspect(model(relu(message{}.sub(1, call("f"))), chain))
	if !fault.Is(err, fault.ModelRefused) || !strings.Contains(err.Error(), "levels") {
		t.Errorf("a chain of functions: %v", err)
	}
}

func TestLimits(t *testing.T) {
	big := relu(message{}.sub(1, node("", "Relu", "x", "a"), node("", "Relu", "x", "b"), node("", "Relu", "x", "c")),
		message{}.sub(11, value("x2", 1), value("x3", 1)))
	for what, limits := range map[string]onnx.Limits{
		"nodes": {Nodes: 3}, "strings and messages": {Items: 10}, "graph inputs": {Inputs: 2}, "names": {Names: 3}, "bytes of names": {Bytes: 8},
	} {
		data := model(big)
		_, err := onnx.Inspect(bytes.NewReader(data), int64(len(data)), limits)
		if !fault.Is(err, fault.ModelRefused) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestFindingsAreBounded(t *testing.T) {
	var graph message
	for range 100 {
		graph = graph.sub(5, weights("", 1, "a", 9))
	}
	_, err := inspect(model(relu(graph)))
	if f := fault.As(err); f == nil || len(f.Fields) != 20 {
		t.Errorf("%v", err)
	}
}

// TestEveryCut cuts real models at every byte: each is refused, none by panic.
func TestEveryCut(t *testing.T) {
	for _, name := range []string{"iris_str", "function", "subgraph", "external"} {
		data := read(t, name)
		for n := range data {
			if _, err := inspect(data[:n]); err != nil && !fault.Is(err, fault.ModelRefused) {
				t.Fatalf("%s cut at %d: %v", name, n, err)
			} else if err == nil && n < len(data)-40 {
				t.Fatalf("%s cut at %d of %d is accepted", name, n, len(data))
			}
		}
	}
}

// brokenDisk fails from a place on.
type brokenDisk struct {
	io.ReaderAt
	from int64
}

var errDisk = errors.New("input/output error")

func (d brokenDisk) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > d.from {
		return 0, errDisk
	}
	return d.ReaderAt.ReadAt(p, off)
}

func TestReadErrorsAreNoRefusals(t *testing.T) {
	data := read(t, "iris_int")
	_, err := onnx.Inspect(brokenDisk{bytes.NewReader(data), 100}, int64(len(data)), onnx.Limits{})
	if !errors.Is(err, errDisk) || fault.As(err) != nil {
		t.Errorf("%v", err)
	}
	_, err = onnx.Inspect(bytes.NewReader(data), int64(len(data))+1, onnx.Limits{})
	if !errors.Is(err, io.EOF) || fault.As(err) != nil {
		t.Errorf("a size that is not the file's: %v", err)
	}
}

// sparseFile is a model of 8 GB whose weights are not there: reading them
// would be seen.
type sparseFile struct {
	head, tail []byte
	size       int64
	read       int64
}

func (s *sparseFile) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	s.read += int64(len(p))
	if off < int64(len(s.head)) {
		copy(p, s.head[off:])
	}
	if from := s.size - int64(len(s.tail)); off+int64(len(p)) > from {
		copy(p[max(0, from-off):], s.tail[max(0, off-from):])
	}
	return len(p), nil
}

func TestWeightsAreNotRead(t *testing.T) {
	const raw = 8 << 30
	varint := func(n int64) string { return string(message{}.num(1, n)[1:]) }
	tensor := string(message{}.num(1, raw/4).num(2, 1).str(8, "w")) + "\x4a" + varint(raw)
	field := "\x2a" + varint(int64(len(tensor))+raw)
	tail := string(message{}.sub(11, value("x", 1, -1, 4)).sub(12, value("y", 1, -1, 4)))
	graph := "\x3a" + varint(int64(len(field)+len(tensor)+len(tail))+raw)
	head := string(message{}.num(1, 10).sub(8, message{}.num(2, 20))) + graph + field + tensor
	file := &sparseFile{head: []byte(head), tail: []byte(tail), size: int64(len(head)+len(tail)) + raw}
	m, err := onnx.Inspect(file, file.size, onnx.Limits{})
	if err != nil || m.Initializers != 1 || len(m.Inputs) != 1 {
		t.Fatalf("%+v, %v", m, err)
	}
	if file.read > 1<<20 {
		t.Errorf("%d bytes were read", file.read)
	}
}
