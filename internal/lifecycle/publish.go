package lifecycle

import (
	"context"
	"io"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/ref"
	"github.com/tenon-ml/tenon/registry"
	"github.com/tenon-ml/tenon/runtime/host"
)

// Upload is one bundle on its way in: a tar, or a bare ONNX file.
type Upload struct {
	Body io.Reader
	Bare bool
}

// Publish makes an upload a version of the model: it streams to disk while it
// is hashed, is loaded once here, and one record makes it visible. A bundle
// that is a version already answers with that version. Nothing is registered
// when it fails; the faults are those of the bundle and the model (422), of the
// disk (500), and bundle.ReadError for a body that broke off.
func (m *Manager) Publish(ctx context.Context, model string, up Upload, by Stamp) (wire.Published, error) {
	if err := ref.CheckName(model); err != nil {
		return wire.Published{}, err
	}
	in, err := m.store.Ingest()
	if err != nil {
		return wire.Published{}, err
	}
	defer m.discard(in)
	received, err := receive(up, in, m.limits)
	if err != nil {
		return wire.Published{}, err
	}
	if name := received.Manifest.Name; name != "" && name != model {
		return wire.Published{}, fault.New(fault.Unprocessable, fault.NameMismatch,
			"The bundle is of the model %q, and was pushed to %q: push it under its own name, or export it again with the other one.", name, model)
	}
	if v, found, err := m.store.ByDigest(model, received.Digest); err != nil && !fault.Is(err, fault.ModelNotFound) {
		return wire.Published{}, err
	} else if found && m.sound(v) {
		return published(v, true), nil
	}
	if err := m.check(ctx, model, in); err != nil {
		return wire.Published{}, err
	}
	return m.register(ctx, model, in, by)
}

// sound reports whether a version's files are whole. Where they are not, the
// same bundle pushed again puts the right ones in their place.
func (m *Manager) sound(v registry.Version) bool {
	_, err := m.store.View(v)
	return err == nil
}

func receive(up Upload, in *registry.Ingest, limits bundle.Limits) (*bundle.Received, error) {
	if up.Bare {
		return bundle.ReceiveModel(up.Body, in, limits)
	}
	return bundle.Receive(up.Body, in, limits)
}

func (m *Manager) discard(in *registry.Ingest) {
	if err := in.Discard(); err != nil {
		m.log.Error("an upload's folder could not be removed", "error", err)
	}
}

// check loads the upload once, from the layout that it will be served from, so
// that what cannot be loaded is never registered.
func (m *Manager) check(ctx context.Context, model string, in *registry.Ingest) error {
	m.publishing.Lock()
	defer m.publishing.Unlock()
	dir, err := in.View()
	if err != nil {
		return err
	}
	v, err := m.host.Load(ctx, host.Source{Model: model, Dir: dir})
	if err != nil {
		return err
	}
	v.Drop()
	return nil
}

// register records the version and tells the host that it exists.
func (m *Manager) register(ctx context.Context, model string, in *registry.Ingest, by Stamp) (wire.Published, error) {
	lock := m.change(model)
	lock.Lock()
	defer lock.Unlock()
	v, err := m.store.AddVersion(ctx, model, in, registry.NewVersion{Parity: registry.ParityNotProven}, by)
	if err != nil {
		return wire.Published{}, err
	}
	st, err := m.store.State(model)
	if err != nil {
		return wire.Published{}, err
	}
	m.route(ctx, st, nil)
	m.log.Info("a version was registered", "model", model, "version", v.Number, "digest", v.Digest,
		"parity", v.Parity, "actor", by.Actor, "request_id", by.RequestID)
	return published(v, v.Existing), nil
}

func published(v registry.Version, existing bool) wire.Published {
	return wire.Published{
		Model: v.Model, Version: v.Number, Digest: v.Digest, Parity: string(v.Parity), Existing: existing,
	}
}
