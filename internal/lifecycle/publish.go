package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/ref"
	"github.com/tenon-ml/tenon/registry"
)

// Upload is one bundle on its way in: a tar, or a bare ONNX file.
type Upload struct {
	Body io.Reader
	Bare bool
	// AllowFailure lets a version in whose answers are not the pipeline's; it
	// is marked as overridden for ever.
	AllowFailure bool
}

// Publish receives an upload and begins its examination: the bundle streams to
// disk while it is hashed, is loaded and compared in a process of its own, and
// one record makes it visible. It returns as soon as the body is read; the
// operation ends with the version, or with the fault of the bundle or the model
// (422). A bundle that is a version already ends at once with that version.
// Nothing is registered when it fails. A body that broke off is a
// bundle.ReadError.
func (m *Manager) Publish(ctx context.Context, model string, up Upload, by Stamp) (*Operation, error) {
	if err := ref.CheckName(model); err != nil {
		return nil, err
	}
	in, err := m.store.Ingest()
	if err != nil {
		return nil, err
	}
	existing, err := m.receive(ctx, model, up, in, &by)
	if err != nil {
		m.discard(in)
		return nil, err
	}
	o := m.operations.begin(KindPush, model)
	if existing != nil {
		m.discard(in)
		o.end(Outcome{Published: existing}, nil)
		return o, nil
	}
	m.background.Go(func() {
		// The client may leave; a push that was received is a push.
		result, err := m.examineAndRegister(m.life, model, in, up.AllowFailure, by, o.progress)
		if err != nil && m.life.Err() != nil && fault.As(err) == nil {
			err = errStopping
		}
		m.discard(in)
		o.end(Outcome{Published: &result}, err)
	})
	return o, nil
}

// receive reads the upload's body, and returns the version that it is already,
// if it is one. The stamp gets what was asked for.
func (m *Manager) receive(ctx context.Context, model string, up Upload, in *registry.Ingest, by *Stamp) (*wire.Published, error) {
	received, err := receive(up, in, m.limits)
	if err != nil {
		return nil, err
	}
	if name := received.Manifest.Name; name != "" && name != model {
		return nil, fault.New(fault.Unprocessable, fault.NameMismatch,
			"The bundle is of the model %q, and was pushed to %q: push it under its own name, or export it again with the other one.", name, model)
	}
	*by = asked(*by, "push", []any{received.Digest, up.AllowFailure})
	if done, err := publishedBefore(m.store.Repeated(ctx, model, *by)); done != nil || err != nil {
		return done, err
	}
	v, found, err := m.store.ByDigest(model, received.Digest)
	switch {
	case err != nil && !fault.Is(err, fault.ModelNotFound):
		return nil, err
	case found && m.sound(v):
		done := published(v, true)
		return &done, nil
	default:
		return nil, nil
	}
}

// publishedBefore words the answer to a push that was made before; any other
// error stays one.
func publishedBefore(err error) (*wire.Published, error) {
	var again *registry.Repeated
	if !errors.As(err, &again) {
		return nil, err
	}
	done := published(again.Version(), false)
	done.Replayed = true
	return &done, nil
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

// examineAndRegister is the part of a push that the client need not wait for.
// One examination runs at a time, so that two cannot starve what serves.
func (m *Manager) examineAndRegister(
	ctx context.Context, model string, in *registry.Ingest, allowFailure bool, by Stamp, progress Progress,
) (wire.Published, error) {
	dir, err := in.View()
	if err != nil {
		return wire.Published{}, err
	}
	report, err := m.examine(ctx, Staged{model, dir}, progress)
	if err != nil {
		return wire.Published{}, err
	}
	verdict, err := m.judge(report, allowFailure)
	if err != nil {
		return wire.Published{}, err
	}
	return m.register(ctx, model, in, verdict, by)
}

// examine waits for its turn and examines. The end of ctx is the server's end.
func (m *Manager) examine(ctx context.Context, s Staged, progress Progress) (*wire.Report, error) {
	m.publishing.Lock()
	defer m.publishing.Unlock()
	if ctx.Err() != nil {
		return nil, errStopping
	}
	return m.examiner.Examine(ctx, s, progress)
}

// errStopping ends what the server has no time for any more.
var errStopping = fault.New(fault.Unavailable, fault.ShuttingDown,
	"The server stops, and the examination was not ended: nothing was registered. Push again, which is safe.")

// judge draws the conclusion of an examination.
func (m *Manager) judge(report *wire.Report, allowFailure bool) (registry.NewVersion, error) {
	if report == nil {
		return registry.NewVersion{Parity: registry.ParityNotProven}, nil
	}
	verdict := registry.NewVersion{Parity: registry.ParityProven, With: m.runtime, Loosened: report.Loosened}
	if !report.Passed {
		if !allowFailure {
			return verdict, parityFailed(report, "The server's answers are not the pipeline's: %s Nothing was registered. "+
				"Export the model again; allow_parity_failure lets it in as it is, marked as overridden.", report.Summary)
		}
		verdict.Parity = registry.ParityOverridden
	}
	var err error
	verdict.Report, err = json.Marshal(report)
	return verdict, err
}

// register records the version and tells the host that it exists.
func (m *Manager) register(
	ctx context.Context, model string, in *registry.Ingest, verdict registry.NewVersion, by Stamp,
) (wire.Published, error) {
	lock := m.change(model)
	lock.Lock()
	defer lock.Unlock()
	v, err := m.store.AddVersion(ctx, model, in, verdict, by)
	if done, err := publishedBefore(err); err != nil {
		return wire.Published{}, err
	} else if done != nil {
		return *done, nil
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
	out := wire.Published{
		Model: v.Model, Version: v.Number, Digest: v.Digest, Parity: string(v.Parity), Loosened: v.Loosened, Existing: existing,
	}
	if v.Report != "" {
		out.Report = fmt.Sprintf("/v1/models/%s/versions/%d/report", v.Model, v.Number)
	}
	return out
}
