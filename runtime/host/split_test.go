package host_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/ref"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/host"
)

// trial routes iris to version 1, and to version 2 for a share of the traffic.
func trial(t *testing.T, h *host.Host, share int, versions ...*host.Version) {
	t.Helper()
	r := &host.Routes{
		Model: "iris", Known: map[int]bool{1: true, 2: true, 3: true}, Loaded: map[int]*host.Version{},
		Traffic: wire.Traffic{Stable: 1, Canary: &wire.Canary{Version: 2, Steps: []int{share}}},
	}
	for _, v := range versions {
		r.Loaded[v.Number] = v
	}
	h.Route(r)
}

// whose is the version that a caller gets, and its role.
func whose(t *testing.T, h *host.Host, r ref.Reference, caller string) (int, host.Role) {
	t.Helper()
	l, err := h.Acquire(t.Context(), r, caller)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	return l.Number, l.Role
}

// TestACallerStaysOnOneSide, and the shares are those that were asked for:
// callers that one share has reached are in every larger one.
func TestACallerStaysOnOneSide(t *testing.T) {
	fake := &engine.Fake{}
	h := host.New(fake, host.Options{})
	defer closed(t, h, fake)
	stable, canary := load(t, h, 1), load(t, h, 2)
	const callers = 20_000
	reached := map[string]bool{}
	for _, share := range []int{1, 5, 25, 50, 99} {
		trial(t, h, share, stable, canary)
		n := 0
		for i := range callers {
			caller := fmt.Sprint("customer-", i)
			version, role := whose(t, h, ref.Reference{Model: "iris"}, caller)
			if again, _ := whose(t, h, ref.Reference{Model: "iris"}, caller); again != version {
				t.Fatalf("%s went to %d and %d", caller, version, again)
			}
			if (version == 2) != (role == host.Canary) {
				t.Fatalf("version %d in the role %d", version, role)
			}
			if version == 1 && reached[caller] {
				t.Fatalf("%s was on the canary's side of a smaller share", caller)
			}
			if version == 2 {
				reached[caller] = true
				n++
			}
		}
		p := float64(share) / 100
		if off := math.Abs(float64(n)/callers - p); off > 5*math.Sqrt(p*(1-p)/callers) {
			t.Errorf("%d of %d callers at %d %%", n, callers, share)
		}
	}
}

// TestACanaryTakesOnlyTheTrafficThatNamesNoVersion, and none where it is not loaded.
func TestACanaryTakesOnlyTheTrafficThatNamesNoVersion(t *testing.T) {
	fake := &engine.Fake{}
	h := host.New(fake, host.Options{})
	defer closed(t, h, fake)
	stable, canary := load(t, h, 1), load(t, h, 2)
	trial(t, h, 99, stable, canary)
	drawn := map[int]int{}
	for range 1000 {
		if n, role := whose(t, h, ref.Reference{Model: "iris", Version: 1}, ""); n != 1 || role != host.Named {
			t.Fatalf("iris/1 is answered by %d in the role %d", n, role)
		}
		n, _ := whose(t, h, ref.Reference{Model: "iris"}, "")
		drawn[n]++
	}
	if drawn[1] == 0 || drawn[2] < 900 {
		t.Errorf("at 99 %%, %v", drawn)
	}
	l, err := h.Stable("iris")
	if err != nil || l.Number != 1 || l.Role != host.Stable {
		t.Errorf("stable is %+v, %v", l.Version, err)
	}
	l.Release()
	trial(t, h, 99, stable) // drops the canary
	for range 100 {
		if n, role := whose(t, h, ref.Reference{Model: "iris"}, ""); n != 1 || role != host.Stable {
			t.Fatalf("without the canary, %d answers in the role %d", n, role)
		}
	}
}

// TestAHangingCanaryHoldsUpNobody: its runs are not those of the stable version.
func TestAHangingCanaryHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		hangs := func(ctx context.Context, g engine.Graph, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
			if versionOf(g) == 2 {
				<-release
			}
			return itself(ctx, g, in)
		}
		fake := &engine.Fake{Compute: hangs}
		h := host.New(fake, host.Options{Runs: 2})
		trial(t, h, 99, load(t, h, 1), load(t, h, 2))
		ended := make(chan error, 5)
		for range cap(ended) {
			l, err := h.Mirror("iris", 2)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				defer l.Release()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := predict(ctx, l)
				ended <- err
			}()
		}
		synctest.Wait()
		for range 10 {
			l, err := h.Stable("iris")
			if err != nil {
				t.Fatal(err)
			}
			if answer, err := predict(t.Context(), l); err != nil || answer != `[{"y0":1}]` {
				t.Errorf("got %s, %v", answer, err)
			}
			l.Release()
		}
		<-time.After(2 * time.Second) // of the bubble's clock
		close(release)
		failed := 0
		for range cap(ended) {
			if err := <-ended; err != nil {
				failed++
			}
		}
		if hung := 2; failed != cap(ended)-hung { // as many as there are runs
			t.Errorf("%d of %d copies gave up, and %d hung", failed, cap(ended), hung)
		}
		closed(t, h, fake)
	})
}

// TestPatience: a canary's callers wait as long as whoever watches it says.
func TestPatience(t *testing.T) {
	h := host.New(&engine.Fake{}, host.Options{})
	defer h.Close()
	v := load(t, h, 2)
	trial(t, h, 99, load(t, h, 1), v)
	if d := v.Patience(); d != 10*time.Second {
		t.Errorf("nobody has said, and the patience is %s", d)
	}
	v.SetPatience(2 * time.Second)
	if d := v.Patience(); d != 2*time.Second {
		t.Errorf("it was set to 2 s, and is %s", d)
	}
}

// TestEvents: observers are told of the answers of watched models, in order,
// and an observer that is too slow costs events, not requests.
func TestEvents(t *testing.T) {
	fake := &engine.Fake{}
	h := host.New(fake, host.Options{})
	defer closed(t, h, fake)
	stable, canary := load(t, h, 1), load(t, h, 2)
	trial(t, h, 50, stable, canary)
	l, err := h.Stable("iris")
	if err != nil {
		t.Fatal(err)
	}
	if l.Watched() {
		t.Error("it is watched, and nobody observes")
	}
	l.Release()
	ctx, cancel := context.WithCancel(t.Context())
	seen, first, ended := make(chan *host.Event), make(chan bool, 1), make(chan struct{})
	go func() {
		defer close(ended)
		h.Observe(ctx, func(*host.Event) {
			select {
			case first <- true:
			default:
			}
		}, func(e *host.Event) {
			select {
			case seen <- e:
			case <-ctx.Done():
			}
		})
	}()
	for !watched(t, h) {
		continue
	}
	cause := errors.New("it ran out")
	l, err = h.Stable("iris")
	if err != nil {
		t.Fatal(err)
	}
	l.Tell(&host.Event{ID: "a", Err: cause})
	<-first
	e := <-seen
	if e.ID != "a" || e.Model != "iris" || e.Version != 1 || e.Role != host.Stable || e.Routes.Canary.Version != 2 || !errors.Is(e.Err, cause) {
		t.Errorf("%+v", e)
	}
	large := make([]byte, 100<<20)
	for range 10 {
		l.Tell(&host.Event{Body: large})
	}
	few := h.Gauges().Dropped
	if few < 7 {
		t.Errorf("%d of ten large bodies were dropped", few)
	}
	for range 10_000 {
		l.Tell(&host.Event{})
	}
	if h.Gauges().Dropped <= few {
		t.Error("no event was dropped, although nobody takes them")
	}
	l.Release()
	cancel()
	<-ended
}

func watched(t *testing.T, h *host.Host) bool {
	t.Helper()
	l, err := h.Stable("iris")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	return l.Watched()
}
