package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/divergence"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/onnx"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/internal/transform"
	"github.com/tenon-ml/tenon/runtime/engine"
)

// Source is a version to load: a folder with the bundle's files under the
// names of its manifest.
type Source struct {
	Model  string
	Number int // 0 while the version is not registered
	Dir    string
	// Isolation is what the deployment wants; "": what the host does.
	Isolation Isolation
}

// name is what people call it: iris/3, or iris while it has no number.
func (s *Source) name() string {
	if s.Number == 0 {
		return s.Model
	}
	return fmt.Sprintf("%s/%d", s.Model, s.Number)
}

// Version is one loaded version. It lives from Load until the last of its
// owners lets go: whoever loaded it, the routes, and the leases.
type Version struct {
	Source
	Plan   *transform.Plan
	Bundle *bundle.Bundle
	Graph  *onnx.Model // what the walk of the model file told
	Placed Placement

	check    *divergence.Check
	session  engine.Session
	trials   lanes // of its runs on trial, and on copies: one that hangs holds up no other
	parity   atomic.Pointer[string]
	owners   atomic.Int64
	patience atomic.Int64 // of its callers while it is on trial; 0: not set
}

// Described is the version as divergence compares it; nil is one that is not
// loaded.
func (v *Version) Described() divergence.Version {
	if v == nil {
		return divergence.Version{}
	}
	out := divergence.Version{Number: v.Number}
	for i := range v.Plan.Outputs {
		o := &v.Plan.Outputs[i]
		out.Outputs = append(out.Outputs, divergence.Output{Name: o.Name, Kind: string(o.Kind), Classes: o.Classes})
	}
	return out
}

// Invalid returns how many rows of its answer cannot be right: no number, none
// of the classes, no probability.
func (v *Version) Invalid(outs []tensor.Output, rows int) int { return v.check.Invalid(outs, rows) }

// Judge sets the verdict that is shown with every answer. A later examination
// may change it while the version serves.
func (v *Version) Judge(parity string) { v.parity.Store(&parity) }

// Parity is the verdict, not-proven until Judge is called.
func (v *Version) Parity() string {
	if p := v.parity.Load(); p != nil {
		return *p
	}
	return "not-proven"
}

// Load opens a bundle's folder, compiles its plan and loads its graph. Nothing
// is routed to the version yet. The caller owns it until Drop. What is wrong
// with the bundle or the model is an unprocessable fault.
func (h *Host) Load(ctx context.Context, src Source) (*Version, error) {
	b, err := bundle.Open(os.DirFS(src.Dir))
	if err != nil {
		return nil, err
	}
	path := filepath.Join(src.Dir, bundle.ModelFile)
	graph, model, err := h.inspect(path)
	if err != nil {
		return nil, err
	}
	if err := holdsExternalData(b, model.graph); err != nil {
		return nil, err
	}
	plan, err := transform.Compile(b.Signature, model.graph, model.zipmaps)
	if err != nil {
		return nil, err
	}
	graph.Name = src.name()
	chosen, placed := h.place(src.Isolation, model.graph.Hazards)
	session, err := chosen.Load(ctx, graph)
	if err != nil {
		return nil, err
	}
	v := &Version{Source: src, Plan: plan, Bundle: b, Graph: model.graph, Placed: placed, session: session}
	v.check = divergence.NewCheck(v.Described().Outputs)
	v.owners.Store(1)
	v.trials.open(h.options.Runs, h.options.Queued)
	return v, nil
}

// holdsExternalData refuses a model whose weights are in files that did not
// come with it.
func holdsExternalData(b *bundle.Bundle, graph *onnx.Model) error {
	for _, name := range graph.ExternalData {
		if !b.Manifest.Has(name) {
			return fault.New(fault.Unprocessable, fault.ModelRefused,
				"The model keeps weights in the file %q, which is not in the bundle: "+
					"save it in one file, or push a bundle that holds both.", name)
		}
	}
	return nil
}

// inspected is what the walk of a model file told.
type inspected struct {
	graph   *onnx.Model
	zipmaps []onnx.ZipMap
}

// inspect walks the model file before the engine sees a byte of it, and takes
// ZipMap nodes out, whose lists of dictionaries no request could carry.
func (h *Host) inspect(path string) (engine.Graph, inspected, error) {
	graph := engine.Graph{Path: path, Threads: h.options.Threads}
	f, err := os.Open(path)
	if err != nil {
		return graph, inspected{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return graph, inspected{}, err
	}
	model, err := onnx.Inspect(f, info.Size(), onnx.Limits{})
	if err != nil {
		return graph, inspected{}, err
	}
	found := inspected{graph: model}
	if len(model.ZipMaps) > 0 {
		if found, err = h.strip(f, info.Size(), model, &graph); err != nil {
			return graph, inspected{}, err
		}
	}
	graph.Inputs, graph.Outputs = ports(found.graph.Inputs), ports(found.graph.Outputs)
	return graph, found, nil
}

// strip rewrites the model without its ZipMaps and walks it again. A model
// whose ZipMaps make no output stays as it is.
func (h *Host) strip(f *os.File, size int64, model *onnx.Model, graph *engine.Graph) (inspected, error) {
	rewrite, err := onnx.StripZipMap(f, size, onnx.Limits{})
	if err != nil || rewrite == nil {
		return inspected{graph: model}, err
	}
	if graph.Model, err = rewrite.Bytes(); err != nil {
		return inspected{}, err
	}
	model, err = onnx.Inspect(rewrite, rewrite.Size, onnx.Limits{})
	return inspected{graph: model, zipmaps: rewrite.Replaced}, err
}

func ports(values []onnx.Value) []engine.Port {
	out := make([]engine.Port, len(values))
	for i := range values {
		v := &values[i]
		out[i] = engine.Port{Name: v.Name, Type: v.Type, Ranked: v.Ranked}
		for _, d := range v.Dims {
			out[i].Dims = append(out[i].Dims, engine.Dim{Size: d.Value, Symbol: d.Param})
		}
	}
	return out
}

// retain adds an owner; it fails once the last one has let go.
func (v *Version) retain() bool {
	for {
		n := v.owners.Load()
		if n == 0 {
			return false
		}
		if v.owners.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// closed reports whether the last owner has let go.
func (v *Version) closed() bool { return v.owners.Load() <= 0 }

// Drop lets go of the version; the last owner closes its session.
func (v *Version) Drop() {
	if v.owners.Add(-1) > 0 {
		return
	}
	if err := v.session.Close(); err != nil {
		slog.Error("a session could not be closed", "model", v.Model, "version", v.Number, "error", err)
	}
}

// stopped words the end of a context as a fault: the deadline's, or the
// client's. Other errors pass.
func stopped(err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fault.New(fault.Timeout, fault.Deadline,
			"The prediction did not end within the server's limit (server.request_timeout): send fewer rows at once, or try again.").Because(err)
	case errors.Is(err, context.Canceled):
		return fault.New(fault.Canceled, fault.ClientGone, "The client closed the connection before the answer.").Because(err)
	default:
		return err
	}
}
