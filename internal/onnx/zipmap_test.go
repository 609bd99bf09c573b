package onnx_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/onnx"
)

func strip(t *testing.T, data []byte) *onnx.Rewrite {
	t.Helper()
	w, err := onnx.StripZipMap(bytes.NewReader(data), int64(len(data)), onnx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestStripZipMap(t *testing.T) {
	for name, want := range map[string]struct {
		label    string
		replaced onnx.ZipMap
	}{
		"iris_int": {"output_label: int64[?]", onnx.ZipMap{Output: "output_probability", Tensor: "probabilities", Ints: []int64{0, 1, 2}}},
		"iris_str": {"output_label: string[?]", onnx.ZipMap{
			Output: "output_probability", Tensor: "probabilities", Strings: []string{"setosa", "versicolor", "virginica"},
		}},
	} {
		data := read(t, name)
		w := strip(t, data)
		if w == nil || !reflect.DeepEqual(w.Replaced, []onnx.ZipMap{want.replaced}) || w.Replaced[0].Classes() != 3 {
			t.Fatalf("%s: %+v", name, w)
		}
		m, err := onnx.Inspect(w, w.Size, onnx.Limits{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := strs(m.Outputs); !reflect.DeepEqual(got, []string{want.label, "probabilities: float32[?,3]"}) {
			t.Errorf("%s: outputs %q", name, got)
		}
		before, _ := inspect(data)
		if m.OpTypes["ai.onnx.ml:ZipMap"] != 0 || len(m.ZipMaps) != 0 || m.Nodes != before.Nodes-1 ||
			!reflect.DeepEqual(m.Inputs, before.Inputs) || !reflect.DeepEqual(m.Opsets, before.Opsets) {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestRewriteReadsLikeAFile(t *testing.T) {
	w := strip(t, read(t, "iris_str"))
	whole, err := w.Bytes()
	if err != nil || int64(len(whole)) != w.Size {
		t.Fatalf("%d bytes of %d, %v", len(whole), w.Size, err)
	}
	for off := int64(0); off <= w.Size; off++ {
		for _, n := range []int64{1, 7, 100} {
			p := make([]byte, n)
			got, err := w.ReadAt(p, off)
			want := whole[off:min(off+n, w.Size)]
			if short := int64(len(want)) < n; !bytes.Equal(p[:got], want) || (err != nil) != short || errors.Is(err, io.EOF) != short {
				t.Fatalf("ReadAt(%d, %d) = %d, %v", n, off, got, err)
			}
		}
	}
	if _, err := w.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("a negative offset is read")
	}
}

// zipped is a graph whose ZipMap turns s into the output p; fields follow.
func zipped(class message, more ...message) []byte {
	g := message{}.sub(1, node("", "Relu", "x", "s"), node("ai.onnx.ml", "ZipMap", "s", "p", class)).sub(11, value("x", 1, -1, 2))
	for _, m := range more {
		g = append(g, m...)
	}
	return model(g.sub(12, message{}.str(1, "p")), message{}.str(99, "what follows the graph"))
}

func TestStripZipMapByHand(t *testing.T) {
	ints := message{}.str(1, "classlabels_int64s").num(8, 3).num(8, -7)
	texts := message{}.str(1, "classlabels_strings").str(9, "yes")
	packed := message{}.str(1, "classlabels_int64s").str(8, "\x03\x04")
	for name, c := range map[string]struct {
		data    []byte
		outputs []string // nil: nothing is stripped
	}{
		"plain":               {zipped(ints), []string{"s: float32[?,2]"}},
		"packed":              {zipped(packed), []string{"s: float32[?,2]"}},
		"scores are shown":    {zipped(ints, message{}.sub(12, value("s", 1, -1, 2))), []string{"s: float32[?,2]"}},
		"no classes":          {zipped(message{}.str(1, "other").num(8, 1)), nil},
		"both kinds":          {model(message{}.sub(1, node("", "Relu", "x", "s"), node("ai.onnx.ml", "ZipMap", "s", "p", ints, texts)).sub(11, value("x", 1)).sub(12, message{}.str(1, "p"))), nil},
		"texts":               {zipped(texts), []string{"s: float32[?,1]"}},
		"read again":          {zipped(ints, message{}.sub(1, node("", "Identity", "p", "q"))), nil},
		"read in a subgraph":  {zipped(ints, message{}.sub(1, node("", "If", "c", "q", subgraph(relu(message{}.sub(1, node("", "Identity", "p", "r"))))))), nil},
		"two of one output":   {zipped(ints, message{}.sub(1, node("ai.onnx.ml", "ZipMap", "s", "p", ints))), []string{"s: float32[?,2]"}},
		"scores are an input": {model(message{}.sub(1, node("ai.onnx.ml", "ZipMap", "x", "p", ints)).sub(11, value("x", 1)).sub(12, message{}.str(1, "p"))), nil},
		"no output":           {model(relu(message{}.sub(1, node("ai.onnx.ml", "ZipMap", "y", "p", ints)))), nil},
		"no ZipMap":           {read(t, "linear"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := strip(t, c.data)
			if c.outputs == nil {
				if w != nil {
					t.Fatalf("stripped: %+v", w.Replaced)
				}
				return
			}
			if w == nil {
				t.Fatal("nothing is stripped")
			}
			m, err := onnx.Inspect(w, w.Size, onnx.Limits{})
			if err != nil || !reflect.DeepEqual(strs(m.Outputs), c.outputs) {
				t.Errorf("%v, %v", m, err)
			}
			whole, err := w.Bytes()
			if err != nil || !bytes.Contains(whole, []byte("what follows the graph")) {
				t.Errorf("the end is lost: %v", err)
			}
		})
	}
}

func TestStripZipMapRefusesAsInspectDoes(t *testing.T) {
	data := read(t, "iris_int")
	data = data[:len(data)-40]
	_, err := onnx.StripZipMap(bytes.NewReader(data), int64(len(data)), onnx.Limits{})
	refused(t, err, onnx.FindingTruncated, "model", "")
}

func FuzzInspect(f *testing.F) {
	for _, name := range []string{"iris_int", "iris_str", "multi", "linear", "subgraph", "function", "external", "types"} {
		f.Add(read(f, name))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := inspect(data)
		if err != nil {
			refusedAtAll(t, m, err)
			return
		}
		if len(m.Inputs) == 0 || len(m.Outputs) == 0 || m.Expanded < 0 {
			t.Fatalf("accepted: %+v", m)
		}
		w, err := onnx.StripZipMap(bytes.NewReader(data), int64(len(data)), onnx.Limits{})
		if err != nil {
			t.Fatalf("inspected, but not stripped: %v", err)
		}
		if w == nil {
			return
		}
		if whole, err := w.Bytes(); err != nil || int64(len(whole)) != w.Size {
			t.Fatalf("%d bytes of %d, %v", len(whole), w.Size, err)
		}
		if _, err := onnx.Inspect(w, w.Size, onnx.Limits{}); err != nil {
			t.Fatalf("the rewritten model is refused: %v", err)
		}
	})
}

func refusedAtAll(t *testing.T, m *onnx.Model, err error) {
	if f := fault.As(err); m != nil || f == nil || len(f.Fields) == 0 {
		t.Fatalf("%+v, %v", m, err)
	}
}
