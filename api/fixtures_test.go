package api_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tenon-ml/tenon/api/client"
)

// pb is a protobuf message made by hand; the numbers are those of onnx.proto.
type pb []byte

func (m pb) num(field protowire.Number, v uint64) pb {
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), v)
}

func (m pb) str(field protowire.Number, s string) pb {
	return protowire.AppendString(protowire.AppendTag(m, field, protowire.BytesType), s)
}

func (m pb) sub(field protowire.Number, sub pb) pb { return m.str(field, string(sub)) }

// The element types of onnx.proto.
const (
	float32Type = 1
	int32Type   = 6
	stringType  = 8
	float64Type = 11
)

// port is a graph input and the output that echoes it; a width of 0 is a
// tensor of shape [rows].
type port struct {
	name  string
	elem  uint64
	width uint64
}

func (p port) value(name string) pb {
	shape := pb{}.sub(1, pb{}.str(2, "n"))
	if p.width > 0 {
		shape = shape.sub(1, pb{}.num(1, p.width))
	}
	tensor := pb{}.num(1, p.elem).sub(2, shape)
	return pb{}.str(1, name).sub(2, pb{}.sub(1, tensor))
}

// identity is the ONNX file of one Identity per port: x → x_out.
func identity(ports ...port) []byte {
	graph := pb{}
	for _, p := range ports {
		graph = graph.sub(1, pb{}.str(1, p.name).str(2, p.name+"_out").str(4, "Identity"))
	}
	graph = graph.str(2, "g")
	for _, p := range ports {
		graph = graph.sub(11, p.value(p.name)).sub(12, p.value(p.name+"_out"))
	}
	return pb{}.num(1, 10).sub(7, graph).sub(8, pb{}.num(2, 20))
}

// bare is a model without a signature: x: float32[n,2] → x_out.
func bare() []byte { return identity(port{"x", float32Type, 2}) }

// files are those of a bundle, without the manifest.
type files map[string]string

// penguins is a bundle with every kind of column: a closed and an open
// category, a missing number, an integer of limited range, a vector.
func penguins(t testing.TB) files {
	return files{
		"model.onnx": string(identity(
			port{"island", stringType, 1}, port{"sex", stringType, 1}, port{"mass", float64Type, 1},
			port{"year", int32Type, 1}, port{"scores", float32Type, 3},
		)),
		"signature.json": `{"inputs":[
			{"name":"island","type":"string","domain":["Biscoe","Dream"],"unknown":"refuse"},
			{"name":"sex","type":"string","missing":"allowed","sentinel":"\ue000","domain":["female","male"],"unknown":"accept"},
			{"name":"body mass (g)","type":"float64","missing":"allowed","feed":"mass"},
			{"name":"year","type":"int16","feed":"year"},
			{"name":"scores","type":"float32","shape":[3]}],
		"outputs":[
			{"name":"label","kind":"label","from":"island_out","type":"string"},
			{"name":"mass","kind":"value","from":"mass_out","type":"float64"},
			{"name":"year","kind":"value","from":"year_out","type":"int32"},
			{"name":"probabilities","kind":"probabilities","from":"scores_out","type":"float32","classes":[0,1,2]}]}`,
		"golden/requests.jsonl.gz": zipped(t, `{"id":"a","why":"hold-out","body":{"instances":[`+goodRow+`]}}`+"\n"),
		"golden/answers.jsonl.gz":  zipped(t, `{"id":"a","predictions":[`+goodAnswer+`]}`+"\n"),
	}
}

const (
	goodRow    = `{"island":"Dream","sex":"male","body mass (g)":3750.5,"year":2007,"scores":[0.5,0.25,0.25]}`
	goodAnswer = `{"label":"Dream","mass":3750.5,"year":2007,"probabilities":{"0":0.5,"1":0.25,"2":0.25}}`
)

// with returns the files with one changed; empty content removes it.
func (f files) with(name, content string) files {
	changed := files{}
	for n, c := range f {
		changed[n] = c
	}
	changed[name] = content
	if content == "" {
		delete(changed, name)
	}
	return changed
}

func (f files) manifest(t testing.TB, name string) string {
	t.Helper()
	list := map[string]any{}
	for name, content := range f {
		sum := sha256.Sum256([]byte(content))
		list[name] = map[string]any{"size": len(content), "sha256": hex.EncodeToString(sum[:])}
	}
	raw, err := json.Marshal(map[string]any{
		"bundle": 1, "name": name, "task": "classification", "description": "Penguins by island.",
		"metrics": map[string]any{"accuracy": 0.98}, "created": "2026-01-01T00:00:00Z", "files": list,
	})
	must(t, err)
	return string(raw)
}

// tar packs the files behind their manifest.
func (f files) tar(t testing.TB, name string) []byte { return pack(t, f.entries(t, name)...) }

// entry is one header of a tar and the data behind it.
type entry struct {
	tar.Header
	data string
}

func file(name, data string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(data)), Mode: 0o644}, data}
}

func (f files) entries(t testing.TB, name string) []entry {
	list := []entry{file("manifest.json", f.manifest(t, name))}
	for _, name := range []string{"model.onnx", "signature.json", "environment.json", "golden/requests.jsonl.gz", "golden/answers.jsonl.gz"} {
		if content, ok := f[name]; ok {
			list = append(list, file(name, content))
		}
	}
	return list
}

func pack(t testing.TB, list ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range list {
		must(t, w.WriteHeader(&e.Header))
		_, err := io.WriteString(w, e.data)
		must(t, err)
	}
	must(t, w.Close())
	return out.Bytes()
}

func zipped(t testing.TB, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := io.WriteString(w, text)
	must(t, err)
	must(t, w.Close())
	return out.String()
}

func bodyOf(data []byte, isBare bool) client.Body {
	return client.Body{Reader: bytes.NewReader(data), Size: int64(len(data)), Bare: isBare}
}
