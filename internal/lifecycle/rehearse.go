package lifecycle

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/capture"
	"github.com/tenon-ml/tenon/internal/divergence"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/registry"
	"github.com/tenon-ml/tenon/runtime/host"
)

// How many requests a rehearsal replays unless it is told otherwise, and at most.
const (
	DefaultReplayed = 1000
	MaxReplayed     = 100_000
)

// mostRehearsals is how many there are that have not ended. One runs at a time,
// and each that waits holds its requests.
const mostRehearsals = 8

// Rehearse begins to replay requests on a version and on another one, which
// tells how they differ before anybody is answered by it. These are requests
// that were captured where there are any, and else the golden ones of the
// version. Versions that are not loaded are, for as long as it takes. The faults:
// not found, conflict (nothing is deployed to compare with, nothing can be
// replayed), invalid, unavailable (too many of them wait).
func (m *Manager) Rehearse(model string, r wire.Rehearse) (*Operation, error) {
	st, err := m.store.State(model)
	if err != nil {
		return nil, err
	}
	if m.operations.open(KindRehearsal) >= mostRehearsals {
		return nil, fault.New(fault.Unavailable, fault.Overloaded,
			"There are %d rehearsals that have not ended, which is the limit: try again when one has (GET /v1/operations).", mostRehearsals)
	}
	p, err := m.plan(st, r)
	if err != nil {
		return nil, err
	}
	o := m.operations.begin(KindRehearsal, model)
	m.background.Go(func() {
		found, err := m.rehearse(m.life, p, o.progress)
		if m.life.Err() != nil {
			err = errRehearsalStopped
		}
		o.end(Outcome{Divergence: found}, err)
	})
	return o, nil
}

var errRehearsalStopped = fault.New(fault.Unavailable, fault.ShuttingDown,
	"The server stops, and the rehearsal was not ended: begin it again, which changes nothing.")

// rehearsal is what is to be replayed on which versions.
type rehearsal struct {
	st       *registry.State
	from, to int
	replayed string
	requests []capture.Request
}

func (m *Manager) plan(st *registry.State, r wire.Rehearse) (*rehearsal, error) {
	if r.Against == 0 {
		now := st.Current()
		if now == nil {
			return nil, fault.New(fault.Conflict, fault.NothingDeployed,
				"The model %q has no version in traffic to compare with: say which one (\"against\", `tenon rehearse --against %s/N`).", st.Name, st.Name)
		}
		r.Against = now.Stable
	}
	if r.Version == r.Against {
		return nil, badRehearsal("against", "version %d would be compared with itself", r.Version)
	}
	for _, n := range []int{r.Version, r.Against} {
		if _, _, err := m.find(st.Name, n); err != nil {
			return nil, err
		}
	}
	if r.Limit == 0 {
		r.Limit = DefaultReplayed
	}
	p := &rehearsal{st: st, from: r.Against, to: r.Version, replayed: wire.ReplayedCaptured}
	var err error
	if p.requests, err = m.captures.Requests(st.Name, r.Limit); err == nil && len(p.requests) == 0 {
		p.replayed = wire.ReplayedGolden
		p.requests, err = m.goldenRequests(st, r.Version, r.Limit)
	}
	if err == nil && len(p.requests) == 0 {
		err = fault.New(fault.Conflict, fault.NothingToReplay,
			"There is nothing to replay: no request of %q was captured, and %s/%d has no golden set. "+
				"Keep some of the requests with `tenon deploy %s/%d --capture 0.01`.", st.Name, st.Name, r.Version, st.Name, r.Against)
	}
	return p, err
}

func badRehearsal(path, format string, args ...any) error {
	e := fault.New(fault.Invalid, fault.InvalidRequest, "This cannot be rehearsed; errors says where.")
	return e.At(path, "request", format, args...)
}

// goldenRequests are the first of a version's golden set.
func (m *Manager) goldenRequests(st *registry.State, n, most int) (list []capture.Request, err error) {
	v, _ := st.Version(n)
	b, err := m.open(v)
	if err != nil {
		return nil, err
	}
	for c, err := range b.Golden() {
		if err != nil {
			return nil, err
		}
		list = append(list, capture.Request{ID: c.ID.Key(), Time: m.now().UTC(), Body: c.Body})
		if len(list) == most {
			break
		}
	}
	return list, nil
}

// rehearse is the part that no request waits for. One rehearsal runs at a time,
// so that two cannot take the time of what serves.
func (m *Manager) rehearse(ctx context.Context, p *rehearsal, progress Progress) (*wire.Divergence, error) {
	m.rehearsing.Lock()
	defer m.rehearsing.Unlock()
	progress("loading", 0, 0)
	from, err := m.aside(ctx, p.st, p.from)
	if err != nil {
		return nil, err
	}
	defer from.Release()
	to, err := m.aside(ctx, p.st, p.to)
	if err != nil {
		return nil, err
	}
	defer to.Release()
	c := divergence.New(p.st.Name, from.Described(), to.Described(), p.requests[0].Time)
	r := &replay{m: m, from: from, to: to, c: c}
	for i := range p.requests {
		r.one(ctx, &p.requests[i])
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		progress("replaying", i+1, len(p.requests))
	}
	found := r.c.Report()
	found.Replayed = p.replayed
	m.log.Info("a version was rehearsed", "model", p.st.Name, "version", p.to, "against", p.from, "summary", found.Summary)
	return &found, nil
}

// aside pins a version that is loaded, or loads it; the caller releases it.
func (m *Manager) aside(ctx context.Context, st *registry.State, n int) (host.Lease, error) {
	if lease, err := m.host.Mirror(st.Name, n); err == nil {
		return lease, nil
	}
	v, err := m.load(ctx, st, n, string(host.Auto))
	if err != nil {
		return host.Lease{}, err
	}
	return m.host.Aside(v), nil
}

// replay sends requests to both versions, one after the other.
type replay struct {
	m        *Manager
	from, to host.Lease
	c        *divergence.Comparison
	hangs    int // requests in a row that one of them did not answer in time
}

// mostHangs is when a version is given up that does not answer: each such
// request takes as long as it may.
const mostHangs = 3

func (r *replay) one(ctx context.Context, request *capture.Request) {
	if r.hangs >= mostHangs {
		r.c.Skip()
		return
	}
	from, rows := r.ask(ctx, r.from, request.Body)
	to, rowsTo := r.ask(ctx, r.to, request.Body)
	switch {
	case from.Err != nil:
		rows = rowsTo
	case to.Err == nil && rows != rowsTo:
		to = divergence.Answer{Err: divergence.OtherRows(rowsTo, rows)}
	}
	r.hangs++
	if !fault.Is(from.Err, fault.Deadline) && !fault.Is(to.Err, fault.Deadline) {
		r.hangs = 0
	}
	if ctx.Err() != nil {
		return
	}
	r.c.Add(&divergence.Request{
		ID: request.ID, Time: request.Time, Rows: rows, From: from, To: to,
		Row: func(row int) json.RawMessage { return r.m.form.Row(request.Body, row) },
	})
}

// ask runs a request on one version, when no caller waits for a run: at the
// latest after a while, or a busy server would never end a rehearsal.
func (r *replay) ask(ctx context.Context, lease host.Lease, body []byte) (divergence.Answer, int) {
	r.m.giveWay(ctx)
	ctx, cancel := context.WithTimeout(ctx, r.m.runTimeout)
	defer cancel()
	asked := lease.Ask(ctx, func(frame *tensor.Frame) error { return r.m.form.Decode(body, frame) })
	return divergence.Answer{Outputs: asked.Outputs, Run: asked.Timing.Run, Err: asked.Err}, asked.Rows
}

// giveWay waits a moment while callers wait for their runs.
func (m *Manager) giveWay(ctx context.Context) {
	const moments, moment = 5, 2 * time.Millisecond
	for range moments {
		if m.host.Idle() {
			return
		}
		select {
		case <-time.After(moment):
		case <-ctx.Done():
			return
		}
	}
}
