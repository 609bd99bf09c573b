package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
)

// Options are what an Engine is made of; Command and Name are needed.
type Options struct {
	// Command returns a command that calls Serve with that many lanes, not
	// started yet.
	Command func(lanes int) *exec.Cmd
	// Name is the version of the engine that the child has.
	Name string
	// Lanes is how many runs of a session may go on at once; 0: as many as cores.
	Lanes int
	// Grace is how long a run may go on after its context has ended before its
	// process is ended; 0: a second.
	Grace time.Duration
	Log   *slog.Logger // 0: the default one
}

// Engine runs each session in a process of its own. It is safe for concurrent
// use.
type Engine struct {
	options  Options
	restarts atomic.Int64
}

var _ engine.Engine = (*Engine)(nil)

// New returns an engine that has started nothing yet.
func New(o Options) *Engine {
	if o.Lanes <= 0 {
		o.Lanes = runtime.GOMAXPROCS(0)
	}
	if o.Grace <= 0 {
		o.Grace = time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Engine{options: o}
}

// Version implements engine.Engine.
func (e *Engine) Version() string { return e.options.Name }

// Restarts is how often a process was started in the place of one that died.
func (e *Engine) Restarts() int64 { return e.restarts.Load() }

// Load implements engine.Engine. A graph that ends the process is refused, as
// one that ONNX Runtime refuses is.
func (e *Engine) Load(ctx context.Context, g engine.Graph) (engine.Session, error) {
	if g.Path != "" { // the child has a working directory of its own
		path, err := filepath.Abs(g.Path)
		if err != nil {
			return nil, err
		}
		g.Path = path
	}
	p, err := e.open(ctx, g)
	if err != nil {
		return nil, err
	}
	s := &session{engine: e, graph: g, life: make(chan struct{}), changed: make(chan struct{}), now: p}
	s.watching.Go(func() { s.watch(p) })
	return s, nil
}

// open starts a process and loads the graph in it.
func (e *Engine) open(ctx context.Context, g engine.Graph) (*process, error) {
	p, err := start(e.options.Command(e.options.Lanes), e.options.Lanes, e.options.Grace)
	if err != nil {
		return nil, fmt.Errorf("a worker could not be started: %w", err)
	}
	err = p.load(ctx, g)
	if err == nil {
		return p, nil
	}
	p.kill()
	if errors.Is(err, errDied) || errors.Is(err, errUnsent) {
		return nil, fault.New(fault.Unprocessable, fault.ModelRefused,
			"The model was refused: the process that loaded it ended by %s; the server is unharmed.", p.cause).
			Because(fmt.Errorf("%w: %s", err, p.said.String()))
	}
	return nil, err
}

// session is one graph and the process that has it now.
type session struct {
	engine   *Engine
	graph    engine.Graph
	watching sync.WaitGroup
	life     chan struct{} // closed with the session

	mu      sync.Mutex
	now     *process      // nil while there is none
	changed chan struct{} // closed when now changes
}

// Run implements engine.Session.
func (s *session) Run(ctx context.Context, inputs []*tensor.Tensor) ([]*tensor.Tensor, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for {
		p, err := s.process(ctx)
		if err != nil {
			return nil, err
		}
		outputs, err := p.run(ctx, inputs)
		switch {
		case errors.Is(err, errUnsent):
			continue // it died before, which costs this run nothing
		case errors.Is(err, errDied):
			return nil, p.died()
		default:
			return outputs, err
		}
	}
}

// restartPatience is how long a call waits for a process that is being
// started again: no longer than half of the time that it has, so that whoever
// asks another version then has the other half, and hears what happened.
const restartPatience = time.Second

func patienceOf(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(restartPatience, time.Until(deadline)/2)
	}
	return restartPatience
}

// process is the process of now, waited for a while.
func (s *session) process(ctx context.Context) (*process, error) {
	var patience <-chan time.Time
	for {
		s.mu.Lock()
		p, changed := s.now, s.changed
		s.mu.Unlock()
		if p != nil && !p.isDead() {
			return p, nil
		}
		if patience == nil {
			timer := time.NewTimer(patienceOf(ctx))
			defer timer.Stop()
			patience = timer.C
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-patience:
			return nil, fault.New(fault.Unavailable, fault.WorkerDied,
				"The process that runs this model goes on ending and is being started again: try again in a moment.")
		}
	}
}

func (s *session) set(p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = p
	close(s.changed)
	s.changed = make(chan struct{})
}

// Pauses between starts: none after the first death, then growing. A process
// that has lived a while begins anew.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
	healthy    = 30 * time.Second
)

// watch starts another process whenever one has died, until the session closes.
func (s *session) watch(p *process) {
	pause := time.Duration(0)
	for {
		started := time.Now()
		select {
		case <-s.life:
			return
		case <-p.dead:
		}
		s.set(nil)
		log := s.engine.options.Log
		log.Error("a worker ended", "model", s.graph.Name, "cause", p.cause, "said", p.said.String())
		if time.Since(started) > healthy {
			pause = 0
		}
		for {
			if !s.sleep(pause) {
				return
			}
			pause = min(max(2*pause, firstPause), lastPause)
			again, err := s.again()
			if err == nil {
				p = again
				s.engine.restarts.Add(1)
				break
			}
			log.Error("a worker could not be started again", "model", s.graph.Name, "error", err)
		}
		s.set(p)
		log.Info("a worker is back", "model", s.graph.Name)
	}
}

// again opens a process, unless the session closes before it is done.
func (s *session) again() (*process, error) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		select {
		case <-s.life:
			stop()
		case <-ctx.Done():
		}
	}()
	return s.engine.open(ctx, s.graph)
}

func (s *session) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.life:
		return false
	case <-timer.C:
		return true
	}
}

// Close implements engine.Session. The child ends with its socket.
func (s *session) Close() error {
	close(s.life)
	s.watching.Wait()
	s.mu.Lock()
	p := s.now
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	_ = p.control.Close() // which is how the child learns of it
	select {
	case <-p.dead:
	case <-time.After(s.engine.options.Grace):
		p.kill()
	}
	return nil
}
