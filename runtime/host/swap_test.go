package host_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/tenon-ml/tenon/internal/ref"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/host"
)

// TestASwapLetsTheRunningEnd: a request ends on the version it began with, and
// that version closes with its last release, not before.
func TestASwapLetsTheRunningEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, fake, g := serving(t, host.Options{Runs: 4})
		second := acquire(t, h) // a lease that has not begun to run
		running := start(t.Context(), t, h)
		synctest.Wait()

		live(h, load(t, h, 2))
		if n := acquire(t, h); n.Number != 2 {
			t.Errorf("the traffic goes to version %d", n.Number)
		} else {
			n.Release()
		}
		if n := fake.Open(); n != 2 {
			t.Errorf("%d sessions are open while version 1 runs, want 2", n)
		}
		g.open <- struct{}{}
		if err := <-running; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := fake.Open(); n != 2 {
			t.Errorf("%d sessions are open while version 1 is leased, want 2", n)
		}
		go func() { g.open <- struct{}{} }()
		if answer, err := predict(t.Context(), second); err != nil || answer != `[{"y0":1}]` {
			t.Errorf("the replaced version answers %s, %v", answer, err)
		}
		second.Release()
		if n := fake.Open(); n != 1 {
			t.Errorf("%d sessions are open after the last release, want 1", n)
		}
		closed(t, h, fake)
	})
}

// TestCloseLetsTheLeasedEnd: Close drops the routes, and the last release
// closes the session.
func TestCloseLetsTheLeasedEnd(t *testing.T) {
	fake := &engine.Fake{Compute: itself}
	h := host.New(fake, host.Options{})
	live(h, load(t, h, 1))
	l := acquire(t, h)
	h.Close()
	if n := fake.Open(); n != 1 {
		t.Errorf("%d sessions are open while one is leased", n)
	}
	if answer, err := predict(t.Context(), l); err != nil || answer != `[{"y0":1}]` {
		t.Errorf("got %s, %v", answer, err)
	}
	l.Release()
	if n := fake.Open(); n != 0 {
		t.Errorf("%d sessions are left open", n)
	}
}

// TestRouteKeepsWhatItHadAndDropsWhatItLost, version by version.
func TestRouteKeepsWhatItHadAndDropsWhatItLost(t *testing.T) {
	fake := &engine.Fake{Compute: itself}
	h := host.New(fake, host.Options{})
	one, two, three := load(t, h, 1), load(t, h, 2), load(t, h, 3)
	live(h, one, two)
	live(h, two, one) // another stable version, the same sessions
	if n := fake.Open(); n != 3 {
		t.Errorf("%d sessions are open, want 3", n)
	}
	live(h, three, two)
	if n := fake.Open(); n != 2 {
		t.Errorf("%d sessions are open without version 1, want 2", n)
	}
	again := load(t, h, 2)
	live(h, three, again) // the same number, another session
	if n := fake.Open(); n != 2 {
		t.Errorf("%d sessions are open after a reload, want 2", n)
	}
	if got := h.Routes("iris").Loaded[2]; got != again {
		t.Error("the old session of version 2 is still routed")
	}
	h.Route(&host.Routes{Model: "iris", Known: map[int]bool{1: true}})
	if n := fake.Open(); n != 0 {
		t.Errorf("%d sessions are open with nothing deployed", n)
	}
	if h.Routes("rose") != nil || len(h.All()) != 1 {
		t.Error("the host knows other models than iris")
	}
	closed(t, h, fake)
}

// TestAVersionThatIsNeverRoutedIsItsLoaders.
func TestAVersionThatIsNeverRoutedIsItsLoaders(t *testing.T) {
	fake := &engine.Fake{}
	h := host.New(fake, host.Options{})
	v := load(t, h, 1)
	if n := fake.Open(); n != 1 {
		t.Errorf("%d sessions are open, want 1", n)
	}
	h.Close() // nothing is routed, so nothing is dropped
	if n := fake.Open(); n != 1 {
		t.Errorf("%d sessions are open after Close, want 1", n)
	}
	v.Drop()
	if n := fake.Open(); n != 0 {
		t.Errorf("%d sessions are left open", n)
	}
}

// TestHammer swaps versions under load. Every answer must be of the version
// that the lease names, none may fail, and all sessions must be closed at the
// end.
func TestHammer(t *testing.T) {
	const swaps, clients = 500, 8
	fake := &engine.Fake{Compute: itself}
	h := host.New(fake, host.Options{Runs: 4, Queued: clients})
	live(h, load(t, h, 1))
	var stop atomic.Bool
	var answers [clients]int
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			last := 0
			for !stop.Load() {
				n, err := ask(t, h)
				if err != nil {
					t.Errorf("client %d: %v", c, err)
					return
				}
				if n < last {
					t.Errorf("client %d: version %d answered after version %d", c, n, last)
				}
				last = n
				answers[c]++
			}
		})
	}
	for n := 2; n <= swaps+1; n++ {
		live(h, load(t, h, n))
	}
	stop.Store(true)
	wg.Wait()
	t.Logf("%d swaps under %v requests", swaps, answers)
	for c, n := range answers {
		if n == 0 {
			t.Errorf("client %d got no answer", c)
		}
	}
	if n := fake.Open(); n != 1 {
		t.Errorf("%d sessions are open after the last swap, want 1", n)
	}
	closed(t, h, fake)
}

// ask predicts on the stable version and returns the one that answered.
func ask(t *testing.T, h *host.Host) (int, error) {
	l, err := h.Acquire(t.Context(), ref.Reference{Model: "iris"}, "")
	if err != nil {
		return 0, err
	}
	defer l.Release()
	answer, err := predict(t.Context(), l)
	if err != nil {
		return 0, err
	}
	if want := fmt.Sprintf(`[{"y0":%d}]`, l.Number); answer != want {
		return 0, fmt.Errorf("version %d answered %s", l.Number, answer)
	}
	return l.Number, nil
}
