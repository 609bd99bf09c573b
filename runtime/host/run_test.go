package host_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/host"
)

// gate is a Compute that lets runs through one by one and counts those inside.
type gate struct {
	open         chan struct{}
	inside, most atomic.Int64
}

func newGate() *gate { return &gate{open: make(chan struct{})} }

func (g *gate) compute(ctx context.Context, graph engine.Graph, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	n := g.inside.Add(1)
	defer g.inside.Add(-1)
	for most := g.most.Load(); n > most && !g.most.CompareAndSwap(most, n); most = g.most.Load() {
	}
	select {
	case <-g.open:
		return itself(ctx, graph, in)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serving is a host with version 1 live behind a gate.
func serving(t *testing.T, options host.Options) (*host.Host, *engine.Fake, *gate) {
	g := newGate()
	fake := &engine.Fake{Compute: g.compute}
	h := host.New(fake, options)
	live(h, load(t, h, 1))
	return h, fake, g
}

// start sends a request in the background; its error comes back.
func start(ctx context.Context, t *testing.T, h *host.Host) <-chan error {
	l := acquire(t, h)
	ended := make(chan error, 1)
	go func() {
		answer, err := predict(ctx, l)
		l.Release()
		if err == nil && answer != `[{"y0":1}]` {
			err = fmt.Errorf("the answer is %s", answer)
		}
		ended <- err
	}()
	return ended
}

func TestNoMoreRunsAtOnceThanAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const runs, requests = 3, 10
		h, fake, g := serving(t, host.Options{Runs: runs})
		var ended []<-chan error
		for range requests {
			ended = append(ended, start(t.Context(), t, h))
		}
		for left := requests; left > 0; left-- {
			synctest.Wait()
			running := min(left, runs)
			if got := h.Gauges(); got != (host.Gauges{Running: running, Waiting: left - running, Loaded: 1}) {
				t.Errorf("with %d requests left the gauges are %+v", left, got)
			}
			if n := g.inside.Load(); n != int64(running) {
				t.Errorf("with %d requests left %d run", left, n)
			}
			g.open <- struct{}{}
		}
		for _, e := range ended {
			if err := <-e; err != nil {
				t.Error(err)
			}
		}
		if most := g.most.Load(); most != runs {
			t.Errorf("%d runs at once, want %d", most, runs)
		}
		closed(t, h, fake)
	})
}

func TestAFullQueueRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, fake, g := serving(t, host.Options{Runs: 1, Queued: 2})
		var ended []<-chan error
		for range 3 { // one runs, two wait
			ended = append(ended, start(t.Context(), t, h))
		}
		synctest.Wait()
		want(t, <-start(t.Context(), t, h), fault.Unavailable, fault.Overloaded, "2 requests waiting, which is its limit (runtime.max_queued)")
		g.open <- struct{}{} // the first ends, so one place is free again
		synctest.Wait()
		ended = append(ended, start(t.Context(), t, h))
		synctest.Wait()
		if n := h.Gauges().Waiting; n != 2 {
			t.Errorf("%d requests wait, want 2", n)
		}
		close(g.open)
		for i, e := range ended {
			if err := <-e; err != nil {
				t.Errorf("request %d: %v", i, err)
			}
		}
		closed(t, h, fake)
	})
}

func TestAContextEndsWhileItIsQueuedOrRuns(t *testing.T) {
	const limit = 30 * time.Second
	tests := []struct {
		name   string
		cancel bool
		kind   fault.Kind
		code   fault.Code
		says   string
	}{
		{"deadline", false, fault.Timeout, fault.Deadline, "(server.request_timeout)"},
		{"cancelled", true, fault.Canceled, fault.ClientGone, "closed the connection"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, fake, g := serving(t, host.Options{Runs: 1})
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				started := time.Now()
				running, queued := start(ctx, t, h), start(ctx, t, h)
				synctest.Wait()
				if got := h.Gauges(); got.Running != 1 || got.Waiting != 1 {
					t.Fatalf("the gauges are %+v", got)
				}
				if test.cancel {
					cancel()
				}
				want(t, <-running, test.kind, test.code, test.says)
				want(t, <-queued, test.kind, test.code, test.says)
				if took := time.Since(started); !test.cancel && took != limit {
					t.Errorf("it took %v, want %v", took, limit)
				}
				synctest.Wait()
				if got := h.Gauges(); got.Running != 0 || got.Waiting != 0 {
					t.Errorf("afterwards the gauges are %+v", got)
				}
				next := start(t.Context(), t, h)
				g.open <- struct{}{}
				if err := <-next; err != nil {
					t.Errorf("the next request fails: %v", err)
				}
				closed(t, h, fake)
			})
		})
	}
}

func TestTimingSaysWhereTheTimeWent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const run = 2 * time.Second
		fake := &engine.Fake{Compute: func(ctx context.Context, g engine.Graph, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
			<-time.After(run) // the bubble's clock
			return itself(ctx, g, in)
		}}
		h := host.New(fake, host.Options{Runs: 1})
		live(h, load(t, h, 1))
		timings := make(chan host.Timing, 2)
		for range 2 {
			go func() {
				l := acquire(t, h)
				defer l.Release()
				f := l.Plan.Frame()
				if err := tensor.NewDecoder(tensor.NewScanner([]byte(`[7]`)), f).Rows("instances"); err != nil {
					t.Error(err)
				}
				_, timing, err := l.Predict(t.Context(), f)
				if err != nil {
					t.Error(err)
				}
				timings <- timing
			}()
		}
		for _, want := range []host.Timing{{Queue: 0, Run: run}, {Queue: run, Run: run}} {
			if got := <-timings; got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		synctest.Wait()
		closed(t, h, fake)
	})
}

// TestFailuresPass: an error that is no end of a context comes back as it is,
// and the run's place is free again.
func TestFailuresPass(t *testing.T) {
	broken := errors.New("out of memory")
	failing := atomic.Bool{}
	fake := &engine.Fake{}
	fake.Compute = func(ctx context.Context, g engine.Graph, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
		if failing.Load() {
			return nil, broken
		}
		return itself(ctx, g, in)
	}
	h := host.New(fake, host.Options{Runs: 1})
	live(h, load(t, h, 1))
	l := acquire(t, h)
	for range 3 {
		failing.Store(true)
		if _, err := predict(t.Context(), l); !errors.Is(err, broken) || fault.As(err) != nil {
			t.Errorf("got %v", err)
		}
		failing.Store(false)
		if got, err := predict(t.Context(), l); err != nil || got != `[{"y0":1}]` {
			t.Errorf("got %s, %v", got, err)
		}
	}
	l.Release()
	closed(t, h, fake)
}

// TestAPanicGivesItsRunBack: the handler recovers, and the place of the run
// must not be lost.
func TestAPanicGivesItsRunBack(t *testing.T) {
	panics := true
	fake := &engine.Fake{Compute: func(ctx context.Context, g engine.Graph, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
		if panics {
			panic("in the engine")
		}
		return itself(ctx, g, in)
	}}
	h := host.New(fake, host.Options{Runs: 1})
	live(h, load(t, h, 1))
	l := acquire(t, h)
	func() {
		defer func() {
			if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "in the engine") {
				t.Errorf("recovered %v", r)
			}
		}()
		_, err := predict(t.Context(), l)
		t.Errorf("came back with %v", err)
	}()
	panics = false
	if g := h.Gauges(); g.Running != 0 {
		t.Errorf("%d runs are left", g.Running)
	}
	if _, err := predict(t.Context(), l); err != nil {
		t.Error(err)
	}
	l.Release()
	closed(t, h, fake)
}
