package api_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/rollout"
	"github.com/tenon-ml/tenon/registry"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/host"
)

// TestRollbackLoadsNothing: the version is still warm, and takes the traffic at
// once when its record is durable. -v prints how long that and the whole call took.
func TestRollbackLoadsNothing(t *testing.T) {
	const times = 100
	var loads atomic.Int64
	r := serve(t, func(s *setup) {
		s.engine = &engine.Fake{Refuse: func(engine.Graph) error { loads.Add(1); return nil }}
	})
	r.alike("a", "b")
	r.deployed(`{"stable":1}`)
	r.deployed(`{"stable":2}`)
	before, lines := loads.Load(), len(r.log.find(inForce, ""))
	var calls []float64
	for n := range times {
		begun := time.Now()
		d, err := r.Rollback(t.Context(), "iris", wire.Rollback{})
		calls = append(calls, time.Since(begun).Seconds()*1000)
		if want := 1 + n%2; err != nil || d.Stable != want || r.by("") != fmt.Sprint(want) {
			t.Fatalf("%+v, %v, want version %d", d, err, want)
		}
	}
	if n := loads.Load() - before; n != 0 {
		t.Errorf("%d loads in %d rollbacks", n, times)
	}
	var live []float64
	for _, line := range r.log.find(inForce, "")[lines:] {
		ms, ok := line["live_ms"].(float64)
		if !ok {
			t.Fatalf("%v", line)
		}
		live = append(live, ms)
	}
	slices.Sort(live)
	slices.Sort(calls)
	t.Logf("from the durable record to the traffic: median %.3f ms, p99 %.3f ms; the whole call: median %.1f ms, p99 %.1f ms",
		live[times/2], live[times-2], calls[times/2], calls[times-2])
	if len(live) != times || live[times/2] > 10 {
		t.Errorf("half of %d rollbacks were live after %.1f ms or more, want 10 at most", len(live), live[times/2])
	}
}

const inForce = "a deployment is in force"

// TestARestartRestoresWhatTheLogSays: every deployment, at the step of the
// canary, with the isolation of each version, the shadow and the aliases.
func TestARestartRestoresWhatTheLogSays(t *testing.T) {
	looks := make(chan time.Time)
	before := serve(t, func(s *setup) { s.looks, s.host.Process = looks, &engine.Fake{} })
	before.alike("a", "b", "c")
	for _, change := range []func(){
		func() { before.deployed(`{"stable":1,"isolation":"process"}`) },
		func() { before.deployed(`{"stable":2}`) },
		func() { before.send("PUT", "/v1/models/iris/aliases/next", `{"version":3}`) },
		func() { before.back2() },
		func() {
			before.deployed(`{"canary":{"version":2,"steps":[30,60,90]},"shadow":3,"isolation":"shared","limits":{"min_requests":9},"reason":"x"}`)
		},
		func() { // steps by itself
			first := before.current().Number
			before.ask(func() { looks <- time.Now() }, func() bool { return before.restorable().Deployment > first })
		},
	} {
		change()
		want := before.restorable()
		after := serve(t, func(s *setup) { s.root, s.host.Process = before.root, &engine.Fake{} })
		if got := after.restorable(); !reflect.DeepEqual(got, want) {
			t.Errorf("after a restart\n%+v, want\n%+v", got, want)
		}
	}
	if d := before.current(); d.Canary == nil || d.Canary.Step != 1 || d.Actor != "tenon" {
		t.Errorf("no step was taken: %+v", d)
	}
}

// back2 rolls iris back.
func (r *rig) back2() {
	r.t.Helper()
	_, err := r.Rollback(r.t.Context(), "iris", wire.Rollback{})
	must(r.t, err)
}

// restored is all that a restart must bring back of a model.
type restored struct {
	Traffic    wire.Traffic
	Deployment int
	Since      time.Time
	Seq        int
	Aliases    map[string]int
	Loaded     map[int]host.Placement
	Known      map[int]bool
}

func (r *rig) restorable() restored {
	routes := r.host.Routes("iris")
	out := restored{routes.Traffic, routes.Deployment, routes.Since, routes.Seq, maps.Clone(routes.Aliases), map[int]host.Placement{}, routes.Known}
	for n, v := range routes.Loaded {
		out.Loaded[n] = v.Placed
	}
	return out
}

// TestAWayBackIsAlwaysOpen: the version in traffic stays as it is where it
// cannot be loaded with the isolation of the deployment.
func TestAWayBackIsAlwaysOpen(t *testing.T) {
	processes := &engine.Fake{}
	f := following(t, processes)
	f.first.deployed(`{"stable":1,"isolation":"process"}`)
	f.first.deployed(`{"canary":{"version":3,"steps":[50]},"isolation":"process"}`)
	f.look(0)
	a := f.send("POST", "/v1/models/iris/rollback", "")
	if a.StatusCode != 201 || !strings.Contains(string(a.body), `"stable":1`) || strings.Contains(string(a.body), "canary") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if version := f.by(""); version != "1" {
		t.Errorf("version %q answers", version)
	}
	// A canary beside a stable version that this server does not have.
	f.first.deployed(`{"stable":2}`)
	f.first.deployed(`{"canary":{"version":3,"steps":[50]}}`)
	f.look(time.Second)
	if a := f.send("POST", "/v1/models/iris/rollback", ""); a.StatusCode != 201 || f.first.current().Canary != nil {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if version := f.by(""); version != "1" {
		t.Errorf("version %q answers", version)
	}
	f.first.deployed(`{"stable":3}`)
	f.look(time.Second)
	// A version that is not there yet must be loaded, or nothing is changed.
	wantProblem(t, f.send("POST", "/v1/models/iris/rollback", `{"to":2}`), 422, string(fault.ModelRefused))
}

// TestABadShadowBarsNoWayBack: a canary is taken out beside a shadow that this
// server cannot load, or whose later examination failed; the shadow stays as it is.
func TestABadShadowBarsNoWayBack(t *testing.T) {
	for name, spoil := range map[string]func(*follower){
		"not loaded": func(*follower) {},
		"failed later": func(f *follower) {
			f.refuses.Store(false)
			verdict := registry.NewVersion{Parity: registry.ParityFailed, Report: []byte("{}")}
			must(f.t, f.first.other().RecordExamined(f.t.Context(), "iris", 2, verdict, registry.Stamp{Actor: "examination"}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := following(t, nil)
			f.first.deployed(`{"canary":{"version":3,"steps":[50]},"shadow":2}`)
			spoil(f)
			f.look(0)
			number := f.first.current().Number
			step := rollout.Decision{Action: rollout.RollBack, Reason: "it is bad"}
			if err := f.manager.Step(t.Context(), "iris", number, step); err != nil {
				t.Errorf("the server cannot take the canary out: %v", err)
			}
			if d := f.first.current(); d.Canary != nil || d.Stable != 1 || d.Shadow != 2 {
				t.Errorf("%+v", d)
			}
		})
	}
}

// TestALargeDeploymentBarsNoWayBack: what a record can say, the one that ends its
// canary can say again, with the reason.
func TestALargeDeploymentBarsNoWayBack(t *testing.T) {
	r := serve(t)
	r.alike("a", "b")
	r.deployed(`{"stable":1}`)
	send := func(names int) answer {
		redact := strings.TrimSuffix(strings.Repeat(`"x",`, names), ",")
		return r.send("POST", "/v1/models/iris/deployments", `{"canary":{"version":2,"steps":[50]},"capture":{"share":0.1,"redact":[`+redact+`]}}`)
	}
	wantProblem(t, send(16260), 400, "invalid-request", "capture.redact request") // as much as one record holds
	if a := send(8000); a.StatusCode != 201 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	step := rollout.Decision{Action: rollout.RollBack, Reason: strings.Repeat("it is bad ", 100)}
	if err := r.manager.Step(t.Context(), "iris", r.current().Number, step); err != nil {
		t.Error(err)
	}
}
