package host

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
)

// Options bound what the host does at once. Zero values take the defaults.
type Options struct {
	Runs    int // concurrent runs; 0: as many as GOMAXPROCS
	Queued  int // requests that wait for a run; beyond it they are refused; 0: 1024, negative: none may wait
	Threads int // within one run; 0: 1

	Process   engine.Engine // runs graphs in other processes; nil: all are Shared
	Isolation Isolation     // of versions whose source says nothing

	// Drain is how long a version that is in no traffic any more may be held by
	// runs before the log says so; 0: a minute. Runs have deadlines of their own.
	Drain time.Duration
	Log   *slog.Logger // nil: the default one
}

// Host holds the live versions of all models.
type Host struct {
	engine  engine.Engine
	options Options
	slots   lanes // of what callers wait for; versions on trial have their own
	events  events
	ending  ending

	writing sync.Mutex
	routes  atomic.Pointer[map[string]*Routes]
}

// New returns a host without models.
func New(e engine.Engine, options Options) *Host {
	if options.Runs <= 0 {
		options.Runs = runtime.GOMAXPROCS(0)
	}
	if options.Queued == 0 {
		options.Queued = 1024
	}
	if options.Drain <= 0 {
		options.Drain = time.Minute
	}
	if options.Log == nil {
		options.Log = slog.Default()
	}
	h := &Host{engine: e, options: options}
	h.slots.open(options.Runs, options.Queued)
	h.events.queue = make(chan *Event, queuedEvents)
	h.routes.Store(&map[string]*Routes{})
	return h
}

// Engine names the engine and its version.
func (h *Host) Engine() string { return h.engine.Version() }

// Opset is the newest standard operator set that the engine runs, 0 where it
// does not say.
func (h *Host) Opset() int64 {
	if e, ok := h.engine.(interface{ Opset() int64 }); ok {
		return e.Opset()
	}
	return 0
}

// Close lets go of all versions; it is called when no request is left.
func (h *Host) Close() {
	h.writing.Lock()
	old := h.table()
	h.routes.Store(&map[string]*Routes{})
	h.writing.Unlock()
	for _, routes := range old {
		for _, v := range routes.Loaded {
			h.retire(v)
		}
	}
}

// Gauges are the host's numbers at one moment, for metrics.
type Gauges struct {
	Running, Waiting, Loaded int
	Failed                   int   // versions that should be loaded and could not be
	Quarantined              int   // models of which nothing is served
	Ending                   int   // versions out of all traffic that a run still holds
	Restarts                 int64 // of other processes that died
	Dropped                  int64 // events that nobody was told of
}

// Gauges returns how busy the host is.
func (h *Host) Gauges() Gauges {
	g := Gauges{
		Running: len(h.slots.taken), Waiting: int(h.slots.waiting.Load()),
		Dropped: h.events.dropped.Load(), Ending: h.ending.count(),
	}
	if process, ok := h.options.Process.(interface{ Restarts() int64 }); ok {
		g.Restarts = process.Restarts()
	}
	for _, routes := range h.table() {
		g.Loaded += len(routes.Loaded)
		for _, v := range routes.Loaded {
			g.Running += len(v.trials.taken)
			g.Waiting += int(v.trials.waiting.Load())
		}
		if routes.Fault != nil {
			g.Quarantined++
		}
		for _, err := range routes.Failed {
			if !fault.Is(err, fault.NotReady) {
				g.Failed++
			}
		}
	}
	return g
}

// Idle reports whether a request would be run at once.
func (h *Host) Idle() bool {
	g := h.Gauges()
	return g.Waiting == 0 && g.Running < cap(h.slots.taken)
}

// Lease pins one version while one request runs.
type Lease struct {
	*Version
	Role   Role
	host   *Host
	routes *Routes // that chose it; nil in a probe
}

// Release lets go of the version. It is called once.
func (l Lease) Release() { l.Drop() }

// Timing says where the time of a prediction went.
type Timing struct{ Queue, Run time.Duration }

// Predict runs a decoded request and returns its logical outputs, which do not
// share memory with the frame. It waits for one of the host's runs; a full
// queue, a passed deadline and a row without an answer are faults.
func (l Lease) Predict(ctx context.Context, frame *tensor.Frame) ([]tensor.Output, Timing, error) {
	raw, timing, err := l.run(ctx, frame.Feeds())
	if err != nil {
		return nil, timing, stopped(err)
	}
	outs, err := l.Plan.Results(raw, frame.Rows)
	if err == nil {
		err = l.Plan.HoldFinite(outs, frame)
	}
	return outs, timing, err
}

// Asked is what a version said to a request that no caller waits for.
type Asked struct {
	Rows    int // as the version reads them
	Outputs []tensor.Output
	Timing  Timing
	Err     error
}

// Ask reads a request with decode and runs it. A bug that the version brings to
// light fails the request, not the server.
func (l Lease) Ask(ctx context.Context, decode func(*tensor.Frame) error) (asked Asked) {
	defer func() {
		if cause := recover(); cause != nil {
			asked.Outputs, asked.Err = nil, fmt.Errorf("panic: %v", cause)
		}
	}()
	frame := l.Plan.Frame()
	defer l.Plan.Recycle(frame)
	if asked.Err = decode(frame); asked.Err != nil {
		return asked
	}
	asked.Rows = frame.Rows
	asked.Outputs, asked.Timing, asked.Err = l.Predict(ctx, frame)
	return asked
}

func (l Lease) run(ctx context.Context, feeds []*tensor.Tensor) (raw []*tensor.Tensor, t Timing, err error) {
	started := time.Now()
	lanes := &l.host.slots
	if l.Role.onTrial() {
		lanes = &l.trials
	}
	if err := lanes.enter(ctx); err != nil {
		return nil, t, err
	}
	defer lanes.leave()
	t.Queue = time.Since(started)
	raw, err = l.session.Run(ctx, feeds)
	t.Run = time.Since(started) - t.Queue
	return raw, t, err
}

// lanes are the runs that may be in progress at once, and those who wait for one.
type lanes struct {
	taken   chan struct{}
	waiting atomic.Int64
	most    int64 // that may wait
}

func (l *lanes) open(runs, queued int) {
	l.taken, l.most = make(chan struct{}, runs), int64(max(queued, 0))
}

// enter waits for a run. More runs than cores only make every one slower.
func (l *lanes) enter(ctx context.Context) error {
	select {
	case l.taken <- struct{}{}:
		return nil
	default:
	}
	if l.waiting.Add(1) > l.most {
		l.waiting.Add(-1)
		return fault.New(fault.Unavailable, fault.Overloaded,
			"The server has %d requests waiting, which is its limit (runtime.max_queued): try again in a moment.", l.most)
	}
	defer l.waiting.Add(-1)
	select {
	case l.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *lanes) leave() { <-l.taken }
