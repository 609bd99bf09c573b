package lifecycle

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/ref"
	"github.com/tenon-ml/tenon/registry"
	"github.com/tenon-ml/tenon/runtime/host"
)

// The results of a probe, as the metric names them.
const (
	ProbeOK      = "ok"      // the answers are the pipeline's
	ProbeFailed  = "failed"  // they are not
	ProbeSkipped = "skipped" // clients wanted what it would have taken
	ProbeError   = "error"   // the golden set could not be read
)

// probes is what is known of the live versions by asking them from time to
// time. It is forgotten when the server starts.
type probes struct {
	mu    sync.Mutex
	last  place
	known map[place]*probed
}

// place is a version.
type place struct {
	model  string
	number int
}

func (p place) compare(o place) int {
	return cmp.Or(cmp.Compare(p.model, o.model), cmp.Compare(p.number, o.number))
}

// probed is what came of probing one loaded version.
type probed struct {
	turn    int
	counts  map[string]int
	verdict *wire.Probe // nil until a probe has been to its end
}

// ProbeStat is what metrics show of one version.
type ProbeStat struct {
	Model   string
	Version int
	OK      bool
	Judged  bool           // whether OK means anything
	Counts  map[string]int // by result
}

// probe asks the next live version at every tick, until ctx ends.
func (m *Manager) probe(ctx context.Context) {
	if m.ticks == nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.ticks:
			m.ProbeNext(ctx)
		}
	}
}

// ProbeNext asks the version that is next in turn among those that are loaded
// and proven: of the others it is known that they differ, or not known. Every
// tick calls it.
func (m *Manager) ProbeNext(ctx context.Context) {
	at, turn, ok := m.nextProbe()
	if !ok {
		return
	}
	lease, err := m.host.Acquire(ctx, ref.Reference{Model: at.model, Version: at.number}, "")
	if err != nil {
		return // it was taken down meanwhile
	}
	defer lease.Release()
	report, err := m.warmer.Probe(ctx, lease.Version, turn)
	if ctx.Err() == nil {
		m.noteProbe(at, report, err)
	}
}

// nextProbe chooses the version, and forgets those that are gone.
func (m *Manager) nextProbe() (at place, turn int, ok bool) {
	live := m.probable()
	p := &m.probes
	p.mu.Lock()
	defer p.mu.Unlock()
	for old := range p.known {
		if !slices.Contains(live, old) {
			delete(p.known, old)
		}
	}
	if len(live) == 0 {
		return at, 0, false
	}
	at = live[0]
	for _, next := range live {
		if next.compare(p.last) > 0 {
			at = next
			break
		}
	}
	p.last = at
	if known := p.known[at]; known != nil {
		turn = known.turn
	}
	return at, turn, true
}

// probable lists the loaded versions that are proven, in order.
func (m *Manager) probable() []place {
	var list []place
	for _, routes := range m.host.All() {
		for n, v := range routes.Loaded {
			if provable(v) && v.Parity() == string(registry.ParityProven) {
				list = append(list, place{routes.Model, n})
			}
		}
	}
	slices.SortFunc(list, place.compare)
	return list
}

func provable(v *host.Version) bool { return v.Bundle.Signature != nil && v.Bundle.HasGolden() }

// noteProbe keeps what came of a probe, and says so in the log once for each
// change.
func (m *Manager) noteProbe(at place, report *wire.Report, err error) {
	log := m.log.With("model", at.model, "version", at.number)
	result := ProbeOK
	switch {
	case err != nil:
		result = ProbeError
		log.Warn("a live version could not be probed", "error", err)
	case report == nil:
		result = ProbeSkipped
	case !report.Passed:
		result = ProbeFailed
	}
	p := &m.probes
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[place]*probed{}
	}
	known := p.known[at]
	if known == nil {
		known = &probed{counts: map[string]int{}}
		p.known[at] = known
	}
	known.counts[result]++
	if report == nil {
		return // the same requests again, another time
	}
	known.turn++
	before := known.verdict == nil || known.verdict.OK
	known.verdict = &wire.Probe{OK: report.Passed, At: m.now().UTC().Truncate(time.Second), Rows: report.Rows, Summary: report.Summary}
	switch {
	case before && !report.Passed:
		log.Error("a live version does not answer as its pipeline did", "summary", report.Summary, "detail", firstDetail(report))
	case !before && report.Passed:
		log.Info("a live version answers as its pipeline did again", "summary", report.Summary)
	}
}

func firstDetail(r *wire.Report) string {
	if len(r.Worst) == 0 {
		return ""
	}
	return "request " + r.Worst[0].Request + ": " + r.Worst[0].Detail
}

// probeOf returns what the last probe of a version found, nil where there was
// none.
func (m *Manager) probeOf(model string, n int) *wire.Probe {
	m.probes.mu.Lock()
	defer m.probes.mu.Unlock()
	if known := m.probes.known[place{model, n}]; known != nil && known.verdict != nil {
		shown := *known.verdict
		return &shown
	}
	return nil
}

// ProbeStats lists the loaded versions that have a golden set, for metrics. A
// version is well that is proven, and was not found to answer otherwise since.
func (m *Manager) ProbeStats() []ProbeStat {
	var list []ProbeStat
	for _, routes := range m.host.All() {
		for n, v := range routes.Loaded {
			if provable(v) {
				list = append(list, m.probeStat(place{routes.Model, n}, v.Parity()))
			}
		}
	}
	return list
}

func (m *Manager) probeStat(at place, parity string) ProbeStat {
	s := ProbeStat{
		Model: at.model, Version: at.number, Counts: map[string]int{},
		OK: parity == string(registry.ParityProven), Judged: parity == string(registry.ParityProven) || parity == string(registry.ParityFailed),
	}
	m.probes.mu.Lock()
	defer m.probes.mu.Unlock()
	if known := m.probes.known[at]; known != nil {
		s.OK = s.OK && (known.verdict == nil || known.verdict.OK)
		for result, n := range known.counts {
			s.Counts[result] = n
		}
	}
	return s
}
