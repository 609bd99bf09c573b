package lifecycle

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/capture"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/registry"
	"github.com/tenon-ml/tenon/runtime/host"
)

// Form is the form of request bodies that are kept and replayed, which is also
// that of golden requests; api/v1 has it.
type Form struct {
	// Decode reads a body into a frame; what is wrong with it is an invalid fault.
	Decode func(body []byte, frame *tensor.Frame) error
	// Row is one row of a body as JSON; nil where there is none.
	Row func(body []byte, row int) json.RawMessage
}

// Record keeps a request of a client where its model's deployment says so, and
// it was answered. It is an observer of the host's events, and never blocks.
func (m *Manager) Record(e *host.Event) {
	c := e.Routes.Capture
	v := e.Routes.Loaded[e.Version]
	if c == nil || v == nil || e.Err != nil || rand.Float64() >= c.Share {
		return
	}
	o := capture.Offer{
		Model: e.Model, Redact: c.Redact,
		Request: capture.Request{ID: e.ID, Time: e.At, Version: e.Version, Body: e.Body},
		Example: func() json.RawMessage { return m.exampleRow(v) },
	}
	if columns := v.Plan.Layout.Columns; len(columns) == 1 {
		o.Only = columns[0].Name
	}
	m.captures.Offer(o)
}

// exampleRow is the first row of a version's first golden request; nil where
// there is none. It is read once.
func (m *Manager) exampleRow(v *host.Version) json.RawMessage {
	at := place{v.Model, v.Number}
	if row, ok := m.examples.Load(at); ok {
		return row.(json.RawMessage)
	}
	body, ok, err := v.Bundle.Example()
	if err != nil {
		m.log.Warn("a version's golden set could not be read; null stands for what is not kept", "model", v.Model, "version", v.Number, "error", err)
		return nil
	}
	var row json.RawMessage
	if ok {
		row = m.form.Row(body, 0)
	}
	m.examples.Store(at, row)
	return row
}

// redactsColumns refuses to leave out columns that no version which answers has:
// a name that is misspelt would have the values kept.
func (m *Manager) redactsColumns(_ context.Context, st *registry.State, d *registry.NewDeployment, loaded fresh) error {
	if d.Capture == nil {
		return nil
	}
	var known []string
	for _, n := range answering(&d.Traffic) {
		v := m.among(loaded, st.Name, n)
		if v == nil {
			continue
		}
		for i := range v.Plan.Layout.Columns {
			known = append(known, v.Plan.Layout.Columns[i].Name)
		}
		known = append(known, v.Plan.Layout.Unused...)
	}
	for i, name := range d.Capture.Redact {
		if !slices.Contains(known, name) {
			return badTraffic(fmt.Sprintf("capture.redact[%d]", i), "no version that answers has a column %.64q", name)
		}
	}
	return nil
}

// captured says how much of a model is kept; nil where nothing is, and nothing
// is to be.
func (m *Manager) captured(st *registry.State) *wire.Captures {
	c, err := m.captures.Captures(st.Name)
	if err != nil {
		m.log.Error("captured requests cannot be listed", "model", st.Name, "error", err)
		return nil
	}
	if d := st.Current(); c.Requests == 0 && (d == nil || d.Capture == nil) {
		return nil
	}
	return &c
}

// EraseCaptures removes all that is kept of a model's requests, and what the
// examples of rehearsals show of them, and says how much that was. A deployment that keeps requests goes on with those that come.
func (m *Manager) EraseCaptures(model string, by Stamp) (wire.Captures, error) {
	if _, err := m.store.State(model); err != nil {
		return wire.Captures{}, err
	}
	gone, err := m.captures.Erase(model)
	for _, o := range m.Operations() {
		if o.model == model {
			o.withoutExamples()
		}
	}
	if err != nil {
		return gone, fault.New(fault.Internal, fault.StorageFailed,
			"The captured requests of %q could not be erased, or not all of them: try again.", model).Because(err)
	}
	m.log.Info("captured requests were erased", "model", model, "requests", gone.Requests, "actor", by.Actor, "request_id", by.RequestID)
	return gone, nil
}
