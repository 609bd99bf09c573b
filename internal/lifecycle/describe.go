package lifecycle

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/onnx"
	"github.com/tenon-ml/tenon/internal/ref"
	"github.com/tenon-ml/tenon/registry"
	"github.com/tenon-ml/tenon/runtime/host"
)

// Registry returns the id of the registry.
func (m *Manager) Registry() string { return m.store.ID() }

// Models describes all models, by name. A damaged one is in the list with its
// problem.
func (m *Manager) Models() ([]wire.Model, error) {
	names, err := m.store.Models()
	if err != nil {
		return nil, err
	}
	list := make([]wire.Model, 0, len(names))
	for _, name := range names {
		st, err := m.store.State(name)
		if err != nil {
			list = append(list, wire.Model{Name: name, Aliases: map[string]int{}, Status: []wire.TFSStatus{}, Problem: sentence(err)})
			continue
		}
		list = append(list, m.model(st))
	}
	return list, nil
}

// Model describes the model of a reference, with the signature of the version
// that the reference names, where that one is loaded.
func (m *Manager) Model(r ref.Reference) (wire.Model, error) {
	st, err := m.store.State(r.Model)
	if err != nil {
		return wire.Model{}, err
	}
	out := m.model(st)
	n := out.Stable
	if r.Alias != "" {
		var ok bool
		if n, ok = st.Aliases[r.Alias]; !ok {
			return wire.Model{}, fault.New(fault.NotFound, fault.AliasNotFound, "The model %q has no alias %q.", r.Model, r.Alias)
		}
	}
	if v := m.loaded(r.Model, n); v != nil {
		out.Signature = signature(v)
	}
	out.Captures = m.captured(st)
	return out, nil
}

func (m *Manager) model(st *registry.State) wire.Model {
	out := wire.Model{Name: st.Name, Versions: len(present(st)), Aliases: st.Aliases, Status: []wire.TFSStatus{}}
	if out.Aliases == nil {
		out.Aliases = map[string]int{}
	}
	if v, ok := st.Latest(); ok {
		out.Latest = v.Number
	}
	if d := st.Current(); d != nil {
		shown := deployment(st.Name, d)
		out.Deployment, out.Stable = &shown, d.Stable
		if v, ok := st.Version(d.Stable); ok {
			out.Parity, out.Loosened = string(v.Parity), v.Loosened
		}
		out.Ready = m.loaded(st.Name, d.Stable) != nil
		out.Probe = m.probeOf(st.Name, d.Stable)
	}
	routes := m.host.Routes(st.Name)
	if routes == nil {
		return out
	}
	for _, v := range st.Versions {
		if routes.Loaded[v.Number] != nil {
			out.Status = append(out.Status, wire.TFSStatus{
				Version: strconv.Itoa(v.Number), State: "AVAILABLE", Status: wire.TFSReason{Code: "OK"},
			})
		}
	}
	out.Problem = problem(routes, out.Stable)
	return out
}

// problem says why a version that should be loaded is not, and what goes on in
// its place; "" where it is.
func problem(r *host.Routes, n int) string {
	err := r.Failed[n]
	switch {
	case err == nil:
		return ""
	case fault.Is(err, fault.NotReady):
		return sentence(err)
	case n == r.Missing:
		return fmt.Sprintf("%s/%d could not be loaded here, so %s/%d goes on in its place until it can: %s", r.Model, n, r.Model, r.Stable, sentence(err))
	case r.Loaded[n] != nil:
		return fmt.Sprintf("%s/%d could not be loaded here with another isolation, so it goes on with the one before until it can: %s",
			r.Model, n, sentence(err))
	}
	return sentence(err)
}

// present lists the versions that were not deleted.
func present(st *registry.State) []registry.Version {
	return slices.DeleteFunc(slices.Clone(st.Versions), func(v registry.Version) bool { return v.Deleted })
}

func (m *Manager) loaded(model string, n int) *host.Version {
	if routes := m.host.Routes(model); routes != nil {
		return routes.Loaded[n]
	}
	return nil
}

// Versions lists a model's versions, newest first.
func (m *Manager) Versions(model string) ([]wire.Version, error) {
	st, err := m.store.State(model)
	if err != nil {
		return nil, err
	}
	list := []wire.Version{}
	for _, v := range slices.Backward(present(st)) {
		list = append(list, m.version(st, v))
	}
	return list, nil
}

// Version describes one version, with what its manifest and signature say.
func (m *Manager) Version(model string, n int) (wire.Version, error) {
	st, v, err := m.find(model, n)
	if err != nil {
		return wire.Version{}, err
	}
	out := m.version(st, v)
	b, err := m.open(v)
	if err != nil {
		return wire.Version{}, err
	}
	out.Task, out.Description, out.Tags = b.Manifest.Task, b.Manifest.Description, b.Manifest.Tags
	out.Metrics = map[string]any{}
	for name, value := range b.Manifest.Metrics {
		out.Metrics[name] = value
	}
	var graph *onnx.Model
	if live := m.loaded(model, n); live != nil {
		out.Signature, graph = signature(live), live.Graph
	}
	out.Notes = notesOn(exportedWith(b), b.Signature, graph, runsOn{m.host.Engine(), m.host.Opset()})
	return out, nil
}

func (m *Manager) find(model string, n int) (*registry.State, registry.Version, error) {
	st, err := m.store.State(model)
	if err != nil {
		return nil, registry.Version{}, err
	}
	v, ok := st.Version(n)
	if !ok || v.Deleted {
		return nil, v, fault.New(fault.NotFound, fault.VersionNotFound,
			"The model %q has no version %d: `tenon show %s` lists those it has.", model, n, model)
	}
	return st, v, nil
}

func (m *Manager) version(st *registry.State, v registry.Version) wire.Version {
	out := wire.Version{
		Model: st.Name, Version: v.Number, Digest: v.Digest, Size: v.Size, Parity: string(v.Parity), Loosened: v.Loosened,
		Created: v.Created, Actor: v.Actor, RequestID: v.RequestID, Deleted: v.Deleted,
		Loaded: m.loaded(st.Name, v.Number) != nil, Probe: m.probeOf(st.Name, v.Number),
	}
	if live := m.loaded(st.Name, v.Number); live != nil {
		out.Isolation, out.IsolationReason = string(live.Placed.Isolation), live.Placed.Reason
	}
	if d := st.Current(); d != nil {
		out.Stable, out.Role = d.Stable == v.Number, roleOf(&d.Traffic, v.Number)
	}
	if routes := m.host.Routes(st.Name); routes != nil {
		out.Problem = problem(routes, v.Number)
	}
	return out
}

func roleOf(t *wire.Traffic, n int) string {
	switch {
	case n == t.Stable:
		return "stable"
	case n == t.Shadow:
		return "shadow"
	case t.Has(n):
		return "canary"
	}
	return ""
}

// Deployments lists a model's deployments, newest first.
func (m *Manager) Deployments(model string) ([]wire.Deployment, error) {
	st, err := m.store.State(model)
	if err != nil {
		return nil, err
	}
	list := []wire.Deployment{}
	for i := len(st.Deployments) - 1; i >= 0; i-- {
		list = append(list, deployment(model, &st.Deployments[i]))
	}
	return list, nil
}

// Example returns a golden request body of a version.
func (m *Manager) Example(model string, n int) ([]byte, error) {
	_, v, err := m.find(model, n)
	if err != nil {
		return nil, err
	}
	b, err := m.open(v)
	if err != nil {
		return nil, err
	}
	body, ok, err := b.Example()
	if err == nil && !ok {
		err = fault.New(fault.NotFound, fault.ExampleNotFound,
			"%s/%d has no golden set to take an example from: export it with the kit to get one.", model, n)
	}
	return body, err
}

// Report returns the report of a version's last examination, as it is stored.
func (m *Manager) Report(model string, n int) ([]byte, error) {
	_, v, err := m.find(model, n)
	if err != nil {
		return nil, err
	}
	if v.Report == "" {
		return nil, fault.New(fault.NotFound, fault.ReportNotFound,
			"%s/%d was not compared with a golden set, so there is no report on it: export it with the kit to have one.", model, n)
	}
	blob, _, err := m.store.OpenBlob(v.Report)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	return io.ReadAll(blob)
}

// Log returns the records of a model's log, oldest first.
func (m *Manager) Log(model string) (wire.Log, error) {
	records, err := m.store.Log(model)
	if err != nil {
		return wire.Log{}, err
	}
	out := wire.Log{Records: []json.RawMessage{}}
	for _, r := range records {
		data, err := json.Marshal(r)
		if err != nil {
			return wire.Log{}, err
		}
		out.Records = append(out.Records, data)
	}
	return out, nil
}

// WriteBundle writes the very bundle of a version as a tar; begin is called
// with its digest once it is certain that the version can be read, and its
// error ends the writing before the first byte.
func (m *Manager) WriteBundle(w io.Writer, model string, n int, begin func(digest string) error) error {
	_, v, err := m.find(model, n)
	if err != nil {
		return err
	}
	dir, err := m.store.View(v)
	if err != nil {
		return err
	}
	if err := begin(v.Digest); err != nil {
		return err
	}
	return bundle.WriteTar(w, os.DirFS(dir))
}

func (m *Manager) open(v registry.Version) (*bundle.Bundle, error) {
	dir, err := m.store.View(v)
	if err != nil {
		return nil, err
	}
	return bundle.Open(os.DirFS(dir))
}

// Ready reports whether every deployed version is loaded, or is known to be
// quarantined or unloadable; the list says which is what.
func (m *Manager) Ready() wire.Ready {
	m.mu.Lock()
	out := wire.Ready{Ready: m.resumed, Models: []wire.ModelReady{}}
	for name, n := range m.loading {
		out.Models = append(out.Models, wire.ModelReady{Model: name, Version: n, State: "loading"})
	}
	m.mu.Unlock()
	for _, routes := range m.host.All() {
		if !slices.ContainsFunc(out.Models, func(r wire.ModelReady) bool { return r.Model == routes.Model }) {
			out.Models = append(out.Models, ready(routes))
		}
	}
	slices.SortFunc(out.Models, func(a, b wire.ModelReady) int { return strings.Compare(a.Model, b.Model) })
	return out
}

func ready(r *host.Routes) wire.ModelReady {
	out := wire.ModelReady{Model: r.Model, Version: r.Stable, State: "live"}
	switch {
	case r.Fault != nil:
		out.State, out.Detail = "quarantined", sentence(r.Fault)
	case r.Stable == 0:
		out.State = "not-deployed"
	case r.Missing != 0:
		out.State, out.Detail = "behind", problem(r, r.Missing)
	case r.Failed[r.Stable] != nil && r.Loaded[r.Stable] != nil:
		out.State, out.Detail = "behind", problem(r, r.Stable)
	case r.Failed[r.Stable] != nil:
		out.State, out.Detail = "unloadable", problem(r, r.Stable)
	}
	return out
}

// sentence is what clients may read of an error: a fault's own words.
func sentence(err error) string {
	if e := fault.As(err); e != nil {
		return e.Detail
	}
	return "An internal error; the server's log has the reason."
}

// signature shows a loaded version's columns and outputs; a bare model's are
// its tensors.
func signature(v *host.Version) *wire.Signature {
	out := &wire.Signature{Inputs: []wire.Column{}, Unused: v.Plan.Layout.Unused, Outputs: []wire.Column{}}
	for i := range v.Plan.Layout.Columns {
		c := &v.Plan.Layout.Columns[i]
		column := wire.Column{Name: c.Name, Type: c.Type.String(), Shape: c.Shape, Missing: string(bundle.MissingRefused)}
		if c.Nullable {
			column.Missing = string(bundle.MissingAllowed)
		}
		if sig := v.Bundle.Signature; sig != nil {
			column.Domain, column.Unknown = scalars(sig.Inputs[i].Domain), string(sig.Inputs[i].Unknown)
			column.Minimum, column.Maximum = json.Number(sig.Inputs[i].Minimum.Key()), json.Number(sig.Inputs[i].Maximum.Key())
		}
		out.Inputs = append(out.Inputs, column)
	}
	for i := range v.Plan.Outputs {
		o := &v.Plan.Outputs[i]
		column := wire.Column{Name: o.Name, Type: o.Type.String(), Kind: string(o.Kind), Shape: o.Shape, Finite: o.Finite}
		if sig := v.Bundle.Signature; sig != nil {
			column.Classes = scalars(sig.Outputs[i].Classes)
		} else {
			for _, class := range o.Classes {
				column.Classes = append(column.Classes, class)
			}
		}
		out.Outputs = append(out.Outputs, column)
	}
	return out
}

func scalars(list []bundle.Scalar) []any {
	var out []any
	for _, s := range list {
		out = append(out, s)
	}
	return out
}
