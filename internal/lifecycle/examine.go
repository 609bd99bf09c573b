package lifecycle

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
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

// Warmer sends a few golden requests to a version that is loaded and not yet
// routed. An error says why it must not be routed.
type Warmer interface {
	Warm(ctx context.Context, v *host.Version) error
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
// every node of the graph and to size its memory.
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

// examineEarlier examines the versions that were registered before there were
// examinations, those in traffic first. It runs beside the serving, one at a
// time, and ends with ctx.
func (m *Manager) examineEarlier(ctx context.Context) {
	names, err := m.store.Models()
	if err != nil {
		return
	}
	for _, name := range names {
		st, err := m.store.State(name)
		if err != nil {
			continue
		}
		for _, v := range present(st) {
			if ctx.Err() != nil {
				return
			}
			if v.Parity == registry.ParityNotProven && v.Report == "" {
				m.examineAgain(ctx, st, v)
			}
		}
	}
}

// examineAgain examines a registered version and records the verdict.
func (m *Manager) examineAgain(ctx context.Context, st *registry.State, v registry.Version) {
	dir, err := m.store.View(v)
	if err != nil {
		return // quarantined; verify names it
	}
	if b, err := bundle.Open(os.DirFS(dir)); err != nil || b.Signature == nil || !b.HasGolden() {
		return
	}
	log := m.log.With("model", st.Name, "version", v.Number)
	report, err := m.examine(ctx, Staged{st.Name, dir}, func(string, int, int) {})
	if ctx.Err() != nil {
		return // the next start does it
	}
	if err != nil || report == nil {
		log.Error("an earlier version could not be examined", "error", err)
		return
	}
	verdict := registry.NewVersion{Parity: registry.ParityProven}
	if !report.Passed {
		verdict.Parity = registry.ParityFailed
	}
	if verdict.Report, err = json.Marshal(report); err == nil {
		err = m.judgeAgain(ctx, st.Name, v.Number, verdict)
	}
	switch {
	case err != nil:
		log.Error("a verdict could not be recorded", "error", err)
	case !report.Passed:
		log.Error("an earlier version does not answer as its pipeline did", "summary", report.Summary)
	default:
		log.Info("an earlier version was examined", "parity", verdict.Parity, "summary", report.Summary)
	}
}

// judgeAgain records a later verdict and shows it on the version that serves.
// A version that is being loaded meanwhile would miss it, hence the lock.
func (m *Manager) judgeAgain(ctx context.Context, model string, n int, verdict registry.NewVersion) error {
	lock := m.change(model)
	lock.Lock()
	defer lock.Unlock()
	if err := m.store.RecordExamined(ctx, model, n, verdict, Stamp{Actor: "examination"}); err != nil {
		return err
	}
	if live := m.loaded(model, n); live != nil {
		live.Judge(string(verdict.Parity))
	}
	return nil
}
