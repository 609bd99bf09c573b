package v1

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tenon-ml/tenon/api/core"
	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/ref"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/host"
)

// allocations is what Predict allocates for one row of four numbers, decode,
// run by the fake engine, and answer. A change is to be explained in the
// commit that makes it: each one more is some 25 ns and work for the
// collector, at every request.
const allocations = 21

func TestPredictAllocations(t *testing.T) {
	h := host.New(&engine.Fake{}, host.Options{})
	defer h.Close()
	v, err := h.Load(t.Context(), host.Source{Model: "iris", Number: 1, Dir: iris(t)})
	if err != nil {
		t.Fatal(err)
	}
	h.Route(&host.Routes{Model: "iris", Known: map[int]bool{1: true}, Traffic: wire.Stable(1), Loaded: map[int]*host.Version{1: v}})
	predictor := &core.Predictor{Host: h, Timeout: time.Minute}
	body := []byte(`{"instances":[{"a":5.1,"b":3.5,"c":1.4,"d":0.2}]}`)
	const want = `{"model":"iris","version":1,"predictions":[{"y":[5.1,3.5,1.4,0.2]}]}`
	predict := func() {
		out, answer, err := predictor.Predict(t.Context(), core.Request{Ref: ref.Reference{Model: "iris"}, Body: body}, &codec{})
		if err != nil || string(out) != want || answer.Version != 1 {
			t.Fatalf("%s, %+v, %v", out, answer, err)
		}
	}
	predict()
	if raceDetector {
		t.Skip("the race detector drops pooled frames at random")
	}
	if got := testing.AllocsPerRun(1000, predict); got != allocations {
		t.Errorf("%v allocations, and it was %d", got, allocations)
	}
}

// iris writes the folder of a bundle: four columns make one matrix, which
// comes back as it is.
func iris(t *testing.T) string {
	t.Helper()
	matrix := func(name string) []byte {
		dims := append(field(1, field(2, []byte("n"))), field(1, protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 4))...)
		tensor := append(protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 11), field(2, dims)...)
		return append(field(1, []byte(name)), field(2, field(1, tensor))...)
	}
	node := append(append(field(1, []byte("x")), field(2, []byte("y"))...), field(4, []byte("Identity"))...)
	graph := append(append(field(1, node), field(11, matrix("x"))...), field(12, matrix("y"))...)
	model := append(protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 10), field(7, graph)...)
	model = append(model, field(8, protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 20))...)
	signature := `{"inputs":[{"name":"a","type":"float64","feed":"x","column":0},{"name":"b","type":"float64","feed":"x","column":1},` +
		`{"name":"c","type":"float64","feed":"x","column":2},{"name":"d","type":"float64","feed":"x","column":3}],` +
		`"outputs":[{"name":"y","kind":"value","shape":[4]}]}`
	manifest := fmt.Sprintf(`{"bundle":1,"files":{"model.onnx":{"size":%d,"sha256":"%x"},"signature.json":{"size":%d,"sha256":"%x"}}}`,
		len(model), sha256.Sum256(model), len(signature), sha256.Sum256([]byte(signature)))
	dir := t.TempDir()
	for name, data := range map[string]string{"model.onnx": string(model), "signature.json": signature, "manifest.json": manifest} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// field is a length-delimited protobuf field; the numbers are those of
// onnx.proto.
func field(number protowire.Number, data []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), data)
}
