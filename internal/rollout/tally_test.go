package rollout

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
)

// script feeds a tally with requests that follow one another.
type script struct {
	*Tally
	t  float64
	id uint64
}

func newScript(l Limits) *script { return &script{Tally: NewTally(l, epoch)} }

// client plays n requests in that many seconds.
func (s *script) client(side Side, n int, seconds float64, r Run) *script {
	for range n {
		s.id++
		s.Observe(Observation{Kind: Began, At: at(s.t), ID: s.id, Side: side, Rows: 1})
		o := Observation{Kind: Ended, ID: s.id, Side: side, Rows: 1}
		o.Runs[side] = r
		o.At = at(s.t).Add(r.Time)
		s.Observe(o)
		s.t += seconds / float64(n)
	}
	return s
}

// copies plays n comparisons in that many seconds.
func (s *script) copies(n int, seconds float64, stable, canary Run, differing int) *script {
	for range n {
		s.id++
		o := Observation{Kind: Began, At: at(s.t), ID: s.id, Side: Canary, Copied: true, Rows: 1, Runs: [2]Run{stable, {}}}
		s.Observe(o)
		o.Kind, o.Runs[Canary], o.Differing, o.At = Compared, canary, differing, at(s.t).Add(canary.Time)
		s.Observe(o)
		s.t += seconds / float64(n)
	}
	return s
}

func (s *script) decide() Decision { return s.Decide(steps, at(s.t)) }

var (
	steps = wire.Canary{Version: 2, Steps: []int{5, 50}}
	fine  = Run{Outcome: OK, Time: 10 * time.Millisecond}
	slow  = Run{Outcome: OK, Time: 50 * time.Millisecond}
	nan   = Run{Outcome: OK, Time: 10 * time.Millisecond, Invalid: 1}
	fault = Run{Outcome: Failed, Time: time.Millisecond}
	nope  = Run{Outcome: Refused, Time: time.Millisecond}
	died  = Run{Outcome: Failed, Time: time.Millisecond, Code: "worker-died"}
	wrong = Run{Outcome: Refused, Time: time.Millisecond, Code: "run-failed"}
)

func TestDecisionsAndTheirReasons(t *testing.T) {
	tests := []struct {
		name string
		play func(s *script)
		want string
	}{
		{"nothing", func(s *script) {}, "held: no requests"},
		{"time alone", func(s *script) { s.t = 3600 }, "held: no requests"},
		{"stable alone", func(s *script) { s.client(Stable, 1000, 100, fine) }, "held: no requests"},
		{"copies alone", func(s *script) { s.copies(1000, 100, fine, fine, 0) }, "held: no requests"},
		{"few", func(s *script) { s.copies(100, 20, fine, fine, 0).client(Canary, 23, 20, fine) }, "held: 23 of 100 requests seen"},
		{"no copies", func(s *script) { s.client(Canary, 200, 40, fine) }, "held: 0 of 100 comparisons with the stable version made"},
		{"early", func(s *script) { s.copies(100, 10, fine, fine, 0).client(Canary, 100, 10, fine) }, "held: 20s of 30s passed"},
		{
			"suspicious", func(s *script) {
				s.copies(100, 20, fine, fine, 0).client(Canary, 100, 20, fine).client(Canary, 5, 1, fault)
			},
			"held: 5 of 105 requests failed, the stable version failed 0 of 0; the limit is 1 % more: that may be chance, more is needed",
		},
		{
			"good", func(s *script) { s.copies(100, 20, fine, fine, 0).client(Canary, 100, 20, fine) },
			"advanced: 100 requests and 100 comparisons in 40s, all limits kept",
		},
		{
			"failing", func(s *script) {
				s.client(Stable, 412, 40, fine).client(Canary, 54, 5, fine).client(Canary, 7, 1, fault)
			},
			"rolled back: 7 of 61 requests failed, the stable version failed 0 of 412; the limit is 1 % more",
		},
		{"failing like the stable version", func(s *script) { s.client(Stable, 412, 40, fault).client(Canary, 61, 5, fault) }, "held: no requests"},
		{
			"copies fail", func(s *script) { s.copies(80, 8, fine, fine, 0).copies(20, 2, fine, fault, 0) },
			"rolled back: 20 of 100 requests failed that the stable version answers, 0 the other way round; the limit is 1 % more",
		},
		{"copies fail on both", func(s *script) { s.copies(100, 10, fault, fault, 0) }, "held: no requests"},
		{
			"late", func(s *script) { s.copies(10000, 1000, fine, fine, 0).copies(40, 4, fine, fault, 0) },
			"rolled back: 40 of 340 requests in the last 35s failed that the stable version answers, 0 the other way round; the limit is 1 % more",
		},
		{
			"refusing", func(s *script) { s.copies(80, 8, fine, fine, 0).copies(20, 2, fine, nope, 0) },
			"rolled back: 20 of 100 requests were refused that the stable version takes, 0 the other way round; the limit is 1 % more",
		},
		{"both refuse", func(s *script) { s.copies(100, 10, nope, nope, 0) }, "held: no requests"},
		{
			"invalid", func(s *script) { s.copies(80, 8, fine, fine, 0).copies(20, 2, fine, nan, 0) },
			"rolled back: 20 % of the rows of 100 requests had an invalid answer where the stable version's is valid, 0 % the other way round; the limit is 1 % more",
		},
		{"both invalid", func(s *script) { s.copies(100, 10, nan, nan, 0) }, "held: no requests"},
		{
			"slower", func(s *script) { s.copies(40, 4, fine, slow, 0) },
			"rolled back: 100 % of 40 requests took over 2 times as long as on the stable version; the limit is 50 %",
		},
		{"faster", func(s *script) { s.copies(400, 40, slow, fine, 0) }, "held: no requests"},
		{
			"slow in the tail", func(s *script) { s.copies(200, 20, fine, fine, 0).copies(20, 2, fine, slow, 0) },
			"rolled back: 20 of 170 requests took over 21.8ms only on the canary, 0 only on the stable version (its p99 is 10.9ms); the limit is 1 % more",
		},
		{
			"differing", func(s *script) { s.copies(80, 8, fine, fine, 0).copies(40, 4, fine, fine, 1) },
			"rolled back: 33.3 % of the rows of 120 requests were answered otherwise than by the stable version; the limit is 10 %",
		},
		{"asked and gone", func(s *script) { s.client(Canary, 500, 50, Run{}) }, "held: no requests"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(defaults)
			tt.play(s)
			if got := s.decide().String(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestTheLastStepIsFollowedByPromotion(t *testing.T) {
	s := newScript(defaults).copies(100, 20, fine, fine, 0).client(Canary, 100, 20, fine)
	if d := s.Decide(wire.Canary{Steps: []int{5, 50}, Step: 1}, at(s.t)); d.Action != Promote {
		t.Error(d)
	}
}

// What was seen with other shares does not count in the next step.
func TestAStepCountsAnew(t *testing.T) {
	s := newScript(defaults).copies(100, 20, fine, fine, 0).client(Canary, 100, 20, fine)
	s.NextStep(at(s.t))
	if got := s.decide().String(); got != "held: no requests" {
		t.Error(got)
	}
	s.Observe(Observation{Kind: Began, At: at(s.t), ID: 9999, Side: Canary})
	s.NextStep(at(s.t))
	s.Observe(Observation{Kind: Ended, At: at(s.t), ID: 9999, Side: Canary, Runs: [2]Run{{}, fine}})
	if got := s.decide().String(); got != "held: 1 of 100 requests seen" {
		t.Error("a request that was running is lost:", got)
	}
}

// Where the server copies nothing, clients are all there is.
func TestWithoutCopies(t *testing.T) {
	for want, run := range map[string]Run{
		"rolled back: 40 of 40 requests were refused, the stable version refused 0 of 1000":             nope,
		"rolled back: 100 % of the rows of 40 requests had an invalid answer, the stable version's 0 %": nan,
		"rolled back: 40 of 40 requests took over 21.8ms, the stable version 0 of 9":                    slow,
	} {
		s := newScript(defaults).client(Stable, 1000, 20, fine).client(Canary, 40, 1, run)
		if got := s.decide().String(); !strings.HasPrefix(got, want) {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}

func TestHanging(t *testing.T) {
	s := newScript(defaults).client(Stable, 100, 10, fine)
	if s.Patience() != time.Second {
		t.Fatal("patience is", s.Patience())
	}
	for id := range uint64(3) {
		s.Observe(Observation{Kind: Began, At: at(s.t), ID: 1000 + id, Side: Canary, Copied: id > 0})
	}
	if d := s.Decide(steps, at(s.t+0.99)); d.Action != Hold {
		t.Error("too early:", d)
	}
	want := "rolled back: 3 of 3 requests had no answer within 1s, and 0 of 100 to the stable version, whose p99 is 10.9ms"
	if d := s.Decide(steps, at(s.t+1)); d.String() != want {
		t.Errorf("got %s, want %s", d, want)
	}
	s.Observe(Observation{Kind: Ended, At: at(s.t + 1.5), ID: 1000, Side: Canary, Runs: [2]Run{{}, fine}})
	if c := s.now(); c.answered != 0 || c.clients[failed][Canary] != (single{1, 1}) {
		t.Errorf("an answer that came too late counts: %+v", c.clients[failed])
	}
}

// Whoever tells of requests when they have ended tells of hanging ones, too.
func TestHangingWasSeenLate(t *testing.T) {
	s := newScript(defaults).client(Stable, 200, 10, fine)
	for range 4 { // both at the end
		s.id++
		s.t += 2
		o := Observation{Kind: Began, At: at(s.t), ID: s.id, Side: Canary, Rows: 1}
		s.Observe(o)
		o.Kind, o.Runs = Ended, [2]Run{fine, {Outcome: Failed, Time: time.Second + time.Millisecond}}
		s.Observe(o)
	}
	want := "rolled back: 4 of 4 requests had no answer within 1s, and 0 of 200 to the stable version, whose p99 is 10.9ms"
	if d := s.decide(); d.String() != want {
		t.Errorf("got %s, want %s", d, want)
	}
}

// What failed is in the reason.
func TestReasonsNameTheError(t *testing.T) {
	for want, s := range map[string]*script{
		"3 of 3 requests failed (worker-died), the stable version failed 0 of 1000":                       newScript(defaults).client(Stable, 1000, 4, fine).client(Canary, 3, 1, died),
		"20 of 20 requests failed (worker-died) that the stable version answers":                          newScript(defaults).client(Stable, 1000, 4, fine).copies(20, 1, fine, died, 0),
		"20 of 20 requests were refused (run-failed) that the stable version takes":                       newScript(defaults).client(Stable, 1000, 4, fine).copies(20, 1, fine, wrong, 0),
		"40 of 40 requests were refused (run-failed), the stable version refused 0 of 1000":               newScript(defaults).client(Stable, 1000, 4, fine).client(Canary, 40, 1, wrong),
		"5 of 5 requests failed (worker-died; 2 had no answer within 1s), the stable version failed 0 of": newScript(defaults).client(Stable, 1000, 4, fine).client(Canary, 3, 1, died).client(Canary, 2, 5, Run{Outcome: Failed, Time: 2 * time.Second}),
	} {
		if got := s.decide(); !strings.HasPrefix(got.String(), "rolled back: "+want) {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}

// A machine that stands still stands still for both.
func TestBothHang(t *testing.T) {
	s := newScript(defaults).client(Stable, 200, 10, fine).client(Canary, 200, 10, fine).copies(200, 10, fine, fine, 0)
	for id := range uint64(40) {
		s.Observe(Observation{Kind: Began, At: at(s.t), ID: 1000 + id, Side: Side(id % 2), Copied: id >= 20, Runs: [2]Run{{Outcome: OK, Time: 2 * time.Second}, {Outcome: OK, Time: 2 * time.Second}}})
	}
	if d := s.Decide(steps, at(s.t+3)); d.Action == RollBack || s.hung != [2]int{20, 20} {
		t.Error(d, s.hung)
	}
}

// So does one whose requests are told of only when they have ended: the canary's
// were given up, and those of the stable version took as long.
func TestBothHangToldAtTheEnd(t *testing.T) {
	s := newScript(defaults).client(Stable, 200, 10, fine).client(Canary, 200, 10, fine).copies(200, 10, fine, fine, 0)
	for id := range uint64(40) {
		o := Observation{Kind: Began, At: at(s.t), ID: 1000 + id, Side: Side(id % 2), Rows: 1}
		s.Observe(o)
		o.Kind = Ended
		o.Runs[o.Side] = [2]Run{{Outcome: OK, Time: 2 * time.Second}, {Outcome: Failed, Time: time.Second}}[o.Side]
		s.Observe(o)
	}
	if d := s.decide(); d.Action == RollBack {
		t.Error(d)
	}
}

// Patience grows with the stable version's times, those of late answers, too.
func TestPatience(t *testing.T) {
	s := newScript(defaults)
	if s.Patience() != blindPatience {
		t.Error("at first:", s.Patience())
	}
	late := Run{Outcome: OK, Time: 3 * time.Second}
	s.client(Stable, 100, 10, fine)
	s.client(Stable, 10, 100, late)
	if p := s.Patience(); p != time.Second {
		t.Error("in the same step:", p)
	}
	s.NextStep(at(s.t))
	if p := s.Patience(); p < 30*time.Second || p > 33*time.Second {
		t.Error("after ten answers of 3 s:", p)
	}
}

// A failure for which the stable version failed, too, tells nothing.
func TestBothFailedOver(t *testing.T) {
	s := newScript(defaults).client(Stable, 1000, 10, fine)
	for id := range uint64(50) {
		s.Observe(Observation{Kind: Began, At: at(s.t), ID: 5000 + id, Side: Canary})
		s.Observe(Observation{Kind: Ended, At: at(s.t), ID: 5000 + id, Side: Canary, Runs: [2]Run{fault, fault}})
	}
	if d := s.decide(); d.String() != "held: no requests" {
		t.Error(d)
	}
}

// stream is a stream of the simulator as it was observed.
func stream(sc scenario, seed uint64) (all []Observation, last Decision) {
	s := newSim(sc, defaults, seed)
	s.record = func(o Observation) { all = append(all, o) }
	s.run()
	return all, s.last
}

// replayed is how a stream ends in a step that never changes.
func replayed(all []Observation) Decision {
	t := NewTally(defaults, epoch)
	second := 1.0
	for _, o := range all {
		for ; !at(second).After(o.At); second++ {
			if d := t.Decide(steps, at(second)); d.Action != Hold {
				return d
			}
		}
		t.Observe(o)
	}
	return t.Decide(steps, at(second))
}

func TestIDsDoNotMatter(t *testing.T) {
	for _, sc := range badOnes {
		all, _ := stream(sc, 1)
		want := replayed(all)
		for i := range all {
			all[i].ID = all[i].ID*0x9e3779b97f4a7c15 + 7 // an odd factor: all stay different
		}
		if got := replayed(all); got != want {
			t.Errorf("%s: %s, with other ids %s", sc.name, want, got)
		}
	}
}

// The more requests fail, the less the canary may do.
func TestMoreFailuresAreNeverBetter(t *testing.T) {
	worth := map[Action]int{Advance: 2, Promote: 2, Hold: 1, RollBack: 0}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 3))
		order := r.Perm(300)
		before := 2
		for failures := 0; failures <= 300; failures += 3 {
			s := newScript(defaults).client(Stable, 500, 10, fine)
			for _, i := range order {
				run := fine
				if i < failures {
					run = fault
				}
				s.client(Canary, 1, 0.1, run).copies(1, 0.01, fine, fine, 0)
			}
			d := s.decide()
			if worth[d.Action] > before {
				t.Errorf("seed %d: with %d of 300 failures: %s", seed, failures, d)
			}
			before = worth[d.Action]
		}
		if before != 0 {
			t.Error("a canary that always fails stays")
		}
	}
}

func TestNoDataNoAdvance(t *testing.T) {
	eager := Limits{MinRequests: 1, MaxErrorRate: 1, MaxLatencyRatio: 1000, MaxInvalidRate: 1, MaxDisagreement: 1}
	tally := NewTally(eager, epoch)
	for hour := range 1000 {
		if d := tally.Decide(steps, epoch.Add(time.Duration(hour)*time.Hour)); d.Action != Hold {
			t.Fatalf("after %d hours: %s", hour, d)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	used := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	tally := NewTally(defaults, epoch)
	before := used()
	for i := range 1_000_000 {
		o := Observation{At: at(float64(i) / 1000), ID: uint64(i / 2), Side: Side(i / 2 % 2), Rows: 1}
		if i%2 == 1 && i%3 > 0 { // the others never end
			o.Kind, o.Runs = Ended, [2]Run{fine, fine}
		}
		tally.Observe(o)
	}
	if grown := int64(used()) - int64(before); grown > 16<<20 {
		t.Errorf("it holds %d bytes more", grown)
	}
	if len(tally.flights.queue) > mostFlights || len(tally.flights.open) > mostFlights {
		t.Errorf("%d requests are watched", len(tally.flights.queue))
	}
	runtime.KeepAlive(tally)
}

func TestSilence(t *testing.T) {
	s := newScript(defaults).copies(100, 20, fine, fine, 0).client(Canary, 100, 20, fine)
	s.t += 7 * 24 * 3600
	if d := s.decide(); d.Action != Advance {
		t.Error("what was seen before a silence is lost:", d)
	}
	if c := s.spans()[1].counts; c.answered != 0 {
		t.Errorf("a silent span has %d answers", c.answered)
	}
}

func TestQuantiles(t *testing.T) {
	var h latencies
	for i := range 100_000 { // far beyond the count where it fades
		h.add(time.Duration(1+i%1000) * time.Millisecond)
	}
	for q, want := range map[time.Duration]time.Duration{h.p50: 500 * time.Millisecond, h.p99: 990 * time.Millisecond} {
		if q < want || q > want*11/10 {
			t.Errorf("%s, want %s to a tenth more", q, want)
		}
	}
	h = latencies{}
	h.add(-1)
	h.add(1 << 62)
	if h.n != 2 {
		t.Error(fmt.Sprint(h.n, " of 2 times"))
	}
}
