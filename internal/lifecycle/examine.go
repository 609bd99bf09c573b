package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/parity"
	"github.com/tenon-ml/tenon/registry"
	"github.com/tenon-ml/tenon/runtime/host"
)

// Staged is a bundle's folder that waits for its examination.
type Staged struct{ Model, Dir string }

// Progress is told how far an examination is: the phase in one word, and the
// golden requests done of all.
type Progress func(phase string, done, total int)

// Examiner loads a staged bundle and compares its answers with the golden set.
// It returns no report for a bundle that has nothing to compare. What is wrong
// with the model is an unprocessable fault; answers that differ are no error,
// but a report that did not pass. cmd supplies one that works in a process of
// its own; Prober is the same without that wall.
type Examiner interface {
	Examine(ctx context.Context, s Staged, progress Progress) (*wire.Report, error)
}

// Warmer sends golden requests to a loaded version, which its caller holds.
type Warmer interface {
	// Warm sends the first few to a version that is not yet routed. An error says
	// why it must not be routed.
	Warm(ctx context.Context, v *host.Version) error

	// Probe sends the next few of turn (0, 1, 2 …, over the whole golden set and
	// then from its beginning) to a version that serves. It steps back for the
	// requests of clients: then, and for a version without a golden set, there is
	// no report.
	Probe(ctx context.Context, v *host.Version, turn int) (*wire.Report, error)
}

// Prober examines and warms versions in this process: it drives the handler
// that requests take, with a context that no client can make.
type Prober struct {
	Host    *host.Host
	Handler http.Handler
	// Failed, where set, is told of a report that did not pass before its causes
	// are sought: the search may bring down the process.
	Failed func(*wire.Report)
}

var (
	_ Examiner = (*Prober)(nil)
	_ Warmer   = (*Prober)(nil)
)

// warmRequests is how many golden requests warm a session: enough to touch
// every node of the graph and to size its memory. As many are a probe.
const warmRequests = 4

// Examine implements Examiner.
func (p *Prober) Examine(ctx context.Context, s Staged, progress Progress) (*wire.Report, error) {
	progress("loading", 0, 0)
	v, err := p.Host.Load(ctx, host.Source{Model: s.Model, Dir: s.Dir})
	if err != nil {
		return nil, err
	}
	defer v.Drop()
	if v.Bundle.Signature == nil || !v.Bundle.HasGolden() {
		return nil, nil
	}
	started := time.Now()
	stamp := func(r *wire.Report) {
		r.Model, r.Engine = s.Model, p.Host.Engine()
		r.Environment = exportedWith(v.Bundle)
		r.Notes = notesOn(r.Environment, v.Bundle.Signature, v.Graph, runsOn{r.Engine, p.Host.Opset()})
		r.Created, r.Seconds = started.UTC(), time.Since(started).Seconds()
	}
	report, err := parity.Examine(host.Probe(ctx, v), p.Handler, path(s.Model), golden(v), func(done, total int) {
		progress("replaying", done, total)
	}, func(failed *wire.Report) {
		stamp(failed)
		if p.Failed != nil {
			p.Failed(failed)
		}
	})
	if err != nil {
		return nil, err
	}
	stamp(report)
	return report, nil
}

// Warm implements Warmer. Wrong answers are only an error for a version that
// is proven: the others are known not to agree, or not known.
func (p *Prober) Warm(ctx context.Context, v *host.Version) error {
	if v.Bundle.Signature == nil || !v.Bundle.HasGolden() {
		return nil
	}
	report, err := parity.Replay(host.Probe(ctx, v), p.Handler, path(v.Model), golden(v), warmRequests, func(int, int) {})
	if err != nil {
		return err
	}
	if !report.Passed && v.Parity() == string(registry.ParityProven) {
		return parityFailed(report, "%s/%d is proven, and the session that was to serve it answers otherwise: %s", v.Model, v.Number, report.Summary)
	}
	return nil
}

// Probe implements Warmer.
func (p *Prober) Probe(ctx context.Context, v *host.Version, turn int) (*wire.Report, error) {
	if v.Bundle.Signature == nil || !v.Bundle.HasGolden() {
		return nil, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stepBack := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.Host.Idle() {
			cancel(errBusy)
			return
		}
		p.Handler.ServeHTTP(w, r)
	})
	part := parity.Part{Turn: turn, Most: warmRequests}
	report, err := parity.ReplayPart(host.Probe(ctx, v), stepBack, path(v.Model), golden(v), part)
	if context.Cause(ctx) == errBusy { //nolint:errorlint // it is this very value
		return nil, nil
	}
	return report, err
}

// errBusy ends a probe when clients want what it would take.
var errBusy = errors.New("the server is busy")

// golden is a version's bundle with the types that its signature leaves to the
// graph: they decide how near answers must be.
func golden(v *host.Version) *bundle.Bundle {
	b, signature := *v.Bundle, *v.Bundle.Signature
	signature.Outputs = slices.Clone(signature.Outputs)
	for i := range signature.Outputs {
		signature.Outputs[i].Type = v.Plan.Outputs[i].Type
	}
	b.Signature = &signature
	return &b
}

// path is where a probe's requests go; the context says to which version.
func path(model string) string { return "/v1/models/" + model + "/predict" }

// parityFailed is the fault that carries a report.
func parityFailed(report *wire.Report, format string, args ...any) error {
	e := fault.New(fault.Unprocessable, fault.ParityFailed, format, args...)
	for _, row := range report.Worst[:min(len(report.Worst), 5)] {
		e.At("request "+row.Request, "parity", "row %d: %s: %s", row.Row, row.Output, row.Detail)
	}
	if data, err := json.Marshal(report); err == nil {
		e.Report = data
	}
	return e
}
