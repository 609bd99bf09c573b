package host_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/onnx"
	"github.com/tenon-ml/tenon/internal/ref"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/engine/enginetest"
	"github.com/tenon-ml/tenon/runtime/host"
)

// number is a model with one whole number a row, in and out.
func number() []byte { return enginetest.Identity([]tensor.Type{tensor.Int64}, "N").Bytes() }

// source writes a bare model as a bundle's folder. The folder is called like
// the version, which is how compute knows whom it answers for.
func source(t testing.TB, n int, model []byte) host.Source {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strconv.Itoa(n))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(model)
	files := map[string][]byte{
		bundle.ModelFile:    model,
		bundle.ManifestFile: bundle.BareManifest(int64(len(model)), hex.EncodeToString(digest[:])),
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return host.Source{Model: "iris", Number: n, Dir: dir}
}

// load loads version n of iris; the caller owns it.
func load(t testing.TB, h *host.Host, n int) *host.Version {
	t.Helper()
	v, err := h.Load(t.Context(), source(t, n, number()))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// live routes iris to the loaded versions, the first of them stable.
func live(h *host.Host, versions ...*host.Version) {
	r := &host.Routes{Model: "iris", Known: map[int]bool{}, Loaded: map[int]*host.Version{}, Traffic: wire.Stable(versions[0].Number)}
	for _, v := range versions {
		r.Known[v.Number], r.Loaded[v.Number] = true, v
	}
	h.Route(r)
}

// acquire pins the version that takes the traffic of iris.
func acquire(t testing.TB, h *host.Host) host.Lease {
	t.Helper()
	l, err := h.Acquire(t.Context(), ref.Reference{Model: "iris"}, "")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// predict sends one row and returns the answer as JSON.
func predict(ctx context.Context, l host.Lease) (string, error) {
	f := l.Plan.Frame()
	defer l.Plan.Recycle(f)
	if err := tensor.NewDecoder(tensor.NewScanner([]byte(`[7]`)), f).Rows("instances"); err != nil {
		return "", err
	}
	outs, _, err := l.Predict(ctx, f)
	if err != nil {
		return "", err
	}
	return string(tensor.AppendRows(nil, outs, f.Rows)), nil
}

// versionOf is the number of the version that a graph belongs to.
func versionOf(g engine.Graph) int64 {
	n, err := strconv.ParseInt(filepath.Base(filepath.Dir(g.Path)), 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// itself answers with the number of the version.
func itself(_ context.Context, g engine.Graph, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	out := tensor.New(tensor.Int64, int64(in[0].Rows()))
	for i := range tensor.View[int64](out) {
		tensor.View[int64](out)[i] = versionOf(g)
	}
	return []*tensor.Tensor{out}, nil
}

// want checks a fault's kind and code, and that its sentence says this.
func want(t testing.TB, err error, kind fault.Kind, code fault.Code, says string) {
	t.Helper()
	e := fault.As(err)
	if e == nil || e.Kind != kind || e.Code != code || !strings.Contains(e.Detail, says) {
		t.Errorf("got %v, want a fault of kind %d and code %s that says %q", err, kind, code, says)
	}
}

// closed checks that the host lets go of everything.
func closed(t testing.TB, h *host.Host, fake *engine.Fake) {
	t.Helper()
	h.Close()
	if n := fake.Open(); n != 0 {
		t.Errorf("%d sessions are left open", n)
	}
	if n := fake.Misused(); n != 0 {
		t.Errorf("%d times a session was used after or during its Close", n)
	}
}

func TestPredict(t *testing.T) {
	fake := &engine.Fake{}
	h := host.New(fake, host.Options{})
	live(h, load(t, h, 3))
	l := acquire(t, h)
	got, err := predict(t.Context(), l)
	if err != nil || got != `[{"y0":7}]` {
		t.Errorf("got %s, %v", got, err)
	}
	if l.Model != "iris" || l.Number != 3 || l.Bundle == nil {
		t.Errorf("the lease is of %+v", l.Source)
	}
	if g := h.Gauges(); g != (host.Gauges{Loaded: 1}) {
		t.Errorf("idle, the gauges are %+v", g)
	}
	if h.Engine() != "fake" {
		t.Errorf("the engine is %q", h.Engine())
	}
	l.Release()
	closed(t, h, fake)
}

// TestTheEngineIsToldWhatItLoads: its log names the model by that.
func TestTheEngineIsToldWhatItLoads(t *testing.T) {
	for number, want := range map[int]string{0: "iris", 3: "iris/3"} {
		var got string
		h := host.New(&engine.Fake{Refuse: func(g engine.Graph) error { got = g.Name; return nil }}, host.Options{})
		load(t, h, number).Drop()
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestAcquireFaults(t *testing.T) {
	fake := &engine.Fake{}
	h := host.New(fake, host.Options{})
	defer closed(t, h, fake)
	v := load(t, h, 2)
	h.Route(&host.Routes{
		Model: "iris", Known: map[int]bool{1: true, 2: true, 3: true, 4: true, 12: true}, Traffic: wire.Stable(2),
		Aliases: map[string]int{"champion": 2, "old": 1, "broken": 3},
		Loaded:  map[int]*host.Version{2: v},
		Failed: map[int]error{
			3: fault.New(fault.Unprocessable, fault.ModelRefused, "The graph has no inputs."),
			4: errors.New("open /srv/secret: no such file"),
		},
	})
	h.Route(&host.Routes{Model: "shelved", Known: map[int]bool{1: true, 12: true, 3: true}})
	h.Route(&host.Routes{
		Model: "damaged", Known: map[int]bool{1: true}, Traffic: wire.Stable(1),
		Fault: fault.New(fault.Unavailable, fault.Quarantined, "The log of damaged is broken."),
	})
	tests := []struct {
		reference string
		kind      fault.Kind
		code      fault.Code
		says      string
	}{
		{"rose", fault.NotFound, fault.ModelNotFound, `no model "rose": ` + "`tenon ls`"},
		{"rose/3", fault.NotFound, fault.ModelNotFound, `"rose"`},
		{"rose@champion", fault.NotFound, fault.ModelNotFound, `"rose"`},
		{"iris/9", fault.NotFound, fault.VersionNotFound, `The model "iris" has no version 9: ` + "`tenon show iris`"},
		{"iris@nobody", fault.NotFound, fault.AliasNotFound, `The model "iris" has no alias "nobody".`},
		{"shelved", fault.Conflict, fault.NothingDeployed, "`tenon deploy shelved/12`"},
		{"iris/12", fault.Conflict, fault.NotLoaded, "iris/12 is registered, but not loaded: put it live with `tenon deploy iris/12`"},
		{"iris@old", fault.Conflict, fault.NotLoaded, "`tenon deploy iris/1`"},
		{"damaged", fault.Unavailable, fault.Quarantined, "The log of damaged is broken."},
		{"damaged/1", fault.Unavailable, fault.Quarantined, "broken"},
		{"damaged/9", fault.Unavailable, fault.Quarantined, "broken"},
		{"iris/3", fault.Unavailable, fault.Unloadable, "iris/3 could not be loaded: The graph has no inputs."},
		{"iris@broken", fault.Unavailable, fault.Unloadable, "iris/3 could not be loaded"},
		{"iris/4", fault.Unavailable, fault.Unloadable, "iris/4 could not be loaded: an internal error"},
	}
	for _, test := range tests {
		t.Run(test.reference, func(t *testing.T) {
			r, err := ref.Parse(test.reference)
			if err != nil {
				t.Fatal(err)
			}
			l, err := h.Acquire(t.Context(), r, "")
			if err == nil {
				l.Release()
				t.Fatal("it was acquired")
			}
			want(t, err, test.kind, test.code, test.says)
			if text := err.Error(); strings.Count(text, "The graph has no inputs.") > 1 {
				t.Errorf("the log says it more than once: %s", text)
			}
			if e := fault.As(err); e != nil && strings.Contains(e.Detail, "secret") {
				t.Errorf("the sentence tells internals: %s", e.Detail)
			}
		})
	}
	for _, reference := range []string{"iris", "iris/2", "iris@champion"} {
		r, err := ref.Parse(reference)
		if err != nil {
			t.Fatal(err)
		}
		l, err := h.Acquire(t.Context(), r, "")
		if err != nil || l.Number != 2 {
			t.Fatalf("%s: got %v", reference, err)
		}
		l.Release()
	}
}

// TestNothingIsAcquiredOnceClosed: the host forgets its models.
func TestNothingIsAcquiredOnceClosed(t *testing.T) {
	fake := &engine.Fake{}
	h := host.New(fake, host.Options{})
	live(h, load(t, h, 1))
	closed(t, h, fake)
	_, err := h.Acquire(t.Context(), ref.Reference{Model: "iris"}, "")
	want(t, err, fault.NotFound, fault.ModelNotFound, "iris")
}

func TestLoadRefusals(t *testing.T) {
	fake := &engine.Fake{}
	h := host.New(fake, host.Options{})
	defer closed(t, h, fake)
	zipmap := func(more ...enginetest.Node) []byte {
		m := enginetest.Model{
			Inputs:  []engine.Port{enginetest.Port("x", tensor.Float32, "N", 2)},
			Outputs: []engine.Port{enginetest.Port("y", tensor.Float32, "N", 2)},
			Nodes: []enginetest.Node{
				enginetest.Op("Softmax", []string{"x"}, "y"),
				{
					Domain: "ai.onnx.ml", Op: "ZipMap", Inputs: []string{"y"}, Outputs: []string{"z"},
					Attributes: []enginetest.Attribute{enginetest.Texts("classlabels_strings", "no", "yes")},
				},
			},
		}
		m.Nodes = append(m.Nodes, more...)
		return m.Bytes()
	}
	t.Run("junk", func(t *testing.T) {
		_, err := h.Load(t.Context(), source(t, 1, []byte("junk")))
		want(t, err, fault.Unprocessable, fault.ModelRefused, "")
	})
	t.Run("no bundle", func(t *testing.T) {
		_, err := h.Load(t.Context(), host.Source{Model: "iris", Number: 1, Dir: t.TempDir()})
		want(t, err, fault.Unprocessable, fault.InvalidBundle, "")
	})
	t.Run("no such folder", func(t *testing.T) {
		if _, err := h.Load(t.Context(), host.Source{Dir: filepath.Join(t.TempDir(), "absent")}); err == nil {
			t.Error("it was loaded")
		}
	})
	t.Run("an output that no request carries", func(t *testing.T) {
		m := enginetest.Identity([]tensor.Type{tensor.Float32}, "N")
		m.Outputs[0].Dims = make([]engine.Dim, tensor.MaxRank+1)
		_, err := h.Load(t.Context(), source(t, 1, m.Bytes()))
		want(t, err, fault.Unprocessable, fault.ModelRefused, "dimensions")
	})
	t.Run("weights that did not come along", func(t *testing.T) {
		m := enginetest.Identity([]tensor.Type{tensor.Float32}, "N")
		m.Initializers = []enginetest.Initializer{{Name: "w", Values: tensor.New(tensor.Float32, 1), File: "weights.bin"}}
		_, err := h.Load(t.Context(), source(t, 1, m.Bytes()))
		want(t, err, fault.Unprocessable, fault.ModelRefused, `"weights.bin", which is not in the bundle`)
	})
	t.Run("what the engine refuses", func(t *testing.T) {
		no := errors.New("not this one")
		fake.Refuse = func(engine.Graph) error { return no }
		defer func() { fake.Refuse = nil }()
		if _, err := h.Load(t.Context(), source(t, 1, number())); !errors.Is(err, no) {
			t.Errorf("got %v", err)
		}
	})
	// A ZipMap that makes no output is nothing to strip; Load once panicked.
	t.Run("a ZipMap that nobody reads", func(t *testing.T) {
		v, err := h.Load(t.Context(), source(t, 1, zipmap()))
		if err != nil {
			t.Fatal(err)
		}
		v.Drop()
	})
	t.Run("a ZipMap that a node reads", func(t *testing.T) {
		v, err := h.Load(t.Context(), source(t, 1, zipmap(enginetest.Op("Identity", []string{"z"}, "z2"))))
		if err != nil {
			t.Fatal(err)
		}
		v.Drop()
	})
}

// TestZipMapsAreStripped: what the engine gets has none, and answers are
// probabilities by class.
func TestZipMapsAreStripped(t *testing.T) {
	m := enginetest.Model{
		Inputs: []engine.Port{enginetest.Port("x", tensor.Float32, "N", 2)},
		// The type of z is a list of dictionaries, which a Port cannot say; the
		// output's type makes no difference to what is stripped.
		Outputs: []engine.Port{enginetest.Unranked("z", tensor.Float32)},
		Nodes: []enginetest.Node{
			enginetest.Op("Identity", []string{"x"}, "scores"),
			{
				Domain: "ai.onnx.ml", Op: "ZipMap", Inputs: []string{"scores"}, Outputs: []string{"z"},
				Attributes: []enginetest.Attribute{enginetest.Texts("classlabels_strings", "no", "yes")},
			},
		},
	}
	var seen engine.Graph
	fake := &engine.Fake{Refuse: func(g engine.Graph) error { seen = g; return nil }}
	h := host.New(fake, host.Options{Threads: 3})
	v, err := h.Load(t.Context(), source(t, 1, m.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	inner, err := onnx.Inspect(strings.NewReader(string(seen.Model)), int64(len(seen.Model)), onnx.Limits{})
	if err != nil || len(inner.ZipMaps) > 0 {
		t.Errorf("the engine got %+v, %v", inner, err)
	}
	if len(seen.Outputs) != 1 || seen.Outputs[0].Name != "scores" || seen.Threads != 3 {
		t.Errorf("the engine got %+v with %d threads", seen.Outputs, seen.Threads)
	}
	live(h, v)
	l := acquire(t, h)
	f := l.Plan.Frame()
	if err := tensor.NewDecoder(tensor.NewScanner([]byte(`[[0.25,0.75]]`)), f).Rows("instances"); err != nil {
		t.Fatal(err)
	}
	outs, _, err := l.Predict(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(tensor.AppendRows(nil, outs, 1)); got != `[{"z":{"no":0.25,"yes":0.75}}]` {
		t.Errorf("got %s", got)
	}
	l.Release()
	closed(t, h, fake)
}
