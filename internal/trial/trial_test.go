package trial_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/rollout"
	"github.com/tenon-ml/tenon/internal/tensor"
)

// TestCanaries: what is done with them, by whom they are hurt (nobody), and when.
func TestCanaries(t *testing.T) {
	hang := func(ctx context.Context, _ int, _ *tensor.Tensor) error { <-ctx.Done(); return ctx.Err() }
	for name, c := range map[string]struct {
		is   behave
		says string
	}{
		"good": {nil, "promoted: "},
		"failing": {func(_ context.Context, call int, _ *tensor.Tensor) error {
			return errors.Join(map[bool]error{true: errors.New("no room")}[call%5 == 0])
		}, "rolled back: "},
		"slow": {func(context.Context, int, *tensor.Tensor) error { <-time.After(20 * time.Millisecond); return nil }, "took over 2 times as long"},
		"wrong": {func(_ context.Context, _ int, out *tensor.Tensor) error {
			tensor.View[float32](out)[0] += 1000
			return nil
		}, "answered otherwise"},
		"hanging": {hang, "rolled back: "},
		"hanging later": {func(ctx context.Context, call int, out *tensor.Tensor) error {
			if call < 30 {
				return nil
			}
			return hang(ctx, call, out)
		}, "rolled back: "},
		"dying": {func(context.Context, int, *tensor.Tensor) error {
			return fault.New(fault.Unavailable, fault.WorkerDied, "Its process ended.")
		}, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := trialOf(5, 50)
				s := start(t, log, map[int]behave{2: c.is})
				leave := s.clients()
				took := look(5*time.Minute, log.over, s)
				leave()
				s.stop()
				if !log.over() || !strings.Contains(log.last(), c.says) {
					t.Errorf("after %s: %v, want %q", took, log.reasons, c.says)
				}
				if strings.HasPrefix(log.last(), "rolled back") && took > 30*time.Second {
					t.Errorf("rolled back after %s: %s", took, log.last())
				}
				t.Logf("%s: %v", took, log.reasons)
			})
		})
	}
}

// TestAShadowThatNeverEndsHoldsUpNobody: neither callers nor the canary beside it.
func TestAShadowThatNeverEndsHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		log := trialOf(50)
		log.now.Shadow = 3
		s := start(t, log, map[int]behave{3: func(context.Context, int, *tensor.Tensor) error { <-release; return nil }})
		leave := s.clients()
		look(5*time.Minute, log.over, s)
		leave()
		if !strings.HasPrefix(log.last(), "promoted: ") {
			t.Errorf("%v", log.reasons)
		}
		close(release)
		s.stop()
	})
}

// TestNothingIsLeftOfATrial that has ended.
func TestNothingIsLeftOfATrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &history{now: wire.Stable(1), number: 6}
		s := start(t, log, nil)
		s.ticks <- time.Now()
		synctest.Wait()
		before := runtime.NumGoroutine()
		for n := range 20 {
			log.now, log.number = wire.Traffic{Stable: 1, Canary: &wire.Canary{Version: 2, Steps: []int{50}}, Shadow: 3}, 7+2*n
			s.route()
			s.ticks <- time.Now()
			for i := range 10 {
				s.ask(i)
			}
			if d := s.watch.Describe("iris"); d == nil || d.Version != 2 {
				t.Fatalf("%+v", d)
			}
			log.now, log.number = wire.Stable(1), 8+2*n
			s.route()
			s.ticks <- time.Now()
		}
		synctest.Wait()
		if n := runtime.NumGoroutine(); n > before {
			t.Errorf("%d goroutines after 20 trials, %d before", n, before)
		}
		if d := s.watch.Describe("iris"); d != nil {
			t.Errorf("%+v", d)
		}
		s.stop()
	})
}

// TestADecisionIsCarriedOutOnceAtATime, and tried again where it failed.
func TestADecisionIsCarriedOutOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, release := trialOf(50), make(chan error)
		s := start(t, log, map[int]behave{2: func(context.Context, int, *tensor.Tensor) error { return errors.New("no room") }})
		s.act = func(rollout.Decision) error { return <-release }
		leave := s.clients()
		look(time.Minute, func() bool { return s.acted > 0 }, s)
		look(10*time.Second, func() bool { return s.acted > 1 }, s)
		if s.acted != 1 {
			t.Errorf("while it was being carried out, it was begun %d times", s.acted)
		}
		release <- errors.New("the disk is full")
		synctest.Wait()
		look(2*time.Second, func() bool { return s.acted > 1 }, s)
		if s.acted != 2 || !strings.Contains(s.said.String(), "the disk is full") {
			t.Errorf("after its failure it was tried %d times; the log says %s", s.acted-1, s.said.String())
		}
		release <- nil
		synctest.Wait()
		look(3*time.Second, func() bool { return false }, s)
		leave()
		if !log.over() || s.acted != 2 {
			t.Errorf("%v, begun %d times", log.reasons, s.acted)
		}
		s.stop()
	})
}

// TestTwoServersThatDecide: each step is made once, the other one follows, and a
// server without requests decides nothing.
func TestTwoServersThatDecide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := trialOf(20, 60)
		one, two, idle := start(t, log, nil), start(t, log, nil), start(t, log, nil)
		// Both have decided before either has acted.
		meet := make(chan struct{})
		act := func(rollout.Decision) error {
			select {
			case meet <- struct{}{}:
			case <-meet:
			case <-time.After(20 * time.Second): // the other one has not seen enough
			}
			return nil
		}
		one.act, two.act = act, act
		leave1, leave2 := one.clients(), two.clients()
		look(5*time.Minute, func() bool {
			for _, s := range []*server{one, two, idle} {
				if s.host.Routes("iris").Deployment != log.number {
					s.route()
				}
			}
			return log.over()
		}, one, two, idle)
		leave1()
		leave2()
		synctest.Wait()
		if len(log.reasons) != 2 || !strings.HasPrefix(log.reasons[0], "advanced: ") || !strings.HasPrefix(log.reasons[1], "promoted: ") {
			t.Errorf("%q", log.reasons)
		}
		if one.stale+two.stale == 0 || idle.acted != 0 {
			t.Errorf("%d and %d came too late; the idle server acted %d times", one.stale, two.stale, idle.acted)
		}
		for _, s := range []*server{one, two, idle} {
			if said := s.said.String(); strings.Contains(said, "could not be done") {
				t.Errorf("the log says %s", said)
			}
			s.stop()
		}
	})
}

// TestClocksThatDiffer: neither a record of the future nor one of long ago makes
// a step come before its time, nor keeps it from coming.
func TestClocksThatDiffer(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"ahead": time.Hour, "behind": -time.Hour, "alike": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := trialOf(50)
				log.since = time.Now().Add(ahead).Round(0) // as a record has it, without the monotonic clock
				s := start(t, log, nil)
				leave := s.clients()
				took := look(time.Minute, log.over, s)
				leave()
				if !strings.HasPrefix(log.last(), "promoted: ") || took > 40*time.Second {
					t.Errorf("after %s: %v", took, log.reasons)
				}
				if least := quickly.MinTime; name != "behind" && took < least {
					t.Errorf("after %s, and the least is %s", took, least)
				}
				s.stop()
			})
		})
	}
}
