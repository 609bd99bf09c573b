package lifecycle

import (
	"context"
	"encoding/json"
	"os"
	"slices"

	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/registry"
)

// stale reports whether a version's verdict has to be found again: it never
// was, because it was registered before there were examinations, or it was
// found with another engine or processor. The latter matters where the version
// is live, and where the verdict keeps it from being deployed.
func (m *Manager) stale(v registry.Version, live bool) bool {
	switch {
	case v.Deleted:
		return false
	case v.Report == "":
		return v.Parity == registry.ParityNotProven
	default:
		return m.runtime != "" && v.With != m.runtime && (live || v.Parity == registry.ParityFailed)
	}
}

// examineStale examines the versions whose verdict has to be found again,
// those of a model that are live first. It runs beside the serving, one at a
// time, and ends with ctx. A later start goes on where this one was ended.
func (m *Manager) examineStale(ctx context.Context) {
	names, err := m.store.Models()
	if err != nil {
		return
	}
	for _, name := range names {
		st, err := m.store.State(name)
		if err != nil {
			continue
		}
		live := wanted(st)
		order := slices.Clone(live)
		for _, v := range present(st) {
			if !slices.Contains(live, v.Number) {
				order = append(order, v.Number)
			}
		}
		for _, n := range order {
			if ctx.Err() != nil {
				return
			}
			if v, _ := st.Version(n); m.stale(v, slices.Contains(live, n)) {
				m.examineAgain(ctx, st, v)
			}
		}
	}
}

// examineLive does the same for one version that has become live, where it was
// examined elsewhere.
func (m *Manager) examineLive(st *registry.State, n int) {
	if v, _ := st.Version(n); v.Report != "" && m.life.Err() == nil && m.stale(v, true) {
		m.background.Go(func() { m.examineAgain(m.life, st, v) })
	}
}

// examineAgain examines a registered version and records the verdict. What
// was let in although it differs stays overridden.
func (m *Manager) examineAgain(ctx context.Context, st *registry.State, v registry.Version) {
	dir, err := m.store.View(v)
	if err != nil {
		return // quarantined; verify names it
	}
	if b, err := bundle.Open(os.DirFS(dir)); err != nil || b.Signature == nil || !b.HasGolden() {
		return
	}
	log := m.log.With("model", st.Name, "version", v.Number, "before", v.With, "now", m.runtime)
	report, err := m.examine(ctx, Staged{st.Name, dir}, func(string, int, int) {})
	if ctx.Err() != nil {
		return // the next start does it
	}
	if err != nil || report == nil {
		log.Error("an earlier version could not be examined", "error", err)
		return
	}
	verdict := registry.NewVersion{Parity: registry.ParityProven, With: m.runtime, Loosened: report.Loosened}
	switch {
	case v.Parity == registry.ParityOverridden:
		verdict.Parity = registry.ParityOverridden
	case !report.Passed:
		verdict.Parity = registry.ParityFailed
	}
	if verdict.Report, err = json.Marshal(report); err == nil {
		err = m.judgeAgain(ctx, st.Name, v.Number, verdict)
	}
	switch {
	case err != nil:
		log.Error("a verdict could not be recorded", "error", err)
	case verdict.Parity == registry.ParityFailed:
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
